relaykit secret 5432 --name db --server relay.example --token-file token
