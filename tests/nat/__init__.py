"""Tests of NAT traversal at work."""
