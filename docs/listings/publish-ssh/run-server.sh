relaykit server -c server.toml --token-file token
