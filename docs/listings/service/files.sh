sudo install -d /etc/relaykit
sudo install -m 644 server.toml /etc/relaykit/server.toml
relaykit token | sudo install -m 600 /dev/stdin /etc/relaykit/token
