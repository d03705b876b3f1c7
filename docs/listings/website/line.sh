relaykit http 8080 --server relay.example --token-file token --domain shop.example,www.shop.example --name shop
