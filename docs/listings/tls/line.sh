relaykit https 8443 --server relay.example --token-file token --domain shop.example --name shop
