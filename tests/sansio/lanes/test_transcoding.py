"""Tests for lanes whose ends have different formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.lanes import transcoding
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.sansio.lanes.codec import LaneCodec
from relaykit.sansio.lanes.frp import MessageCodec
from relaykit.sansio.lanes.messages import UDPAddress, UDPPacket
from relaykit.sansio.lanes.transcoding import LaneTranscoding
from relaykit.sansio.wire.framing import V1, V2, Framing
from relaykit.sansio.wire.messages import CORE_MESSAGES
from relaykit.testing.cuts import every_cut, feed_every_cut
from relaykit.values import MOST_DATAGRAM_BYTES, Address
from tests import recorded
from tests.recorded import Conversation

MAKERS: Sequence[Callable[[], LaneCodec]] = (
    BinaryCodec,
    lambda: MessageCodec(V1, MOST_DATAGRAM_BYTES),
    lambda: MessageCodec(V2, MOST_DATAGRAM_BYTES),
)
ALICE, BOB = Address("203.0.113.9", 40000), Address("2001:db8::5", 1)


def framing_of(conversation: Conversation) -> Framing:
    """The version of the wire that a connection has."""
    return {1: V1, 2: V2}[conversation.wire or 0]


def lane_bytes(conversation: Conversation, data: bytes) -> bytes:
    """What follows the opening of a work connection or a visit, in one direction."""
    decoder = framing_of(conversation).make_decoder(CORE_MESSAGES)
    decoder.receive(data.removeprefix(b"FRP\x00\x02\r\n"))
    decoder.next_message()
    return decoder.unread()


class Joined:
    """A transcoding, with the codecs that its two ends have themselves."""

    def __init__(self, make_near: Callable[[], LaneCodec], make_far: Callable[[], LaneCodec]) -> None:
        self.left_out: list[str] = []
        self.between = LaneTranscoding(make_near(), make_far(), self.left_out.append)
        self.near, self.far = make_near(), make_far()

    def to_far(self, *datagrams: tuple[Any, bytes]) -> list[tuple[Any, bytes]]:
        """What arrives of datagrams (key and payload) that the near end sends."""
        sent = b"".join(self.near.encode(key, data) for key, data in datagrams)
        return self._received(self.far, self.between.to_far.process(sent))

    def to_near(self, *datagrams: tuple[Any, bytes]) -> list[tuple[Any, bytes]]:
        """The same the other way round."""
        sent = b"".join(self.far.encode(key, data) for key, data in datagrams)
        return self._received(self.near, self.between.to_near.process(sent))

    def _received(self, codec: LaneCodec, frames: Sequence[Any]) -> list[tuple[Any, bytes]]:
        return [(key, bytes(data or b"")) for frame in frames for key, data in codec.receive(frame)]


def every_pair() -> Iterator[Joined]:
    """Every two formats, the same one twice included."""
    return (Joined(near, far) for near, far in product(MAKERS, MAKERS))


class LaneTranscodingTests(SynchronousTestCase):
    """Tests for :class:`LaneTranscoding`."""

    def test_there_and_back(self) -> None:
        """A user's datagrams arrive, in order and wherever they are cut; so do the answers to this user."""
        for make_near, make_far in product(MAKERS, MAKERS):
            near = make_near()
            sent = [(ALICE, b"one"), (BOB, b""), (ALICE, bytes(range(256)))]
            stream = b"".join(near.encode(near.key_of(user), data) for user, data in sent)
            for portions in every_cut(stream):
                joined = Joined(make_near, make_far)
                frames = [frame for each in portions for frame in joined.between.to_far.process(each)]
                found = [each for frame in frames for each in joined.far.receive(frame)]
                self.assertEqual([(joined.far.user_of(key), data) for key, data in found], sent)
            answered = joined.to_near(*((key, b"re: " + bytes(data or b"")) for key, data in found))
            self.assertEqual(
                [(joined.near.user_of(key), data) for key, data in answered],
                [(user, b"re: " + data) for user, data in sent],
            )

    def test_zone(self) -> None:
        """The answer has the zone of its user as that one's end named it."""
        joined = Joined(MAKERS[1], MAKERS[0])
        user = joined.near.key_of(Address("fe80::1%eth0", 5))
        ((key, _),) = joined.to_far((user, b"x"))
        self.assertEqual(joined.to_near((key, b"y")), [(user, b"y")])

    def test_gone(self) -> None:
        """That a user is gone passes where both formats have it; in another there is nothing to send."""
        for make_near, make_far in product(MAKERS, MAKERS):
            near, joined = make_near(), Joined(make_near, make_far)
            key = near.key_of(ALICE)
            frames = joined.between.to_far.process(near.encode(key, b"x") + near.gone(key))
            found = [each for frame in frames for each in joined.far.receive(frame)]
            far_key = joined.far.key_of(ALICE)
            told = [(far_key, None)] if near.gone(key) and joined.far.gone(far_key) else []
            self.assertEqual((found, b"" in frames), ([(far_key, b"x"), *told], False))
            remembered = 0 if near.gone(key) else 1
            self.assertEqual(len(joined.between.to_far._keys), remembered)
            self.assertEqual(len(joined.between.to_near._keys), remembered)

    def test_keep_alive(self) -> None:
        """Keep-alives of the far end reach the near one in its format; those of the near end go nowhere."""
        for joined in every_pair():
            passed = joined.between.to_near.process(joined.far.keep_alive)
            self.assertEqual(list(passed), [joined.near.keep_alive])
            self.assertEqual(list(joined.between.to_far.process(joined.near.keep_alive)), [])

    def test_too_large(self) -> None:
        """What the other format has no room for is left out, and told; what follows passes."""
        joined = Joined(BinaryCodec, MAKERS[1])
        key = joined.near.key_of(ALICE)
        found = joined.to_far((key, bytes(20_000)), (key, b"small"))
        self.assertEqual([data for _, data in found], [b"small"])
        self.assertEqual(len(joined.left_out), 1)
        self.assertIn("20000 bytes", joined.left_out[0])

    def test_no_address(self) -> None:
        """A datagram of nobody is left out, and told."""
        joined = Joined(MAKERS[1], BinaryCodec)
        packets = V1.encode(UDPPacket(content=b"x", remote=UDPAddress("nowhere", 1)))
        self.assertEqual((list(joined.between.to_far.process(packets)), len(joined.left_out)), ([], 1))

    def test_many_users(self) -> None:
        """A bounded number of users is remembered; one who was forgotten is served as before."""
        self.patch(transcoding, "MOST_KEYS", 2)
        joined = Joined(MAKERS[1], BinaryCodec)
        for _ in range(2):
            for port in range(1, 5):
                user = joined.near.key_of(Address("192.0.2.1", port))
                ((key, _),) = joined.to_far((user, b"x"))
                self.assertEqual(joined.to_near((key, b"y")), [(user, b"y")])
        self.assertEqual((len(joined.between.to_far._keys), len(joined.between.to_near._keys)), (2, 2))

    def test_recorded(self) -> None:
        """What a visitor and a provider of frp sent each other over frps is made of each other's bytes."""
        seen = 0
        for name in recorded.names():
            if not name.startswith("sudp"):
                continue
            visit, work = (
                next(
                    each
                    for each in recorded.load(name).conversations()
                    if each.kind == kind and each.expect["s2c"]
                )
                for kind in ("visitor", "work")
            )
            between = LaneTranscoding(
                MessageCodec(framing_of(visit), MOST_DATAGRAM_BYTES),
                MessageCodec(framing_of(work), MOST_DATAGRAM_BYTES),
                self.fail,
            )
            asked, answered = lane_bytes(visit, visit.c2s), lane_bytes(work, work.c2s)
            self.assertEqual(b"".join(between.to_far.process(asked)), lane_bytes(work, work.s2c), name)
            self.assertEqual(b"".join(between.to_near.process(answered)), lane_bytes(visit, visit.s2c), name)
            seen += len(asked) > 0
        self.assertEqual(seen, 3)

    @given(st.binary(max_size=64), st.sampled_from(range(9)), st.booleans())
    def test_junk(self, junk: bytes, pair: int, back: bool) -> None:
        """Junk is passed on as datagrams, left out, refused or waited for, the same at every cut."""
        make_near, make_far = list(product(MAKERS, MAKERS))[pair]

        def passed(portions: Sequence[bytes]) -> list[Any]:
            joined = Joined(make_near, make_far)
            coder, codec = joined.between.to_far, joined.far
            if back:
                coder, codec = joined.between.to_near, joined.near
            found: list[Any] = []
            for portion in portions:
                try:
                    for frame in coder.process(portion):
                        found += [(key, data and bytes(data)) for key, data in codec.receive(frame)]
                except RemoteProtocolError as error:
                    return [*found, type(error)]
            return found

        feed_every_cut(junk, passed)
