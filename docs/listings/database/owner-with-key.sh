relaykit secret 5432 --name db --secret-key-file db-key --server relay.example --token-file token
