"""Probes of frp's hole punching: one encrypted message a datagram.

A probe is a frame of version 1 in frp's stream cipher, keyed by the secret key of the proxy.  The cipher
hides and does not authenticate: who knows no secret can neither read a probe nor make one, but may change
bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.nathole.messages import NatHoleSid
from relaykit.sansio.wire.cipher import IV_LENGTH, Decryptor, Encryptor, derive_key
from relaykit.sansio.wire.framing import V1Decoder, encode_v1
from relaykit.sansio.wire.messages import MessageTable
from relaykit.values import Secret

__all__ = ["PROBE_MAX_BYTES", "ProbeCodec"]

PROBE_MAX_BYTES = 1024
"""Largest datagram that is looked at: frp's buffer for one.  Theirs have up to 140 bytes."""

_HEADER_BYTES = 9
_PROBES = MessageTable.of((NatHoleSid,))


class ProbeCodec:
    """Messages to datagrams and back, for all who know a proxy's secret key.

    :param entropy: gives that many unpredictable bytes.
    """

    def __init__(self, secret: Secret, entropy: Callable[[int], bytes]) -> None:
        self._key = derive_key(secret.to_bytes())
        self._entropy = entropy

    def encode(self, probe: NatHoleSid) -> bytes:
        """A datagram; another one each time."""
        return b"".join(Encryptor(self._key, self._entropy(IV_LENGTH)).process(encode_v1(probe)))

    def decode(self, datagram: Buffer) -> NatHoleSid | None:
        """The probe in a datagram; None if it is something else."""
        if not IV_LENGTH + _HEADER_BYTES < len(datagram) <= PROBE_MAX_BYTES:
            return None
        decoder = V1Decoder(_PROBES)
        for piece in Decryptor(self._key).process(datagram):
            decoder.receive(piece)
        try:
            message = decoder.next_message()
        except RemoteProtocolError:
            return None
        return message if isinstance(message, NatHoleSid) else None
