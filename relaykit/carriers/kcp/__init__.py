"""KCP: between client and server, and over direct paths."""
