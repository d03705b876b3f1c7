"""Tests of direct paths: who gets what arrives, and who owns the sockets."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.errors import ConnectionFailed, UnsuitablePathError
from relaykit.interfaces import IMoveReceiver, IStreamPath
from relaykit.nat.paths import EARLY_MAX, TcpPath, UdpPath
from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.sansio.nat.checks import CheckKeys, CheckKind, PeerRole
from relaykit.sansio.nat.pairing import Strategy
from relaykit.sansio.nat.punching import Punched
from relaykit.values import Address, Ended, PathProtocol, Secret
from tests.nat.fakes import BatchedDatagrams, FakeSocket

PEER, STRANGER = Address("198.51.100.3", 6000), Address("198.51.100.3", 6001)
CHECK = CheckKeys(bytes(32), PeerRole.INITIATOR, b"").seal(CheckKind.PROBE, bytes(8), 0)
SECRET = Secret("a secret")
NOBODY: Any = None


class _Driver:
    """Notes what reaches the core of the punch."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.stopped = False

    def arrived(self, via: int, data: bytes, source: Address, arrived_at: str) -> None:
        """Notes it."""
        self.heard.append((via, data))

    def stop(self) -> None:
        """Notes it."""
        self.stopped = True


@implementer(IMoveReceiver)
class _Receiver:
    """Notes what it gets."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: list[Ended] = []
        self.moved: list[Address] = []

    def peer_moved(self, peer: Address) -> None:
        self.moved.append(peer)

    def datagram_received(self, data: Any) -> None:
        self.heard.append(bytes(data))

    def leg_lost(self, reason: Ended) -> None:
        self.lost.append(reason)


@implementer(IStreamPath)
class _Streams:
    """A path of streams that a test loses."""

    def __init__(self) -> None:
        self.lost: Deferred[Ended] = Deferred()
        self.closed = False

    def open_leg(self, urgent: bool) -> Any:
        raise AssertionError("nobody opens a leg here")

    def connection_of(self, leg: Any) -> Any:
        return leg

    def when_lost(self) -> Deferred[Ended]:
        return self.lost

    def close(self) -> None:
        self.closed = True


class UdpPathTests(SynchronousTestCase):
    """A path that is made of UDP."""

    def setUp(self) -> None:
        """Makes a path on socket 7 of a punch."""
        self.socket = FakeSocket("0.0.0.0", 0, None)
        self.driver = _Driver()
        result = Punched(7, PEER, CandidateKind.REFLEXIVE, Strategy.CHECK, 0.1, 0.05)
        socket: Any = self.socket
        driver: Any = self.driver
        self.released = 0
        self.strangers: list[Address] = []
        self.make_path = partial(
            UdpPath,
            socket,
            result,
            PeerRole.INITIATOR,
            driver,
            self.release,
            on_stranger=self.strangers.append,
        )
        self.path = self.make_path()
        self.receiver = _Receiver()

    def release(self) -> None:
        """Notes that the port is given back."""
        self.released += 1

    def arrive(self, data: bytes, source: Address = PEER) -> None:
        """Something arrives."""
        self.socket.receiver(data, source, "")

    def test_ends(self) -> None:
        """It says what it is made of, which end this is, and where both are."""
        self.assertEqual((self.path.protocol, self.path.role), (PathProtocol.UDP, PeerRole.INITIATOR))
        self.assertEqual((self.path.host, self.path.peer), (self.socket.address, PEER))

    def test_checks_go_to_the_core(self) -> None:
        """The punch's own datagrams go to its core, with the number of its socket."""
        self.path.datagrams().attach(self.receiver)
        self.arrive(CHECK, STRANGER)
        self.assertEqual((self.driver.heard, self.receiver.heard), ([(7, CHECK)], []))

    def test_early_datagrams(self) -> None:
        """What the peer sends before there is a receiver is kept, within bounds, in order."""
        for place in range(EARLY_MAX + 3):
            self.arrive(bytes([64, place]))
        self.arrive(b"@stranger", STRANGER)
        self.path.datagrams().attach(self.receiver)
        self.arrive(b"@later")
        self.assertEqual(len(self.receiver.heard), EARLY_MAX + 1)
        self.assertEqual((self.receiver.heard[0], self.receiver.heard[-1]), (bytes([64, 3]), b"@later"))
        self.assertEqual(self.path.dropped, 3)

    def test_pause(self) -> None:
        """While it is paused nothing is delivered; a little is kept."""
        leg = self.path.datagrams()
        leg.attach(self.receiver)
        leg.pause()
        self.arrive(b"@1")
        self.assertEqual(self.receiver.heard, [])
        leg.resume()
        self.assertEqual(self.receiver.heard, [b"@1"])

    def test_sizes(self) -> None:
        """Whether fragments can be forbidden is the socket's to say."""
        self.assertFalse(self.path.forbid_fragments())

    def test_strangers(self) -> None:
        """Nobody but the peer is heard."""
        self.path.datagrams().attach(self.receiver)
        self.arrive(b"@1", STRANGER)
        self.assertEqual(self.receiver.heard, [])

    def test_moved(self) -> None:
        """Who else sends may be the peer.  Once it is, all goes there, and the receiver is told."""
        self.path.datagrams().attach(self.receiver)
        self.arrive(b"@1", STRANGER)
        self.assertEqual((self.strangers, self.receiver.heard), ([STRANGER], []))
        self.path.move(STRANGER)
        self.arrive(b"@2", STRANGER)
        self.arrive(b"@3", PEER)
        self.path.datagrams().send(b"x")
        self.assertEqual((self.path.peer, self.receiver.moved), (STRANGER, [STRANGER]))
        self.assertEqual((self.receiver.heard, self.socket.sent), ([b"@2"], [(b"x", STRANGER, None)]))
        plain: Any = None
        self.path.attach(plain)
        self.path.move(PEER)
        self.assertEqual(self.path.peer, PEER)

    def test_sending_and_closing(self) -> None:
        """What is sent goes to the peer; closing ends the punch, too, and tells everybody once."""
        leg, lost = self.path.datagrams(), self.path.when_lost()
        leg.attach(self.receiver)
        self.assertTrue(leg.send(bytearray(b"x")))
        self.assertEqual(self.socket.sent, [(b"x", PEER, None)])
        leg.close()
        self.path.close()
        self.assertEqual((self.socket.closed, self.driver.stopped, self.released), (True, True, 1))
        self.assertIs(self.successResultOf(lost), Ended.FINISHED)
        self.assertEqual(self.receiver.lost, [Ended.FINISHED])

    def test_batches(self) -> None:
        """What the peer sends at once is handed on at once, to who takes that; checks are sorted out."""
        received = BatchedDatagrams()
        self.path.attach(received)
        take = self.socket.batch_receiver
        take([b"a", b"b"], PEER, "")
        take([b"x", b"y"], STRANGER, "")
        take([b"c", CHECK, b"d"], PEER, "")
        self.assertEqual((received.batches, received.heard), ([[b"a", b"b"]], [b"c", b"d"]))
        self.assertEqual(self.driver.heard, [(7, CHECK)])
        self.path.pause()
        take([b"e", b"f"], PEER, "")
        self.path.resume()
        self.assertEqual(received.heard[2:], [b"e", b"f"])

    def test_sent_together(self) -> None:
        """Datagrams are sent together; those that are not taken are counted."""
        self.assertEqual(self.path.send_many([b"a", b"b"]), 2)
        self.assertEqual([payload for payload, _, _ in self.socket.sent], [b"a", b"b"])
        self.socket.send_many = lambda payloads, destination: 1  # type: ignore[method-assign]
        self.path.send_many([b"a", b"b"])
        self.assertEqual(self.path.dropped, 1)

    def test_lost(self) -> None:
        """Who waits for the loss of the path is told, early and late, and the path is closed."""
        early, given_up = self.path.when_lost(), self.path.when_lost()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.assertNoResult(early)
        self.path.datagrams().attach(self.receiver)
        self.path.lose()
        for each in (early, self.path.when_lost()):
            self.assertIs(self.successResultOf(each), Ended.TIMEOUT)
        self.assertEqual(self.receiver.lost, [Ended.TIMEOUT])
        self.assertEqual((self.socket.closed, self.driver.stopped), (True, True))

    def test_streams(self) -> None:
        """Streams need a protocol, which gets the leg; without one there are none."""
        self.failureResultOf(self.path.open_streams(SECRET, NOBODY), UnsuitablePathError)
        made: Any = _Streams()
        asked: list[Any] = []

        class Over:
            """Makes streams."""

            def open_path(self, *arguments: Any) -> Any:
                """Notes what it is given."""
                asked.append(arguments)
                return succeed(made)

        over: Any = Over()
        path = self.make_path(over)
        self.assertIs(self.successResultOf(path.open_streams(SECRET, NOBODY)), made)
        self.assertEqual(asked, [(path, PeerRole.INITIATOR, SECRET, NOBODY)])


class _Plain:
    """A connected socket."""

    def __init__(self) -> None:
        self.closed = False
        self.is_gone = False

    def getpeername(self) -> tuple[str, int]:
        """The peer, if it is there."""
        if self.is_gone:
            raise OSError("not connected")
        return PEER.host, PEER.port

    def getsockname(self) -> tuple[str, int]:
        """This end."""
        return "192.168.1.5", 7000

    def close(self) -> None:
        """Notes it."""
        self.closed = True


class TcpPathTests(SynchronousTestCase):
    """A path that is made of TCP."""

    def setUp(self) -> None:
        """Makes a path whose streams a test opens."""
        self.plain = _Plain()
        self.asked: list[Any] = []
        self.opening: Deferred[Any] = Deferred()
        plain: Any = self.plain
        self.path = TcpPath(plain, b"early", PeerRole.RESPONDER, 0.5, self.open)

    def open(self, *arguments: Any, **_: Any) -> Any:
        """Notes what it is given."""
        self.asked.append(arguments)
        return self.opening

    def test_ends(self) -> None:
        """It says what it is made of, which end this is, and where both are."""
        self.assertEqual((self.path.protocol, self.path.role), (PathProtocol.TCP, PeerRole.RESPONDER))
        self.assertEqual((self.path.host, self.path.peer), (Address("192.168.1.5", 7000), PEER))

    def test_datagrams(self) -> None:
        """It carries none."""
        self.assertRaises(UnsuitablePathError, self.path.datagrams)

    def test_streams(self) -> None:
        """The socket and what was read of it go to what makes streams, which own the path then."""
        opened, lost = self.path.open_streams(SECRET, NOBODY), self.path.when_lost()
        self.assertEqual(self.asked, [(self.plain, b"early", PeerRole.RESPONDER, SECRET, NOBODY)])
        self.failureResultOf(self.path.open_streams(SECRET, NOBODY), UnsuitablePathError)
        made = _Streams()
        self.opening.callback(made)
        self.assertIs(self.successResultOf(opened), made)
        self.path.close()
        self.assertTrue(made.closed)
        made.lost.callback(Ended.RESET)
        self.assertIs(self.successResultOf(lost), Ended.RESET)

    def test_streams_fail(self) -> None:
        """Where the streams cannot be opened, the path is lost."""
        opened, lost = self.path.open_streams(SECRET, NOBODY), self.path.when_lost()
        self.opening.errback(ConnectionFailed("gone"))
        self.failureResultOf(opened, ConnectionFailed)
        self.assertIs(self.successResultOf(lost), Ended.UNREACHABLE)

    def test_close_while_opening(self) -> None:
        """Closing gives the opening up."""
        opened = self.path.open_streams(SECRET, NOBODY)
        self.path.close()
        self.failureResultOf(opened, CancelledError)

    def test_close(self) -> None:
        """A path that nobody used closes its socket, and has no streams then."""
        lost = self.path.when_lost()
        self.path.close()
        self.path.close()
        self.assertTrue(self.plain.closed)
        self.assertIs(self.successResultOf(lost), Ended.FINISHED)
        self.failureResultOf(self.path.open_streams(SECRET, NOBODY), UnsuitablePathError)

    def test_gone_already(self) -> None:
        """A peer that is gone before there is a path makes none."""
        plain: Any = self.plain
        plain.is_gone = True
        self.assertRaises(OSError, TcpPath, plain, b"", PeerRole.INITIATOR, 0.1, None)
