"""Listening ports on a fake socket: batches, defects, a lack of descriptors."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import cast

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane import listening
from relaykit.dataplane.exhaustion import RECOVERED_AFTER_S
from relaykit.dataplane.listening import (
    ACCEPTED_AT_ONCE,
    EXHAUSTION_PAUSE_S,
    ListeningPort,
    PortForbidden,
    PortInUse,
    PortUnavailable,
    bind,
)
from relaykit.dataplane.poller import READ
from relaykit.interfaces import ILegAcceptor, IListeningPort, IStreamLeg
from relaykit.values import Address, Origin
from tests.dataplane.fakes import FakePoller, FakeSocket, os_error

PEER = Address("192.0.2.1", 1000)
HOST = Address("192.0.2.2", 80)


class Accepted(FakeSocket):
    """A connection that was accepted."""

    def setblocking(self, flag: bool) -> None:
        """Only ever switched off."""
        assert not flag

    def getsockname(self) -> tuple[str, int]:
        """This end."""
        return HOST.host, HOST.port


class Listening(FakeSocket):
    """A listening socket with connections and errors waiting."""

    def __init__(self) -> None:
        super().__init__(number=3)
        self.waiting: list[Accepted | OSError] = []
        self.exhaustion = False

    def accept(self) -> tuple[Accepted, tuple[str, int]]:
        """The next connection, or its error."""
        if not self.waiting:
            raise os_error(errno.EAGAIN)
        if self.exhaustion:
            raise os_error(errno.EMFILE)
        first = self.waiting.pop(0)
        if isinstance(first, OSError):
            raise first
        return first, (PEER.host, PEER.port)


@implementer(ILegAcceptor)
class Acceptor:
    """Notes what it is given, after acting."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self.act: Callable[[], object] = lambda: None

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self.origins.append(origin)
        self.act()


class ListeningPortTests(SynchronousTestCase):
    """One port."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.socket = Listening()
        self.acceptor = Acceptor()
        self.port = self.listening(Address("0.0.0.0", 80))

    def listening(self, address: Address | None) -> ListeningPort:
        """A port that listens there."""
        return ListeningPort(self.poller, cast(socket.socket, self.socket), self.acceptor, address)

    def test_interface(self) -> None:
        """It provides IListeningPort and waits for connections."""
        verifyObject(IListeningPort, self.port)
        self.assertEqual((self.port.interest, self.port.fileno()), (READ, 3))

    def test_batches(self) -> None:
        """Connections are taken in bounded batches, with both addresses."""
        self.socket.waiting = [Accepted() for _ in range(ACCEPTED_AT_ONCE + 5)]
        self.port.ready(READ)
        self.assertEqual(len(self.acceptor.origins), ACCEPTED_AT_ONCE)
        self.port.ready(READ)
        self.assertEqual(len(self.acceptor.origins), ACCEPTED_AT_ONCE + 5)
        self.assertEqual(self.acceptor.origins[0], Origin(PEER, HOST))

    def test_unix(self) -> None:
        """On a unix socket nobody has an address."""
        port = self.listening(None)
        self.socket.waiting = [Accepted()]
        port.ready(READ)
        self.assertEqual(self.acceptor.origins, [Origin(None, None)])

    def test_gone_before_it_was_accepted(self) -> None:
        """A connection that was reset while it waited costs nothing."""
        self.socket.waiting = [os_error(errno.ECONNABORTED), Accepted()]
        self.port.ready(READ)
        self.port.ready(READ)
        self.assertEqual(len(self.acceptor.origins), 1)

    def test_defect_of_the_acceptor(self) -> None:
        """An acceptor that raises loses this connection, and only this one."""
        first, second = Accepted(), Accepted()
        self.acceptor.act = lambda: 1 // 0
        self.socket.waiting = [first, second]
        self.port.ready(READ)
        self.assertEqual((first.closed, second.closed, self.port.interest), (True, True, READ))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_closed_by_the_acceptor(self) -> None:
        """An acceptor may close the port while it is accepting."""
        self.acceptor.act = self.port.close
        self.socket.waiting = [Accepted(), Accepted()]
        self.port.ready(READ)
        self.assertEqual((len(self.acceptor.origins), self.socket.closed), (1, True))
        self.port.close()

    def test_exhaustion(self) -> None:
        """Without descriptors the port rests, then refuses who still waits, recovers, and says each once."""
        self.socket.waiting = [Accepted() for _ in range(3)]
        self.socket.exhaustion = True
        with capturedLogs() as events:
            self.port.ready(READ)
            self.assertEqual(self.port.interest, 0)
            self.poller.clock.advance(EXHAUSTION_PAUSE_S)
            self.assertEqual(self.port.interest, READ)
            # Still short: who waits is refused with the spare descriptor, which is taken again.
            refused = self.socket.waiting[0]
            self.patch(self.socket, "accept", self.accept_with_spare)
            self.port.ready(READ)
            self.assertEqual((cast(Accepted, refused).closed, len(self.socket.waiting)), (True, 2))
            self.socket.exhaustion = False
            self.port.ready(READ)
            self.poller.clock.advance(RECOVERED_AFTER_S)
            self.socket.waiting = [Accepted()]
            self.port.ready(READ)
        self.assertEqual(len(self.acceptor.origins), 3)
        levels = [event["log_level"] for event in events]
        self.assertEqual(levels, [LogLevel.error, LogLevel.info])

    def accept_with_spare(self) -> tuple[Accepted, tuple[str, int]]:
        """Fails the first time, then finds the descriptor that was given up."""
        if self.socket.exhaustion:
            self.socket.exhaustion = False
            raise os_error(errno.EMFILE)
        self.socket.exhaustion = True
        first = self.socket.waiting.pop(0)
        assert isinstance(first, Accepted)
        self.patch(self.socket, "accept", lambda: Listening.accept(self.socket))
        return first, (PEER.host, PEER.port)

    def test_kept_for_others(self) -> None:
        """A port for users takes no connection with one of the last descriptors, and says so once."""
        port = ListeningPort(self.poller, cast(socket.socket, self.socket), self.acceptor, HOST, highest=20)
        self.socket.waiting = [Accepted(number) for number in (20, 21, 22, 19)]
        late = self.socket.waiting[1:3]
        with capturedLogs() as events:
            port.ready(READ)
        self.assertEqual([cast(Accepted, each).closed for each in late], [True, True])
        self.assertEqual(len(self.acceptor.origins), 2)
        self.assertEqual([event["log_level"] for event in events], [LogLevel.error])

    def test_last_descriptors(self) -> None:
        """What is kept is a part of what this process may open, and more than a few."""
        for limit, highest in ((1024, 895), (96, 63), (None, None)):
            self.patch(listening, "descriptor_limit", lambda limit=limit: limit)
            self.assertEqual(listening.highest_for_users(), highest)

    def test_ports(self) -> None:
        """Ports for users may take a part of the descriptors, each is to serve some."""
        for limit, most in ((1024, 512), (None, None)):
            self.patch(listening, "descriptor_limit", lambda limit=limit: limit)
            self.assertEqual(listening.most_ports(), most)

    def test_other_errors(self) -> None:
        """An error that nobody expects is logged, and the port goes on after a rest."""
        self.socket.waiting = [os_error(errno.EPROTO), Accepted()]
        with capturedLogs() as events:
            self.port.ready(READ)
        self.assertEqual([event["log_level"] for event in events], [LogLevel.warn])
        self.poller.clock.advance(EXHAUSTION_PAUSE_S)
        self.port.ready(READ)
        self.assertEqual(len(self.acceptor.origins), 1)

    def test_closed_while_resting(self) -> None:
        """A port that is closed while it rests leaves no timer."""
        self.socket.waiting = [Accepted()]
        self.socket.exhaustion = True
        self.port.ready(READ)
        self.port.close()
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])


class BindingTests(SynchronousTestCase):
    """What is told of an address that cannot be bound."""

    def test_reasons(self) -> None:
        """What the system says becomes a kind of failure, and a reason without the address."""
        for number, kind, why in (
            (errno.EADDRINUSE, PortInUse, "another program listens there"),
            (errno.EACCES, PortForbidden, "CAP_NET_BIND_SERVICE in the systemd unit, or a socket unit"),
            (errno.EPERM, PortForbidden, "permission denied"),
            (errno.EADDRNOTAVAIL, PortUnavailable, "the machine does not have the address"),
            (errno.EAFNOSUPPORT, PortUnavailable, "the machine has no IP of this version"),
        ):

            def fail(*arguments: object, number: int = number) -> None:
                raise os_error(number)

            self.patch(listening, "_bind", fail)
            error = self.assertRaises(kind, bind, "192.0.2.2", 80, socket.SOCK_STREAM)
            self.assertIn(why, error.why)
            self.assertEqual(str(error), f"cannot listen on 192.0.2.2:80: {error.why}")
            self.assertIn(error.problem, ("cannot-listen", "privileged-port"))
