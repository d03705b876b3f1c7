/opt/relaykit/bin/relaykit systemd sockets -c /etc/relaykit/server.toml | sudo tee /etc/systemd/system/relaykit-server.socket
/opt/relaykit/bin/relaykit systemd server --sockets -c /etc/relaykit/server.toml --token-file /etc/relaykit/token | sudo tee /etc/systemd/system/relaykit-server.service
sudo systemctl daemon-reload
sudo systemctl enable --now relaykit-server.socket relaykit-server
