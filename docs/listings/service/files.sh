sudo install -d /etc/relaykit
sudo install -m 644 server.toml /etc/relaykit/server.toml
/opt/relaykit/bin/relaykit token | sudo install -m 600 /dev/stdin /etc/relaykit/token
