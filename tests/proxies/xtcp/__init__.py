"""Tests of the proxy type ``xtcp``."""
