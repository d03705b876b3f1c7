relaykit client -c client.toml --token-file token
