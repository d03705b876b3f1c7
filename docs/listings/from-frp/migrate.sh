relaykit migrate old.ini > new.toml
