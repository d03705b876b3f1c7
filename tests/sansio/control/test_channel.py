from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.control.channel import Channel, client_channel, server_channel
from relaykit.sansio.control.channel_binding import BoundKeys
from relaykit.sansio.control.extensions import Agreement
from relaykit.sansio.wire.aead import Algorithm
from relaykit.sansio.wire.framing import encode_v1
from relaykit.sansio.wire.messages import Pong, ReqWorkConn
from relaykit.values import Secret
from tests.sansio.control.ends import TOKEN, fixed


def agreement(algorithm: Algorithm, transcript: bytes = bytes(32)) -> Agreement:
    """What hellos came to."""
    return Agreement(algorithm, transcript, frozenset())


def carried(near: Channel, far: Channel, *pieces: bytes) -> bytes:
    """What the far end gets of what the near end sends."""
    ciphertext = b"".join(bytes(part) for piece in pieces for part in near.outbound.process(piece))
    return b"".join(bytes(part) for part in far.inbound.process(ciphertext))


class ChannelTests(SynchronousTestCase):
    """What one end encrypts the other decrypts, and nobody else."""

    def test_both_directions(self) -> None:
        """Both directions carry bytes unchanged, in version 1 and with both algorithms of version 2."""
        for agreed in (None, *map(agreement, Algorithm)):
            near = client_channel(TOKEN, agreed, fixed(1))
            far = server_channel(TOKEN, agreed, fixed(101))
            self.assertEqual(carried(near, far, b"to the server", b"!"), b"to the server!")
            self.assertEqual(carried(far, near, b"to the client"), b"to the client")

    def test_directions_differ(self) -> None:
        """In version 2 what an end sent cannot be played back to it."""
        near = client_channel(TOKEN, agreement(Algorithm.AES_256_GCM), fixed(1))
        self.assertRaises(RemoteProtocolError, carried, near, near, b"to the server")

    def test_another_token_or_transcript(self) -> None:
        """In version 2 neither another token nor other hellos open what was sealed."""
        agreed = agreement(Algorithm.AES_256_GCM)
        near = client_channel(TOKEN, agreed, fixed(1))
        for token, other in (
            (Secret("another"), agreed),
            (TOKEN, agreement(Algorithm.AES_256_GCM, b"\x01" * 32)),
        ):
            far = server_channel(token, other, fixed(101))
            self.assertRaises(RemoteProtocolError, carried, near, far, b"x")

    def test_bound(self) -> None:
        """Where the login was bound, knowing the token is not enough: its own key opens what was sealed."""
        bound, other = (
            BoundKeys(bytes(32), bytes(32), bytes(32)),
            BoundKeys(bytes(32), b"\x01" * 32, bytes(32)),
        )
        for agreed in map(agreement, Algorithm):
            near = client_channel(TOKEN, agreed, fixed(1), bound)
            self.assertEqual(carried(near, server_channel(TOKEN, agreed, fixed(101), bound), b"x"), b"x")
            for keys in (None, other):
                near = client_channel(TOKEN, agreed, fixed(1), bound)
                far = server_channel(TOKEN, agreed, fixed(101), keys)
                self.assertRaises(RemoteProtocolError, carried, near, far, b"x")

    def test_bytes_of_version_1(self) -> None:
        """With a known vector the bytes are those of the specification."""
        far = server_channel(TOKEN, None, fixed(0))
        pieces = [*far.outbound.process(encode_v1(ReqWorkConn())), *far.outbound.process(encode_v1(Pong()))]
        self.assertEqual(
            b"".join(bytes(piece) for piece in pieces).hex(),
            "000102030405060708090a0b0c0d0e0f5e98a24026e4cf47613434ea3402bd6e9c748e08a532",
        )
