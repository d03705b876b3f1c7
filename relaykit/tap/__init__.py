"""What ``twistd`` and ``twist`` start: ``relaykit-server`` and ``relaykit-client``."""
