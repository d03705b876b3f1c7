relaykit secret 22 --direct --name desk --secret-key-file key --peers relaykit --server relay.example --token-file token
