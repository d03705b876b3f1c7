relaykit status -c client.toml
relaykit status -c client.toml --json
relaykit status -c client.toml --watch
relaykit logs -f -c client.toml
relaykit top -c client.toml
relaykit reload -c client.toml
relaykit stop -c client.toml
