relaykit https 8443 --server relay.example --token-file token --subdomain shop --name shop
