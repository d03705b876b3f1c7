"""The two keys that are made of the secret of a service which its visitors reach by direct paths.

The *rendezvous key* is what the relay server gets in place of the secret: it lets those visitors in who
know it. The *path key* never leaves the two ends, which prove it to each other inside the path (see
:mod:`relaykit.sansio.nat.path_proof`).  Neither can be made of the other one.  So a server that brings
together whom it should not, or itself, has nothing to show to either end.

Both are for one proxy: where two have the same secret, the server cannot lead the visitor of one to the
other.

Whoever has the rendezvous key can try secrets against it at home, which costs next to nothing: a secret
must be one that a program made, not a word.

Source: RFC 5869.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relaykit.values import Secret

__all__ = ["KEY_BYTES", "path_key", "rendezvous_key"]

KEY_BYTES = 32
"""Bytes of either key; as a secret it is hexadecimal."""

_RENDEZVOUS, _PATH = b"relaykit rendezvous key", b"relaykit path key"


def rendezvous_key(secret: Secret, proxy_name: str) -> Secret:
    """What the server knows of a proxy's secret.

    :param proxy_name: what the server calls the proxy, user prefix included.
    """
    return _derived(secret, _RENDEZVOUS, proxy_name)


def path_key(secret: Secret, proxy_name: str) -> Secret:
    """What only the two ends know of it."""
    return _derived(secret, _PATH, proxy_name)


def _derived(secret: Secret, label: bytes, proxy_name: str) -> Secret:
    info = label + b"\0" + proxy_name.encode("utf-8", "surrogateescape")
    return Secret(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret.to_bytes()).hex())
