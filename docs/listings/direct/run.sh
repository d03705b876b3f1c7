relaykit client -c owner.toml --token-file token
relaykit client -c visitor.toml --token-file token
