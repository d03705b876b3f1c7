"""NAT traversal at work: UDP sockets under full control, the STUN server, punching, ``relaykit nat``."""
