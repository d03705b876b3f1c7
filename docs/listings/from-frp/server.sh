relaykit frps -c frps.toml
