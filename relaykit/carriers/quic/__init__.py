"""QUIC over datagrams of any kind: streams and datagrams between two ends, encrypted."""
