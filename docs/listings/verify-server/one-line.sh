relaykit tcp 22 --server relay.example --token-file token --remote-port 6000 --fingerprint sha256:9f64a1d27c3be8510f4d6a92e7b3c85d1e2f60718293a4b5c6d7e8f90a1b2c3d
