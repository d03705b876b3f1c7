"""Sockets that were passed to this process: fake ones, and fake descriptors."""

from __future__ import annotations

import errno
import os
import socket
from typing import cast

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane import passed_sockets
from relaykit.dataplane.listening import BACKLOG
from relaykit.dataplane.passed_sockets import MOST_STALE, PassedSockets
from relaykit.dataplane.poller import READ, EpollPoller
from relaykit.interfaces import IListeningPort
from relaykit.values import Address
from tests.dataplane.fakes import AcceptingDatagrams, FakePoller, os_error
from tests.dataplane.test_listening import Acceptor
from tests.dataplane.test_poller import FakeEpoll


class Passed:
    """A socket that is bound to some address."""

    def __init__(self, host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self.host, self.port = host, port
        self.type = kind
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.number = 3
        self.backlog = 0
        self.connected = False
        self.stale: list[bytes | OSError] = []

    def fileno(self) -> int:
        """The descriptor."""
        return self.number

    def detach(self) -> int:
        """Lets the descriptor live on without it."""
        return self.number

    def getsockname(self) -> object:
        """Where it is bound, or where in the file system."""
        return self.host if self.family == socket.AF_INET and "/" in self.host else (self.host, self.port)

    def setblocking(self, blocking: bool) -> None:
        """Only ever switched off."""
        assert not blocking

    def setsockopt(self, level: int, option: int, value: object) -> None:
        """Takes every option."""

    def getsockopt(self, level: int, option: int) -> int:
        """Has every option."""
        return 0

    def listen(self, backlog: int) -> None:
        """Listens, unless it is a connection."""
        if self.connected:
            raise os_error(errno.EINVAL)
        self.backlog = backlog

    def accept(self) -> object:
        """Nobody is there."""
        raise os_error(errno.EAGAIN)

    def recv(self, size: int) -> bytes:
        """What came while nobody listened."""
        if not self.stale:
            raise os_error(errno.EAGAIN)
        first = self.stale.pop(0)
        if isinstance(first, OSError):
            raise first
        return first[:size]

    def close(self) -> None:
        """That would take it from who comes next."""
        raise AssertionError("closed")


class PassedSocketsTests(SynchronousTestCase):
    """Ports on sockets that are there already."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.opened: list[tuple[str, str, int]] = []
        for name in ("listen_tcp", "listen_datagrams"):
            self.patch(passed_sockets, name, lambda _, *where, name=name, **how: self.own(name, *where))

    def own(self, name: str, host: str, port: int, acceptor: object) -> str:
        """Stands for a port that is opened because there is no socket for it."""
        self.opened.append((name, host, port))
        return "a port of its own"

    def passed(self, *sockets: Passed) -> PassedSockets:
        """These sockets."""
        return PassedSockets(cast(socket.socket, each) for each in sockets)

    def listen(self, passed: PassedSockets, host: str, port: int) -> IListeningPort:
        """Opens a TCP port."""
        return passed.listen_tcp(self.poller, host, port, Acceptor())

    def datagrams(self, passed: PassedSockets, host: str, port: int) -> IListeningPort:
        """Opens a UDP port."""
        return passed.listen_datagrams(self.poller, host, port, AcceptingDatagrams())

    def test_matched(self) -> None:
        """A socket is used by who asks for its kind, address and port, however that is written."""
        sockets = (
            Passed("192.0.2.1", 80),
            Passed("2001:db8::1", 80),
            Passed("192.0.2.1", 80, socket.SOCK_DGRAM),
        )
        passed = self.passed(*sockets)
        for host, number in (("", 80), ("192.0.2.2", 80), ("192.0.2.1", 81), ("a name", 80)):
            self.assertEqual(self.listen(passed, host, number), "a port of its own")
        self.assertEqual(passed.unused, ["tcp 192.0.2.1:80", "tcp [2001:db8::1]:80", "udp 192.0.2.1:80"])
        port = self.listen(passed, "2001:DB8:0::1", 80)
        verifyObject(IListeningPort, port)
        self.assertEqual(port.address, Address("2001:db8::1", 80))
        self.assertEqual([each.backlog for each in sockets], [BACKLOG, BACKLOG, 0])
        self.assertEqual(self.datagrams(passed, "192.0.2.1", 80).address, Address("192.0.2.1", 80))
        self.assertEqual((len(self.opened), passed.unused), (4, ["tcp 192.0.2.1:80"]))

    def test_every_address(self) -> None:
        """A port on every address is on what is bound to every one, by either version of IP or by both."""
        for sockets in ((Passed("::", 80),), (Passed("0.0.0.0", 80),)):
            for host in ("", "::", "0.0.0.0"):
                self.assertEqual(self.listen(self.passed(*sockets), host, 80).address.port, 80)
        both = self.passed(Passed("0.0.0.0", 80), Passed("::", 80))
        port = self.listen(both, "", 80)
        verifyObject(IListeningPort, port)
        self.assertEqual((port.address, both.unused), (Address("0.0.0.0", 80), []))
        port.close()
        self.assertEqual((len(self.poller.forgotten), self.opened), (2, []))

    def test_next(self) -> None:
        """A socket of which the port was closed is there for the next one, and for one at a time."""
        passed = self.passed(Passed("::", 80))
        first = self.listen(passed, "", 80)
        self.assertEqual(self.listen(passed, "", 80), "a port of its own")
        first.close()
        first.close()
        self.assertEqual(self.listen(passed, "", 80).address, Address("::", 80))

    def test_stale(self) -> None:
        """Datagrams that came between two ports are dropped, but not those that came before the first one."""
        plain = Passed("::", 53, socket.SOCK_DGRAM)
        passed = self.passed(plain)
        plain.stale = [b"first"]
        self.datagrams(passed, "", 53).close()
        self.assertEqual(plain.stale, [b"first"])
        plain.stale += [os_error(errno.ECONNREFUSED), b""]
        self.datagrams(passed, "", 53).close()
        self.assertEqual(plain.stale, [])
        plain.stale = [b"x"] * (MOST_STALE + 1)
        self.datagrams(passed, "", 53)
        self.assertEqual(len(plain.stale), 1)

    def test_watched(self) -> None:
        """What is given back is watched no more, although it is not closed."""
        epoll = FakeEpoll()
        poller = EpollPoller(MemoryReactorClock(), lambda: epoll)  # type: ignore[arg-type]  # enough of a reactor
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            passed = self.passed(Passed("::", 80, kind))
            for _ in range(2):
                if kind == socket.SOCK_STREAM:
                    port = passed.listen_tcp(poller, "", 80, Acceptor())
                else:
                    port = passed.listen_datagrams(poller, "", 80, AcceptingDatagrams())
                self.assertEqual(epoll.interest, {3: READ})
                port.close()
                self.assertEqual(epoll.interest, {})

    def test_unusable(self) -> None:
        """What is no port is left alone, and told."""
        connection = Passed("192.0.2.1", 80)
        connection.connected = True
        sockets = (
            Passed("/run/socket", 0),
            Passed("0.0.0.0", 0),
            Passed("0.0.0.0", 80, socket.SOCK_RAW),
            connection,
        )
        with capturedLogs() as logged:
            self.assertEqual(self.passed(*sockets).unused, [])
        self.assertEqual([event["problem"] for event in logged], ["passed-socket"] * 4)


class OfProcessTests(SynchronousTestCase):
    """Which descriptors were passed."""

    def setUp(self) -> None:
        self.asked: list[int] = []

    def of_process(self, **environ: str) -> PassedSockets:
        """What was passed to a process with this environment, of which nothing is left there."""
        environ["PATH"] = "/bin"
        passed = PassedSockets.of_process(environ, self.open)
        self.assertEqual(environ, {"PATH": "/bin"})
        return passed

    def open(self, number: int) -> socket.socket:
        """A socket for each descriptor but the second one."""
        self.asked.append(number)
        if number == 4:
            raise os_error(errno.ENOTSOCK)
        return cast(socket.socket, Passed("0.0.0.0", number))

    def test_taken(self) -> None:
        """All that were passed to this process are, whatever their names; what is no socket is told."""
        pid = str(os.getpid())
        for more in (
            {},
            {"LISTEN_FDNAMES": "a:b:a", "LISTEN_PIDFDID": "7"},
            {"LISTEN_FDNAMES": "one"},
            {"LISTEN_FDNAMES": "a:b:c:d"},
        ):
            with capturedLogs() as logged:
                passed = self.of_process(LISTEN_PID=pid, LISTEN_FDS="3", **more)
            self.assertEqual(passed.unused, ["tcp 0.0.0.0:3", "tcp 0.0.0.0:5"])
            self.assertEqual([(each["number"], each["problem"]) for each in logged], [(4, "passed-socket")])

    def test_of_another(self) -> None:
        """What was passed to another process, or is not understood, is not taken; no child sees it either."""
        pid = str(os.getpid())
        for environ in (
            {},
            {"LISTEN_FDS": "1"},
            {"LISTEN_FDS": "1", "LISTEN_PID": pid + "0"},
            {"LISTEN_FDS": "one", "LISTEN_PID": pid},
            {"LISTEN_PID": pid},
        ):
            self.assertEqual(self.of_process(**environ).unused, [])
        self.assertEqual(self.asked, [])
