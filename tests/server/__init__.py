"""Tests of relaykit.server."""
