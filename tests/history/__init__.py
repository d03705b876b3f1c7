"""Tests for :mod:`relaykit.history`."""
