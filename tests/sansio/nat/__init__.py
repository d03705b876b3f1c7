"""Tests of NAT session without I/O."""
