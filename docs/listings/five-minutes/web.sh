relaykit tcp 8080 --remote-port 6001 --web
