"""Tests of NAT session at work."""
