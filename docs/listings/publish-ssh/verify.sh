relaykit verify -c server.toml
relaykit verify -c client.toml
