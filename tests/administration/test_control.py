"""Tests for the control socket, on a reactor in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import text_answer
from relaykit.administration.control import ControlSocket
from relaykit.administration.guards import Guard
from relaykit.administration.routes import Route, Routes
from relaykit.administration.site import AdministrationSite
from relaykit.control_sockets import LoopbackDoor
from relaykit.state import StateDirectory, StateUnavailable

FREE_PORT = 49152


class Reactor(MemoryReactorClock):
    """Makes the files of sockets, and removes none; one port is free."""

    error: Exception | None = None

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[int] = []

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: Any = 0
    ) -> Any:
        if self.error is not None:
            raise self.error
        mask = os.umask(0)
        os.umask(mask)
        Path(address).write_text("")
        os.chmod(address, mode & ~mask)
        return super().listenUNIX(address, factory, backlog, mode, wantPID)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if self.error is not None:
            raise self.error
        opened: Any = super().listenTCP(port or FREE_PORT, factory, backlog, interface)
        opened.stopListening = lambda: self.closed.append(opened.getHost().port)
        return opened


class ControlTestCase(SynchronousTestCase):
    """Has a folder for control sockets."""

    name: str

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute() / "made"
        self.reactor = Reactor()
        self.made = 0

    def make_site(self, guard: Guard | None) -> AdministrationSite:
        """Is counted."""
        self.made += 1
        asked = Route(method="GET", path="/asked", handler=lambda call: text_answer(200, "so it is"))
        return AdministrationSite(Routes([asked]), guard, self.reactor)

    def socket(self) -> ControlSocket:
        """One that is not started."""
        return ControlSocket(self.folder, self.name, self.make_site, self.reactor)

    @contextmanager
    def started(self) -> Iterator[list[str]]:
        """One that runs meanwhile, and what it logged."""
        control = self.socket()
        with capturedLogs() as logged:
            control.startService()
        yield [formatEvent(event) for event in logged]
        self.successResultOf(control.stopService())


class ControlSocketTests(ControlTestCase):
    """Tests for :class:`ControlSocket`."""

    name = "control-client-x.sock"

    def test_private(self) -> None:
        """The folder and the socket are the owner's alone; when it stops the socket is gone."""
        with self.started() as said:
            self.assertEqual(said, [])
            self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)
            path = self.folder / "control-client-x.sock"
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertFalse(path.exists())

    def test_served(self) -> None:
        """What serves it is made once, when somebody connects."""
        with self.started():
            self.assertEqual(self.made, 0)
            factory: Any = self.reactor.unixServers[0][1]
            for _ in range(2):
                transport = StringTransport()
                protocol = factory.buildProtocol(None)
                protocol.makeConnection(transport)
                protocol.dataReceived(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b"404", transport.value())
            self.assertEqual(self.made, 1)

    def test_left_over(self) -> None:
        """What a program left that is gone is replaced."""
        self.folder.mkdir(parents=True)
        (self.folder / "control-client-x.sock").write_text("left over")
        with self.started() as said:
            self.assertEqual(said, [])
            self.assertEqual((self.folder / "control-client-x.sock").read_text(), "")

    def test_in_use(self) -> None:
        """That of a program that runs is left alone; the second one goes without, and says so."""
        with self.started():
            with self.started() as said:
                self.assertIn("another program with this configuration has the control socket", said[0])
                self.assertEqual(len(self.reactor.unixServers), 1)
            self.assertTrue((self.folder / "control-client-x.sock").exists())

    def test_cannot_be_opened(self) -> None:
        """A folder or a socket that cannot be had is told, and stops nothing."""
        self.reactor.error = CannotListenError("", self.folder, OSError("no"))
        with self.started() as said:
            self.assertIn("cannot be opened", said[0])
        self.folder = self.folder / "control-client-x.sock.lock" / "below"
        with self.started() as said:
            self.assertIn("cannot be opened", said[0])


class LoopbackTests(ControlTestCase):
    """Tests for :class:`ControlSocket` where a folder has no sockets."""

    name = "control-client-x.port"

    def door(self) -> LoopbackDoor:
        """What the file says."""
        return LoopbackDoor.parse((self.folder / self.name).read_bytes())

    def answered(self, authorization: str) -> bytes:
        """What a call gets."""
        factory: Any = self.reactor.tcpServers[0][1]
        transport = StringTransport()
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"GET /asked HTTP/1.1\r\nHost: x\r\n")
        protocol.dataReceived(f"Authorization: {authorization}\r\n\r\n".encode())
        self.reactor.advance(1)
        answer: bytes = transport.value()
        return answer.partition(b"\r\n")[0]

    def test_private(self) -> None:
        """The port is the loopback's, and the file that tells of it the owner's alone; both go in the end."""
        with self.started() as said:
            self.assertEqual(said, [])
            self.assertEqual(stat.S_IMODE(os.stat(self.folder / self.name).st_mode), 0o600)
            self.assertEqual(self.door().port, FREE_PORT)
            port, _, _, interface = self.reactor.tcpServers[0]
            self.assertEqual((port, interface), (FREE_PORT, "127.0.0.1"))
        self.assertFalse((self.folder / self.name).exists())

    def test_token(self) -> None:
        """Who tells the token is served; who does not, or tells that of an earlier program, is not."""
        with self.started():
            former = self.door()
        self.reactor.tcpServers.clear()
        with self.started():
            self.assertIn(b" 200 ", self.answered(self.door().authorization))
            with capturedLogs() as logged:
                self.assertIn(b" 401 ", self.answered(former.authorization))
            self.assertNotIn(former.token.reveal(), repr(logged))
            self.assertIn(b" 401 ", self.answered(""))

    def test_cannot_be_opened(self) -> None:
        """A port that cannot be had is told, and stops nothing."""
        self.reactor.error = CannotListenError("127.0.0.1", 0, OSError("no"))
        with self.started() as said:
            self.assertIn("cannot be opened", said[0])

    def test_cannot_be_told(self) -> None:
        """Where the file cannot be written the port is of no use; that is told, and stops nothing."""
        self.patch(StateDirectory, "write", self.full)
        with self.started() as said:
            self.assertIn("cannot be opened: no space", said[0])
            self.assertEqual(self.reactor.closed, [FREE_PORT])

    def full(self, name: str, content: bytes) -> None:
        """Stands for a disk."""
        raise StateUnavailable("no space")
