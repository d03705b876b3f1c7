relaykit visit db --port 5432 --server relay.example --token-file token
