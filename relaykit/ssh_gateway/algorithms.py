"""What the gateway agrees to: of what ``twisted.conch`` has, nothing with known weaknesses.

Left out are SHA-1 and MD5 in whatever place, CBC, 3DES, DSA, compression, and groups of primes from a file.
"""

from __future__ import annotations

from twisted.conch.ssh._kex import getSupportedKeyExchanges

__all__ = ["CIPHERS", "COMPRESSIONS", "KEY_EXCHANGES", "MACS", "USER_SIGNATURES"]

_KEY_EXCHANGES = (
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
    b"ecdh-sha2-nistp256",
    b"ecdh-sha2-nistp384",
    b"ecdh-sha2-nistp521",
)

KEY_EXCHANGES = [name for name in _KEY_EXCHANGES if name in getSupportedKeyExchanges()]
"""In the order in which they are liked; older versions of the library lack the first."""

CIPHERS = [b"aes128-ctr", b"aes256-ctr", b"aes192-ctr"]
"""The same of ciphers."""

MACS = [b"hmac-sha2-256", b"hmac-sha2-512"]
"""The same of message authentication codes."""

COMPRESSIONS = [b"none"]
"""A packet that grows a thousandfold when it is unpacked must not come from just anybody."""

USER_SIGNATURES = (
    b"ssh-ed25519",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
)
"""What keys of users may sign with; clients are told.  Source: RFC 8308 section 3.1."""
