relaykit visit db --port 5432 --secret-key-file db-key --server relay.example --token-file token
