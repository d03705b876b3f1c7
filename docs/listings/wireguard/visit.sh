relaykit visit wireguard --udp --port 51821 --server relay.example --token-file token
