cd "$RENEWED_LINEAGE"
install -m 640 -g relaykit fullchain.pem privkey.pem /etc/relaykit/shop.example/
