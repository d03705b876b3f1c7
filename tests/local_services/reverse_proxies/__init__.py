"""Tests for :mod:`relaykit.local_services.reverse_proxies`."""
