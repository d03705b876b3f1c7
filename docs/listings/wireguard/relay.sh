relaykit udp 51820 --name wireguard --remote-port 51820 --server relay.example --token-file token
