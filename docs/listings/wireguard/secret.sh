relaykit secret 51820 --udp --name wireguard --server relay.example --token-file token
