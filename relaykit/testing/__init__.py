"""The public test kit: what relaykit's own tests and those of third-party proxy types are written with."""
