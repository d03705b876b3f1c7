/opt/relaykit/bin/relaykit systemd server -c /etc/relaykit/server.toml --token-file /etc/relaykit/token | sudo tee /etc/systemd/system/relaykit-server.service
sudo systemctl daemon-reload
sudo systemctl enable --now relaykit-server
