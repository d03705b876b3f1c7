RELAYKIT_TOKEN=5b0ac1f3d80e4c6a97b25d1e3f6478902c4d5e6f relaykit tcp 22 --server relay.example:7000 --remote-port 6000 --remember
