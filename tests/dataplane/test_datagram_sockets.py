"""UDP sockets that do what the test says."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from relaykit.dataplane.datagram_sockets import READS_AT_ONCE, DatagramPort, DatagramSocketLeg
from relaykit.dataplane.datagrams import HELD_DATAGRAMS
from relaykit.dataplane.poller import PIECE_BYTES, READ, EpollPoller
from relaykit.interfaces import (
    IBatchedDatagramAcceptor,
    IBatchedDatagramLeg,
    IDatagramLeg,
    IListeningPort,
    IProbedDatagramLeg,
)
from relaykit.testing.memory import RecordingDatagrams
from relaykit.values import Address, Ended, Origin
from tests.dataplane.fakes import (
    AcceptingDatagrams,
    FakeDatagramSocket,
    FakePoller,
    FakeReactor,
    RecordingBatches,
    os_error,
)
from tests.dataplane.test_poller import FakeEpoll

HOST = Address("192.0.2.2", 53)
USER, OTHER, THIRD = (("192.0.2.1", number) for number in (1000, 1001, 1002))


class DatagramSocketLegTests(SynchronousTestCase):
    """A leg to a local service."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.socket = FakeDatagramSocket()
        plain = cast(socket.socket, self.socket)
        self.leg = DatagramSocketLeg(self.poller, plain, HOST, Address("192.0.2.2", 1))

    def test_interface(self) -> None:
        """It is a datagram leg that reads nothing until somebody wants it."""
        verifyObject(IDatagramLeg, self.leg)
        self.assertEqual((self.leg.interest, self.leg.fileno()), (0, 9))

    def test_received(self) -> None:
        """Datagrams are delivered one by one, empty ones too; a turn has an end, after bytes as well."""
        got = RecordingDatagrams(self.leg)
        self.socket.input = [(b"a", None), (b"", None), *[(b"x", None)] * READS_AT_ONCE]
        self.leg.ready(READ)
        self.assertEqual((got.got[:3], len(got.got)), ([b"a", b"", b"x"], READS_AT_ONCE))
        self.leg.ready(READ)
        self.assertEqual(len(got.got), READS_AT_ONCE + 2)
        self.assertEqual(self.poller.taken_bytes, READS_AT_ONCE + 1)
        got.got.clear()
        self.socket.input = [(bytes(PIECE_BYTES // 4), None)] * 5
        self.leg.ready(READ)
        self.assertEqual(len(got.got), 4)

    def test_together(self) -> None:
        """Who takes batches gets what was read at once; errors of others do not count."""
        got = RecordingBatches(self.leg)
        self.assertTrue(self.socket.joins)
        refused = os_error(errno.ECONNREFUSED)
        self.socket.input = [(b"aa", None), (b"bb", None), (b"", None), refused, (b"c", None)]
        self.leg.ready(READ)
        self.assertEqual(
            (got.batches, self.socket.reads, self.poller.taken_bytes), ([[b"aa", b"bb", b"", b"c"]], 5, 5)
        )
        self.leg.ready(READ)
        self.assertEqual(len(got.batches), 1)
        self.socket.input = [(bytes(PIECE_BYTES - each), None) for each in (1, 2, 3)]
        self.leg.ready(READ)
        self.assertEqual(len(self.socket.input), 1)

    def test_not_joined(self) -> None:
        """Where the system joins none, who takes batches gets them one by one."""
        plain = FakeDatagramSocket(segments=0)
        leg = DatagramSocketLeg(self.poller, cast(socket.socket, plain), HOST, None)
        got = RecordingBatches(leg)
        plain.input = [(b"a", None), (b"b", None)]
        leg.ready(READ)
        self.assertEqual((got.got, got.batches, plain.reads), ([b"a", b"b"], [], 0))

    def test_sent_together(self) -> None:
        """Several datagrams go out at once, after what was sent before; a closed leg drops them."""
        verifyObject(IBatchedDatagramLeg, self.leg)
        self.leg.send(b"first")
        self.assertEqual(self.leg.send_many([b"a", b"b"]), 2)
        self.assertEqual([data for data, _ in self.socket.sent], [b"first", b"a", b"b"])
        self.assertEqual(self.socket.calls, 2)
        self.leg.close()
        self.assertEqual((self.leg.send_many([b"a", b"b"]), self.leg.dropped), (0, 2))

    def test_no_fragments(self) -> None:
        """The kernel is told to cut nothing; a closed leg has no say."""
        verifyObject(IProbedDatagramLeg, self.leg)
        self.patch(sys, "platform", "linux")
        self.assertTrue(self.leg.forbid_fragments())
        self.assertIn((socket.IPPROTO_IP, 10, 3), self.socket.options)
        self.leg.close()
        self.assertFalse(self.leg.forbid_fragments())

    def test_nobody_listens(self) -> None:
        """An answer that nobody listens is about an earlier datagram: this one is sent all the same."""
        got = RecordingDatagrams(self.leg)
        self.socket.errors = [os_error(errno.ECONNREFUSED)]
        self.assertTrue(self.leg.send(b"again"))
        self.poller.end_turn()
        self.socket.input = [os_error(errno.ECONNREFUSED), (b"back", None)]
        self.leg.ready(READ)
        self.assertEqual((self.socket.sent, got.got, got.lost), ([(b"again", None)], [b"back"], None))

    def test_dropped(self) -> None:
        """What the system does not take is dropped and counted."""
        for error in (errno.EAGAIN, errno.EMSGSIZE, errno.ENETUNREACH, errno.EPERM):
            self.socket.errors = [os_error(error)]
            self.assertTrue(self.leg.send(b"x"))
            self.poller.end_turn()
        self.socket.errors = [os_error(errno.ECONNREFUSED)] * 2
        self.assertTrue(self.leg.send(b"x"))
        self.poller.end_turn()
        self.assertEqual(self.leg.dropped, 5)
        self.assertFalse(self.leg.send(bytes(65508)))
        self.assertEqual((self.leg.dropped, self.socket.sent), (6, []))

    def test_pause(self) -> None:
        """A paused leg leaves to the kernel what arrives."""
        RecordingDatagrams(self.leg)
        self.assertEqual(self.leg.interest, READ)
        self.leg.pause()
        self.assertEqual(self.leg.interest, 0)
        self.leg.resume()
        self.assertEqual(self.leg.interest, READ)

    def test_close(self) -> None:
        """Closing sends what was taken, gives the socket back, and is told when the turn ends; once."""
        got = RecordingDatagrams(self.leg)
        self.leg.send(b"last")
        self.leg.close()
        self.leg.close()
        self.assertEqual(self.socket.sent, [(b"last", None)])
        self.assertEqual((self.socket.closed, self.leg.send(b"x"), got.lost), (True, False, None))
        self.poller.end_turn()
        self.assertIs(got.lost, Ended.FINISHED)
        self.leg.pause()
        self.leg.resume()

    def test_defect(self) -> None:
        """A receiver that raised has lost one datagram; a reactor that gave up is asked again."""
        got = RecordingDatagrams(self.leg)
        self.leg.watched = 0
        self.leg.failed()
        self.assertEqual((self.leg.watched, got.lost), (READ, None))
        self.leg.close()
        self.leg.failed()
        self.assertEqual(self.leg.watched, 0)

    def test_cannot_be_watched(self) -> None:
        """A leg that the system does not let be watched is lost, and is not tried again and again."""
        reactor, epoll = FakeReactor(), FakeEpoll()
        epoll.full = True
        poller = EpollPoller(reactor, lambda: epoll)  # type: ignore[arg-type]  # enough of one
        got = RecordingDatagrams(DatagramSocketLeg(poller, cast(socket.socket, self.socket), HOST, None))
        for _ in range(3):
            reactor.advance(0)
        self.assertEqual((got.lost, self.socket.closed), (Ended.INTERNAL_ERROR, True))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(reactor.getDelayedCalls(), [])


class DatagramPortTests(SynchronousTestCase):
    """A port and its sources."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.socket = FakeDatagramSocket()
        self.accepting = AcceptingDatagrams()
        self.port = DatagramPort(self.poller, cast(socket.socket, self.socket), self.accepting, HOST)

    def arrive(self, *datagrams: tuple[bytes, object]) -> None:
        """Lets datagrams arrive."""
        self.socket.input += datagrams
        self.port.ready(READ)

    def test_interface(self) -> None:
        """It is a port that can be closed."""
        verifyObject(IListeningPort, self.port)
        self.assertEqual((self.port.address, self.port.interest), (HOST, READ))

    def test_together(self) -> None:
        """Datagrams of a source that the system has joined go on together, the first ones too."""
        socket_, accepting = FakeDatagramSocket(), AcceptingDatagrams()
        directlyProvides(accepting, IBatchedDatagramAcceptor)
        port = DatagramPort(self.poller, cast(socket.socket, socket_), accepting, HOST)
        self.assertEqual((socket_.joins, self.socket.joins), (True, False))
        socket_.input = [(b"a", USER), (b"b", USER), (b"c", OTHER), (b"", THIRD)]
        port.ready(READ)
        users = [RecordingBatches(leg) for leg in accepting.legs]
        self.assertEqual([user.got for user in users], [[b"a", b"b"], [b"c"], [b""]])
        port.sources.sweep += 1
        refused = os_error(errno.ECONNREFUSED)
        socket_.input = [refused, (b"d", USER), (b"e", USER), (b"f", OTHER)]
        port.ready(READ)
        self.assertEqual([user.batches for user in users], [[[b"d", b"e"]], [[b"f"]], []])
        self.assertEqual([leg.sweep for leg in port.sources.legs.values()], [0, 1, 1])
        socket_.input = [(bytes(PIECE_BYTES), USER), (b"g", USER)]
        port.ready(READ)
        self.assertEqual(len(socket_.input), 1)
        port.close()

    def test_sent_together(self) -> None:
        """Several datagrams to a source go out at once; from a port that is closed, none."""
        self.arrive((b"x", USER))
        leg: Any = self.accepting.legs[0]
        self.assertEqual((leg.send_many([b"a", b"b"]), self.socket.calls), (2, 1))
        self.assertEqual(self.socket.sent, [(b"a", USER), (b"b", USER)])
        self.socket.errors = [os_error(errno.EAGAIN)]
        self.assertEqual((leg.send_many([b"a", b"b"]), leg.dropped), (0, 2))
        self.port.close()
        self.assertEqual((leg.send_many([b"a", b"b"]), leg.dropped), (0, 4))

    def test_sources(self) -> None:
        """Each source is a leg of its own, which has its origin and holds what came first."""
        self.arrive((b"1", USER), (b"a", OTHER), (b"2", USER))
        first, second = self.accepting.legs
        self.assertEqual(
            self.accepting.origins,
            [Origin(Address("192.0.2.1", 1000), HOST), Origin(Address("192.0.2.1", 1001), HOST)],
        )
        self.assertEqual(RecordingDatagrams(first).got, [b"1", b"2"])
        got = RecordingDatagrams(second)
        self.arrive((b"", OTHER))
        self.assertEqual(got.got, [b"a", b""])
        self.assertEqual(self.poller.taken_bytes, 3)
        self.arrive(*[(bytes(PIECE_BYTES // 4), OTHER)] * 5)
        self.assertEqual(len(got.got), 6)

    def test_answers(self) -> None:
        """An answer goes to the source of the leg; what the system does not take is counted."""
        self.arrive((b"1", USER), (b"a", OTHER))
        self.assertTrue(self.accepting.legs[1].send(b"answer"))
        self.assertEqual(self.socket.sent, [])
        self.poller.end_turn()
        self.assertEqual(self.socket.sent, [(b"answer", OTHER)])
        self.socket.errors = [os_error(errno.EAGAIN)]
        self.assertTrue(self.accepting.legs[0].send(b"x"))
        self.poller.end_turn()
        self.assertEqual([each.dropped for each in self.accepting.legs], [1, 0])

    def test_mapped_addresses(self) -> None:
        """An IPv4 user of a port for both versions is shown with its IPv4 address."""
        self.arrive((b"1", ("::ffff:192.0.2.1", 1000, 0, 0)))
        self.assertEqual(self.accepting.legs[0].peer, Address("192.0.2.1", 1000))

    def test_zones(self) -> None:
        """A source with a link-local address is shown with its zone, which tells it from others."""
        self.arrive(*((b"1", ("fe80::1", 1000, 0, zone)) for zone in (2, 3)))
        peers = [leg.peer for leg in self.accepting.legs]
        self.assertEqual(peers, [Address("fe80::1%2", 1000), Address("fe80::1%3", 1000)])

    def test_every_address(self) -> None:
        """On a port of every address nobody knows where a datagram went to."""
        port = DatagramPort(
            self.poller, cast(socket.socket, self.socket), self.accepting, Address("0.0.0.0", 53)
        )
        self.socket.input = [(b"1", USER)]
        port.ready(READ)
        self.assertEqual(self.accepting.origins, [Origin(Address("192.0.2.1", 1000), None)])

    def test_held_without_receiver(self) -> None:
        """Until somebody receives, a few datagrams are held; more are dropped and counted."""
        self.arrive(*[(b"%d" % number, USER) for number in range(READS_AT_ONCE)])
        self.arrive((b"one too many", USER))
        (leg,) = self.accepting.legs
        self.assertEqual(leg.dropped, READS_AT_ONCE + 1 - HELD_DATAGRAMS)
        self.assertEqual(len(RecordingDatagrams(leg).got), HELD_DATAGRAMS)

    def test_errors(self) -> None:
        """What the system tells of earlier datagrams ends nothing."""
        self.socket.input = [os_error(errno.ECONNRESET), (b"1", USER)]
        self.port.ready(READ)
        self.port.failed()
        self.assertEqual(len(self.accepting.legs), 1)

    def test_closed_leg(self) -> None:
        """Who sends again after the leg was closed is a new source."""
        self.arrive((b"1", USER))
        got = RecordingDatagrams(self.accepting.legs[0])
        self.accepting.legs[0].close()
        self.assertFalse(self.accepting.legs[0].send(b"late"))
        self.arrive((b"2", USER))
        self.accepting.legs[0].close()
        self.poller.end_turn()
        self.assertEqual((got.got, got.lost, len(self.port.sources.legs)), ([b"1"], Ended.FINISHED, 1))
        self.assertEqual(RecordingDatagrams(self.accepting.legs[1]).got, [b"2"])

    def test_defect_of_the_acceptor(self) -> None:
        """An acceptor that raises loses the source, and the port goes on."""
        self.accepting.broken = True
        self.arrive((b"1", USER))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.accepting.broken = False
        self.arrive((b"2", USER))
        self.assertEqual((len(self.port.sources.legs), len(self.accepting.legs)), (1, 1))

    def test_close(self) -> None:
        """Closing the port sends what was taken, ends all its legs, and leaves no timer."""
        self.arrive((b"1", USER))
        got = RecordingDatagrams(self.accepting.legs[0])
        self.accepting.legs[0].send(b"last")
        self.port.close()
        self.port.close()
        self.assertEqual(self.socket.sent, [(b"last", USER)])
        self.assertFalse(self.accepting.legs[0].send(b"late"))
        self.poller.end_turn()
        self.assertEqual((got.lost, self.socket.closed), (Ended.STOPPED, True))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])
