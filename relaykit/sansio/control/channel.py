"""How the bytes of a session are encrypted once the login was answered."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from relaykit.sansio.control.channel_binding import BoundKeys
from relaykit.sansio.control.extensions import Agreement
from relaykit.sansio.wire.aead import Opener, Sealer
from relaykit.sansio.wire.cipher import IV_LENGTH, Decryptor, Encryptor, derive_key
from relaykit.sansio.wire.coders import StreamCoder
from relaykit.sansio.wire.hello import ControlKeys, derive_keys
from relaykit.values import Secret

__all__ = ["Channel", "client_channel", "server_channel"]


@frozen
class Channel:
    """Both directions of one end."""

    outbound: StreamCoder
    inbound: StreamCoder


def client_channel(
    token: Secret,
    agreed: Agreement | None,
    entropy: Callable[[int], bytes],
    bound: BoundKeys | None = None,
) -> Channel:
    """The client's end; ``agreed`` is None with wire version 1, ``bound`` is for a login that is bound."""
    if agreed is None:
        return _version_1(token, entropy)
    keys = _keys(token, agreed, bound)
    nonce = entropy(agreed.algorithm.nonce_length)
    return Channel(
        Sealer(agreed.algorithm, keys.client_to_server, nonce),
        Opener(agreed.algorithm, keys.server_to_client),
    )


def server_channel(
    token: Secret,
    agreed: Agreement | None,
    entropy: Callable[[int], bytes],
    bound: BoundKeys | None = None,
) -> Channel:
    """The server's end; see :func:`client_channel`."""
    if agreed is None:
        return _version_1(token, entropy)
    keys = _keys(token, agreed, bound)
    nonce = entropy(agreed.algorithm.nonce_length)
    return Channel(
        Sealer(agreed.algorithm, keys.server_to_client, nonce),
        Opener(agreed.algorithm, keys.client_to_server),
    )


def _keys(token: Secret, agreed: Agreement, bound: BoundKeys | None) -> ControlKeys:
    if bound is not None:
        return bound.control_keys(agreed.algorithm)
    return derive_keys(token.to_bytes(), agreed.algorithm, agreed.transcript)


def _version_1(token: Secret, entropy: Callable[[int], bytes]) -> Channel:
    key = derive_key(token.to_bytes())
    return Channel(Encryptor(key, entropy(IV_LENGTH)), Decryptor(key))
