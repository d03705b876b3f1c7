"""Tests for the local service ``static_file``."""
