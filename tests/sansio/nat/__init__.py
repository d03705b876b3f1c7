"""Tests of NAT traversal without I/O."""
