"""Tests of what is made of a QUIC library."""

from __future__ import annotations

import itertools
import logging
import random
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

from attrs import evolve, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.quic import adapter
from relaykit.carriers.quic.adapter import (
    CONNECTION_WINDOW_BYTES,
    FRAME_BYTES,
    LIBRARIES,
    MOST_STREAMS,
    PIECE_COST_BYTES,
    Library,
    Settings,
    load,
    load_ahead,
    required,
    timed_out,
)
from relaykit.certificates.own import KeyPair, self_signed
from relaykit.errors import QuicUnavailableError
from tests.carriers.quic.lines import libraries, missing
from tests.certificates.test_own import NOW

PAIR = self_signed(NOW)

ACK_DELAY_S = 0.025
"""Seconds that an end may take to acknowledge something.  Source: RFC 9000 18.2."""


class Two:
    """A client and a server, between which datagrams pass at once."""

    def __init__(
        self, one: Library, two: Library, takes_datagrams: bool = False, key_pair: KeyPair = PAIR
    ) -> None:
        self.now = 100.0
        client, server = (
            Settings(
                protocols=("x",),
                idle_s=30.0,
                key_pair=pair,
                is_client=pair is None,
                takes_datagrams=takes_datagrams,
            )
            for pair in (None, key_pair)
        )
        self.ends = one.connection(client), two.connection(server)
        self.events: tuple[list[Any], list[Any]] = ([], [])
        self.lose: Callable[[], bool] = lambda: False
        """Whether the next datagram is lost."""
        for end in self.ends:
            end.start(self.now)
        self.run()

    def run(self, most: int = 200) -> None:
        """Lets datagrams pass, and time, until nothing is left to send; so many times at most."""
        for _ in range(most):
            moved = False
            for place, end in enumerate(self.ends):
                datagrams = end.to_send(self.now)
                if datagrams:
                    moved = True
                    arrived = [data for data in datagrams if not self.lose()]
                    self.ends[1 - place].receive(arrived, self.now)
                for each, events in zip(self.ends, self.events, strict=True):
                    events.extend(each.events())
            self.now += 0.01
            for end in self.ends:
                due = end.next_wakeup()
                if due is not None and due <= self.now:
                    end.wake(self.now)
            if not moved:
                return

    def pass_time(self, seconds: float) -> None:
        """Lets so much time pass, and datagrams."""
        until = self.now + seconds
        while self.now < until:
            self.run()

    def got(self, place: int, name: str) -> list[Any]:
        """Events of this kind at one end."""
        return [each for each in self.events[place] if type(each).__name__ == name]


def _chance(numbers: random.Random, part: float) -> bool:
    return numbers.random() < part


def pairs() -> list[Two]:
    """Connections of each library with each."""
    return [Two(one, two, takes_datagrams=True) for one in libraries() for two in libraries()]


@frozen
class _Thread:
    """A thread that the test runs."""

    target: Any
    name: str
    daemon: bool
    started: list[bool] = field(factory=list)

    def start(self) -> None:
        """Notes it."""
        self.started.append(True)


class LoadTests(SynchronousTestCase):
    """Which library is taken."""

    def setUp(self) -> None:
        load.cache_clear()
        self.addCleanup(load.cache_clear)

    def test_none(self) -> None:
        """Without any the error says how to get one."""
        self.patch(adapter, "import_module", self._missing)
        error = self.assertRaises(QuicUnavailableError, load)
        self.assertIn("pip install 'relaykit[quic]'", str(error))

    def _missing(self, name: str) -> ModuleType:
        raise ModuleNotFoundError(name=name)

    def test_best(self) -> None:
        """The faster one is taken where both are there, and the other one where it is missing."""
        if missing("qh3") or missing("aioquic"):
            self.skipTest("one of the two libraries is not installed")
        self.assertEqual((load().name, load("aioquic").name), LIBRARIES)
        original = import_module
        load.cache_clear()
        self.patch(
            adapter,
            "import_module",
            lambda name: self._missing(name) if name.startswith("qh3") else original(name),
        )
        self.assertEqual(load().name, "aioquic")

    def test_ahead(self) -> None:
        """It is loaded ahead once, in a thread; what is missing is told by who uses it."""
        load_ahead.cache_clear()
        self.addCleanup(load_ahead.cache_clear)
        threads: list[_Thread] = []

        def begin(**what: Any) -> _Thread:
            threads.append(_Thread(**what))
            return threads[-1]

        self.patch(adapter, "threading", SimpleNamespace(Thread=begin))
        load_ahead()
        load_ahead()
        (thread,) = threads
        self.assertTrue(thread.daemon and thread.started)
        thread.target()
        self.assertEqual(load.cache_info().currsize, int(missing() is None))
        self.patch(adapter, "import_module", self._missing)
        load.cache_clear()
        thread.target()

    def test_required(self) -> None:
        """Who needs one can make sure of it without loading it."""
        for is_there in (True, False):
            self.patch(adapter, "find_spec", lambda name, is_there=is_there: is_there or None)
            if is_there:
                required()
            else:
                error = self.assertRaises(QuicUnavailableError, required)
                self.assertIn("pip install 'relaykit[quic]'", str(error))
        self.assertEqual(load.cache_info().currsize, 0)

    def test_quiet(self) -> None:
        """What a library says by the standard library's logging goes nowhere by itself."""
        if missing():
            self.skipTest(str(missing()))
        load()
        self.assertTrue(logging.getLogger("quic").handlers)

    def test_lazy(self) -> None:
        """Importing this module imports no library."""
        self.assertFalse({"qh3", "aioquic"} & set(vars(sys.modules[adapter.__name__])))


class ConnectionTests(SynchronousTestCase):
    """What both libraries must do, each with each."""

    skip = missing()

    def test_channel(self) -> None:
        """Both ends see the certificate of the server."""
        for two in pairs():
            self.assertEqual([end.channel for end in two.ends], [PAIR.der] * 2)
            self.assertEqual([len(two.got(place, "HandshakeCompleted")) for place in (0, 1)], [1, 1])

    def test_streams(self) -> None:
        """Bytes and the end arrive; what was not sent yet can be asked for."""
        for two in pairs():
            number = two.ends[0].open()
            self.assertEqual(number, 0)
            assert number is not None
            two.ends[0].write(number, b"x" * 100_000, True)
            self.assertEqual((two.ends[0].unsent(number), two.ends[0].settled), (100_000, False))
            two.run()
            self.assertEqual((two.ends[0].unsent(number), two.ends[0].settled), (0, True))
            got = two.got(1, "StreamDataReceived")
            self.assertEqual(sum(len(each.data) for each in got), 100_000)
            self.assertTrue(got[-1].end_stream)

    def test_end_lost(self) -> None:
        """The end of a stream arrives although it, and the bytes before it, were lost at first."""
        for two in pairs():
            number = two.ends[0].open()
            assert number is not None
            two.ends[0].write(number, b"x", False)
            lost = [two.ends[0].to_send(two.now)]
            two.ends[0].write(number, b"", True)
            self.assertFalse(two.ends[0].settled)
            lost.append(two.ends[0].to_send(two.now))
            self.assertTrue(all(lost))
            # What follows shows the peer, and by its answers this end, that those packets were lost.
            for _ in range(4):
                two.ends[0].ping(1)
                two.ends[1].receive(two.ends[0].to_send(two.now), two.now)
            two.pass_time(10.0)
            got = two.got(1, "StreamDataReceived")
            self.assertEqual(b"".join(each.data for each in got), b"x")
            self.assertTrue(got[-1].end_stream)
            self.assertTrue(two.ends[0].settled)

    def test_ends_on_a_bad_line(self) -> None:
        """Each end of many streams arrives, half of them stopped, too, although many packets are lost."""
        for two in pairs():
            two.lose = partial(_chance, random.Random(5), 0.3)
            numbers = [two.ends[0].open() for _ in range(100)]
            for place, number in enumerate(numbers):
                assert number is not None
                two.ends[0].write(number, b"x" * 100, False)
                two.run(1)
                if place % 2:
                    two.ends[0].stop(number, 0)
                two.ends[0].write(number, b"", True)
                two.run(1)
            two.pass_time(2.0)
            two.lose = lambda: False
            two.pass_time(10.0)
            ended = {each.stream_id for each in two.got(1, "StreamDataReceived") if each.end_stream}
            self.assertEqual(ended, set(numbers))

    def test_end_among_losses(self) -> None:
        """An end does not wait for ever for a time without losses."""
        for two in pairs():
            ended, other = two.ends[0].open(), two.ends[0].open()
            assert ended is not None and other is not None
            two.ends[0].write(ended, b"x", False)
            two.run(1)
            two.ends[0].write(ended, b"", True)
            # Of each few packets the first is lost, whatever is in it.
            two.lose = partial(next, itertools.cycle((True, False, False, False, False)))
            for _ in range(100):
                two.ends[0].write(other, b"x" * 10_000, False)
                two.run(1)
            self.assertTrue(
                any(each.end_stream for each in two.got(1, "StreamDataReceived") if each.stream_id == ended)
            )

    def test_reset_while_the_end_waits(self) -> None:
        """A stream that is reset before its end was sent is reset, and nothing is left to do."""
        for two in pairs():
            two.ends[0].open()
            two.ends[0].write(0, b"x", False)
            two.ends[0].to_send(two.now)
            two.ends[0].write(0, b"", True)
            two.ends[0].reset(0, 7)
            two.pass_time(5.0)
            (reset,) = two.got(1, "StreamReset")
            self.assertEqual(reset.error_code, 7)
            self.assertTrue(two.ends[0].settled)

    def test_room(self) -> None:
        """What is written while there is room, on any number of streams, holds up no acknowledgement."""
        for two in pairs():
            end, other = two.ends
            left = before = end.room_bytes
            for size in itertools.cycle((1, 50, 3000, 700, end.most_piece_bytes)):
                left -= size + PIECE_COST_BYTES
                number = end.open()
                if left < 0 or number is None:
                    break
                end.write(number, bytes(size), True)
            self.assertGreater(before, 8 * end.most_piece_bytes)
            self.assertLess(end.room_bytes, before // 2)
            # It is all lost.
            self.assertTrue(end.to_send(two.now))
            number = other.open()
            assert number is not None
            other.write(number, bytes(5000), True)
            end.receive(other.to_send(two.now), two.now)
            left = other.room_bytes
            two.now += ACK_DELAY_S
            other.receive(end.to_send(two.now), two.now)
            self.assertGreater(other.room_bytes, left)

    def test_many_streams(self) -> None:
        """A peer may have a few thousand at once, and no more."""
        for two in pairs():
            opened = 0
            while two.ends[0].open() is not None:
                opened += 1
            self.assertEqual(opened, MOST_STREAMS)

    def test_in_turns(self) -> None:
        """Of streams whose packets come in turns each is told of once, with all that came, in order."""
        for two in pairs():
            client, server = two.ends
            streams = [client.open() for _ in range(3)]
            sent = {number: b"" for number in streams}
            datagrams: list[bytes] = []
            for turn in range(4):
                for number in streams:
                    assert number is not None
                    data = bytes([turn, number]) * 100
                    sent[number] += data
                    client.write(number, data, False)
                    # It may have to wait until the network is thought to carry more.
                    two.now += 0.01
                    datagrams += client.to_send(two.now)
            server.receive(datagrams, two.now)
            arrived = [each for each in server.events() if type(each).__name__ == "StreamDataReceived"]
            self.assertEqual([each.stream_id for each in arrived], streams)
            self.assertEqual({each.stream_id: each.data for each in arrived}, sent)

    def test_ends(self) -> None:
        """A reset and a request to stop arrive with their codes; of a stream that is over they do nothing."""
        for two in pairs():
            numbers = [two.ends[0].open() for _ in range(2)]
            for number in numbers:
                assert number is not None
                two.ends[0].write(number, b"x", False)
            two.run()
            two.ends[0].reset(0, 7)
            two.ends[0].stop(4, 9)
            two.run()
            (reset,), (stopped,) = two.got(1, "StreamReset"), two.got(1, "StopSendingReceived")
            self.assertEqual((reset.error_code, stopped.error_code), (7, 9))
            for end in two.ends:
                end.reset(0, 1)
                end.stop(0, 1)
                end.reset(4, 1)
            two.run()
            for end in two.ends:
                end.reset(0, 1)
                end.stop(0, 1)

    def test_ping(self) -> None:
        """A ping is answered, and the round trip is known."""
        for two in pairs():
            two.ends[0].ping(5)
            two.run()
            self.assertEqual([each.uid for each in two.got(0, "PingAcknowledged")], [5])
            self.assertIsNotNone(two.ends[0].round_trip_s)

    def test_frames(self) -> None:
        """Datagrams pass up to the size that is told, which is what a packet carries."""
        for two in pairs():
            most = two.ends[0].most_frame_bytes
            self.assertTrue(1100 < most < FRAME_BYTES)
            for size in (0, 1, most):
                two.ends[0].send_frame(bytes(size))
            two.run()
            got = two.got(1, "DatagramFrameReceived")
            self.assertEqual([len(each.data) for each in got], [0, 1, most])

    def test_no_frames(self) -> None:
        """A peer that takes none is sent none, and one that sends them all the same is let go."""
        for two in (Two(one, two) for one in libraries() for two in libraries()):
            self.assertEqual([end.most_frame_bytes for end in two.ends], [0, 0])
        if missing("aioquic"):
            return
        for library in libraries():
            two = Two(library, load("aioquic"))
            two.ends[1]._quic._remote_max_datagram_frame_size = FRAME_BYTES
            two.ends[1].send_frame(b"unasked")
            two.run()
            self.assertEqual(two.got(0, "DatagramFrameReceived"), [])
            self.assertIsNotNone(two.ends[0].ending)

    def test_borrowed_certificate(self) -> None:
        """Who shows another's certificate, and has not its key, is no server, though nobody verifies it."""
        for one in libraries():
            for other in libraries():
                two = Two(one, other, key_pair=evolve(PAIR, key=self_signed(NOW).key))
                self.assertEqual(two.got(0, "HandshakeCompleted"), [])
                self.assertIsNotNone(two.ends[0].ending)

    def test_withheld(self) -> None:
        """While credit is withheld a peer can send no more than one window; then it goes on."""
        self.patch(adapter, "CONNECTION_WINDOW_BYTES", 256 * 1024)
        for two in pairs():
            number = two.ends[0].open()
            assert number is not None
            two.ends[0].write(number, b"x", False)
            two.run()
            two.ends[1].withhold(True)
            two.ends[0].write(number, bytes(2 * 1024 * 1024), False)
            two.run()
            self.assertGreater(two.ends[0].unsent(number), 1024 * 1024)
            two.ends[1].withhold(False)
            for _ in range(20):
                two.run()
            self.assertEqual(two.ends[0].unsent(number), 0)
        self.assertEqual(CONNECTION_WINDOW_BYTES, 16 * 1024 * 1024)

    def test_stopped_while_withheld(self) -> None:
        """What is written to a stream is dropped where it is not yet told that the peer takes no more."""
        for two in pairs():
            number = two.ends[0].open()
            assert number is not None
            two.ends[0].write(number, b"x", False)
            two.run()
            two.ends[1].withhold(True)
            two.ends[0].stop(number, 1)
            two.run()
            two.ends[1].write(number, b"too late", True)
            two.run()
            self.assertEqual(two.ends[1].unsent(number), 0)
            self.assertIsNone(two.ends[1].ending)

    def test_closed(self) -> None:
        """Closing is told to the peer; that nothing came for long is told apart from it."""
        for two in pairs():
            self.assertIsNone(two.ends[1].ending)
            two.ends[0].close(0, "")
            two.run()
            ending = two.ends[1].ending
            self.assertEqual((ending.error_code, ending.frame_type, timed_out(ending)), (0, None, False))
        for library in libraries():
            two = Two(library, library)
            two.now += 100.0
            two.ends[0].wake(two.now)
            self.assertTrue(timed_out(two.ends[0].ending))

    def test_before_it_begins(self) -> None:
        """A server that has heard nothing has nothing to say, and takes what makes no sense."""
        for library in libraries():
            end = library.connection(Settings(protocols=("x",), idle_s=30.0, key_pair=PAIR))
            end.start(1.0)
            end.wake(1.0)
            end.ping(1)
            end.withhold(True)
            end.receive([b"", b"\xc0", bytes(1300), b"\xc0" + bytes(1300)], 1.0)
            self.assertEqual((end.to_send(1.0), end.next_wakeup(), list(end.events())), ([], None, []))
            self.assertEqual((end.settled, end.most_frame_bytes, end.round_trip_s), (True, 0, None))
            end.close(0, "")

    def test_exporter(self) -> None:
        """Both ends of a connection export the same secret, whatever their libraries; others do not."""
        seen = set()
        for one in libraries():
            for other in libraries():
                two = Two(one, other)
                client, server = two.ends
                secret = client.export(b"label", 32)
                self.assertEqual(server.export(b"label", 32), secret)
                self.assertNotEqual(server.export(b"other label", 32), secret)
                seen.add(secret)
            early = one.connection(Settings(protocols=("x",), idle_s=30.0, is_client=True))
            self.assertRaises(ValueError, early.export, b"label", 32)
        self.assertEqual(len(seen), len(libraries()) ** 2)

    def test_chain(self) -> None:
        """The client has what the server showed, with what leads to its authority."""
        leaf, other = self_signed(NOW), self_signed(NOW)
        shown = evolve(leaf, certificate=leaf.certificate + other.certificate)
        for one in libraries():
            for library in libraries():
                client, server = Two(one, library, key_pair=shown).ends
                self.assertEqual(list(client.peer_chain), [leaf.der, other.der])
                self.assertEqual(list(server.peer_chain), [])

    def test_nameless_client(self) -> None:
        """Clients whose connection id has no bytes are served, whatever id they make up for the server."""
        if missing("aioquic"):
            self.skipTest("aioquic is not installed")
        for library in libraries():
            for size in (8, 13, 20):
                two = Two(_nameless(size), library)
                number = two.ends[0].open()
                assert number is not None
                two.ends[0].write(number, bytes(100_000), True)
                two.run()
                two.ends[1].write(number, bytes(100_000), True)
                two.run()
                for place in (0, 1):
                    got = two.got(place, "StreamDataReceived")
                    self.assertEqual(sum(len(each.data) for each in got), 100_000)

    def test_forged_beginning(self) -> None:
        """A first packet of somebody else does not keep the client's own from being taken."""
        named = b"\xc0\x00\x00\x00\x01\x08" + bytes(8) + b"\x08" + bytes(8) + b"\x00\x44\xd0" + bytes(1300)
        nameless = b"\xc0\x00\x00\x00\x01\x14" + bytes(20) + b"\x00\x00\x44\xd0" + bytes(1300)
        kinds = [*libraries(), *([] if missing("aioquic") else [_nameless(8)])]
        for library, of, forged in itertools.product(libraries(), kinds, (named, nameless)):
            client = of.connection(Settings(protocols=("x",), idle_s=30.0, is_client=True))
            client.start(1.0)
            server = library.connection(Settings(protocols=("x",), idle_s=30.0, key_pair=PAIR))
            server.start(1.0)
            server.receive([forged[:1300]], 1.0)
            server.receive(client.to_send(1.0), 1.0)
            self.assertTrue(server.to_send(1.0))

    def test_junk(self) -> None:
        """Junk, cut and changed datagrams, in the midst of a transfer, harm neither end."""
        chance = random.Random(3)
        for two in pairs():
            number = two.ends[0].open()
            assert number is not None
            two.ends[0].write(number, bytes(200_000), True)
            for _ in range(300):
                for place, end in enumerate(two.ends):
                    datagrams = end.to_send(two.now)
                    junk = [_spoiled(chance, data) for data in datagrams]
                    junk.append(chance.randbytes(chance.randrange(1500)))
                    other = two.ends[1 - place]
                    other.receive([*junk, *datagrams], two.now)
                    two.events[1 - place].extend(other.events())
                two.now += 0.01
                for end in two.ends:
                    due = end.next_wakeup()
                    if due is not None and due <= two.now:
                        end.wake(two.now)
            got = two.got(1, "StreamDataReceived")
            self.assertEqual(sum(len(each.data) for each in got), 200_000)


def _nameless(size: int) -> Library:
    """An aioquic whose clients have connection ids without bytes, and make up one of this size."""
    library = Library("aioquic")
    library._configuration = partial(library._configuration, connection_id_length=0)

    class Quic(library._class):  # type: ignore[misc, name-defined]  # a class of a module that may be missing
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self._original_destination_connection_id = self._peer_cid.cid = bytes(size)

        def _replenish_connection_ids(self) -> None:
            """There is only the one."""

    library._class = Quic
    return library


def _spoiled(chance: random.Random, data: bytes) -> bytes:
    """A datagram with a bit flipped, or cut."""
    if chance.random() < 0.5:
        return data[: chance.randrange(len(data))]
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
