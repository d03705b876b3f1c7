relaykit http static_file:localPath=/srv/files --server relay.example --token-file token --domain files.shop.example --name files
