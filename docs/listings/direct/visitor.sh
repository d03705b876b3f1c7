relaykit visit desk --direct --port 2222 --secret-key-file key --peers relaykit --server relay.example --token-file token
