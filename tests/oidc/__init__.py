"""Tests of OpenID Connect."""
