relaykit tcp 873 --name backups --remote-port 6000 --bandwidth-limit 5MB --server relay.example --token-file token
