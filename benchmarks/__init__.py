"""Compares relaykit with the direct loopback, frp and rathole: ``python -m benchmarks``."""
