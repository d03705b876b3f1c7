sudo /opt/relaykit/bin/relaykit verify /etc/relaykit/server.toml --token-file /etc/relaykit/token
sudo /opt/relaykit/bin/relaykit systemd server -c /etc/relaykit/server.toml --token-file /etc/relaykit/token | sudo tee /etc/systemd/system/relaykit-server.service
