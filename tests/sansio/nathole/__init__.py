"""Tests of frp's hole punching without I/O."""
