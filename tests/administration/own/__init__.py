"""Tests for :mod:`relaykit.administration.own`."""
