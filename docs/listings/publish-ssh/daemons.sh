twistd --pidfile=server.pid --logfile=server.log relaykit-server -c server.toml --token-file token
twistd --pidfile=client.pid --logfile=client.log relaykit-client -c client.toml --token-file token
