"""Tests for what systemd is told of a program."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.supervision import AGAIN_S, STATUS_EVERY_S, Supervisor


class SupervisorTests(SynchronousTestCase):
    """Tests for :class:`Supervisor`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[str] = []
        self.status = "idle"
        self.error: OSError | None = None

    def supervisor(self, **environ: str) -> Supervisor:
        """One that keeps what is sent."""
        return Supervisor(environ, self.clock, lambda: self.status, self.send)

    def send(self, address: str, text: str) -> None:
        """Keeps it, or fails."""
        if self.error is not None:
            raise self.error
        self.assertEqual(address, "/run/notify")
        self.sent.append(text)

    def test_life(self) -> None:
        """It hears that the program is ready, what it does, when that is new, and that it stops."""
        supervisor = self.supervisor(NOTIFY_SOCKET="/run/notify")
        self.assertEqual(self.sent, [])
        supervisor.ready()
        self.clock.advance(STATUS_EVERY_S)
        self.status = "busy"
        self.clock.advance(STATUS_EVERY_S)
        supervisor.stopping()
        self.clock.advance(10 * STATUS_EVERY_S)
        self.assertEqual(self.sent, ["READY=1", "STATUS=idle", "STATUS=busy", "STOPPING=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reload(self) -> None:
        """A reload is told with its time, monotonic and in microseconds, and its end as readiness."""
        supervisor = self.supervisor(NOTIFY_SOCKET="/run/notify")
        supervisor.ready()
        supervisor.reloading()
        supervisor.ready()
        self.assertRegex(self.sent[2], r"^RELOADING=1\nMONOTONIC_USEC=\d{5,}$")
        self.assertEqual(self.sent[3:], ["READY=1"])
        supervisor.stopping()

    def test_reload_that_is_over_late(self) -> None:
        """A program that ends is not ready again because a reload is over meanwhile."""
        supervisor = self.supervisor(NOTIFY_SOCKET="/run/notify", WATCHDOG_USEC="4000000")
        supervisor.ready()
        supervisor.reloading()
        supervisor.stopping()
        self.sent.clear()
        supervisor.ready()
        self.clock.advance(STATUS_EVERY_S)
        self.assertEqual((self.sent, self.clock.getDelayedCalls()), ([], []))

    def test_no_room(self) -> None:
        """What there is no room for is sent later, in its order, the end too; signs of life are not kept."""
        supervisor = self.supervisor(NOTIFY_SOCKET="/run/notify", WATCHDOG_USEC="4000000")
        supervisor.ready()
        self.sent.clear()
        self.error = BlockingIOError()
        supervisor.reloading()
        self.clock.pump([1.0] * 4)
        supervisor.ready()
        supervisor.stopping()
        self.error = None
        self.clock.advance(AGAIN_S)
        self.assertEqual(
            [each.partition("\n")[0] for each in self.sent], ["RELOADING=1", "READY=1", "STOPPING=1"]
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_watchdog(self) -> None:
        """A watchdog that waits for this process hears from it twice in its time."""
        for pid, heard in ((str(os.getpid()), 4), ("1", 0)):
            self.sent.clear()
            supervisor = self.supervisor(
                NOTIFY_SOCKET="/run/notify", WATCHDOG_USEC="4000000", WATCHDOG_PID=pid
            )
            supervisor.ready()
            self.clock.pump([1.0] * 8)
            self.assertEqual(self.sent.count("WATCHDOG=1"), heard)
            supervisor.stopping()
        self.supervisor(NOTIFY_SOCKET="/run/notify", WATCHDOG_USEC="often").ready()

    def test_nobody(self) -> None:
        """Where nobody wants to know, nothing is sent, and nothing asked."""
        self.status = ""
        supervisor = self.supervisor()
        supervisor.ready()
        supervisor.reloading()
        supervisor.stopping()
        self.assertEqual((self.sent, self.clock.getDelayedCalls()), ([], []))

    def test_gone(self) -> None:
        """One that cannot be told is no reason to fail."""
        self.error = FileNotFoundError(2, "No such file or directory")
        self.supervisor(NOTIFY_SOCKET="/run/notify").ready()

    def test_sockets(self) -> None:
        """A socket of a file hears it, and one that has a name alone."""
        path = str(Path(self.mktemp()).absolute())
        for name, where in ((path, path), ("@relaykit-test", "\0relaykit-test")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
                hearing.bind(where)
                hearing.setblocking(False)
                Supervisor({"NOTIFY_SOCKET": name}, self.clock).reloading()
                self.assertIn(b"RELOADING=1", hearing.recv(100))
