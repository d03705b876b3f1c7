"""Tests for the local services that are built in."""
