"""Tests of relaykit.client."""
