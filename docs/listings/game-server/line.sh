relaykit udp 34197 --name game --remote-port 34197 --server relay.example --token-file token
