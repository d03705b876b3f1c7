"""Packets for tests."""

from __future__ import annotations

from ipaddress import ip_address

__all__ = ["packet"]


def packet(source: str, destination: str, content: bytes = b"") -> bytes:
    """A packet of IP between two addresses of one version."""
    ends = ip_address(source).packed + ip_address(destination).packed
    if len(ends) == 8:
        return b"\x45\0" + (20 + len(content)).to_bytes(2, "big") + bytes(8) + ends + content
    return b"\x60\0\0\0" + len(content).to_bytes(2, "big") + b"\x3b\x40" + ends + content
