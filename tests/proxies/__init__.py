"""Tests of relaykit.proxies."""
