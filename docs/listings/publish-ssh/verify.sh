relaykit verify server.toml --token-file token
relaykit verify client.toml --token-file token
