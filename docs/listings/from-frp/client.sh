relaykit frpc -c frpc.toml
