"""Tests for the modules of ``relaykit/commands/demo``."""
