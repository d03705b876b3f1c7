"""NAT traversal without I/O: STUN, what kind of NAT this is, candidates, hole punching."""
