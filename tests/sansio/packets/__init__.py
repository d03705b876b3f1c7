"""Tests for the packets of the virtual network."""
