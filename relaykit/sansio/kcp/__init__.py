"""KCP: a reliable stream over datagrams, as frp speaks it."""
