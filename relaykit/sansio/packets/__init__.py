"""Packets of IP on streams, and which stream each of them belongs to: the virtual network, without I/O."""
