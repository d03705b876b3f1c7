"""Tests for :mod:`relaykit.proxies.sudp`."""
