"""What a server of QUIC does before there is a connection, and what belongs to none."""
