relaykit verify -c frps.toml
relaykit verify -c frpc.toml
