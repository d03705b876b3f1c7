"""Tests of OpenID Connect without I/O."""
