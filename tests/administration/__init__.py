"""Tests for :mod:`relaykit.administration`."""
