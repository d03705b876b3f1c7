sudo groupadd --system relaykit
sudo install -d -m 750 -g relaykit /etc/relaykit/shop.example
