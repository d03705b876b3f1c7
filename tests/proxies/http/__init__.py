"""Tests of the proxy type ``http``."""
