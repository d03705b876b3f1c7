"""Tests for :mod:`relaykit.ssh_gateway.screen`: what is shown where there is a terminal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.screen import SHOW_S
from tests.ssh_gateway.scene import GatewayScene
from tests.ssh_gateway.test_client import ANNOUNCED, COMMAND


class ScreenTests(SynchronousTestCase):
    """There is a terminal."""

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())

    def test_users_line(self) -> None:
        """A line tells of the users, in one place, and lines end as in raw mode."""
        ssh = self.scene.ssh(COMMAND, terminal=(80, 24))
        self.assertTrue(ssh.shown.startswith(ANNOUNCED.replace("\n", "\r\n")))
        self.assertTrue(ssh.shown.endswith("\r0 users now, 0 in all, 0 B to them, 0 B from them\x1b[K"))
        user, _ = self.scene.dial(6000)
        user.write(b"12345")
        self.scene.advance(SHOW_S)
        self.assertTrue(ssh.shown.endswith("\r1 user now, 1 in all, 0 B to them, 5 B from them\x1b[K"))
        user.abort()
        self.scene.advance(SHOW_S)
        self.assertTrue(ssh.shown.endswith("\r0 users now, 1 in all, 0 B to them, 5 B from them\x1b[K"))

    def test_keys(self) -> None:
        """Ctrl+C ends the tunnel, as what is shown promises; other keys do nothing."""
        ssh = self.scene.ssh(COMMAND, terminal=(80, 24))
        assert ssh.session is not None
        ssh.session.write(b"abc\r")
        self.scene.flush()
        self.assertEqual(len(self.scene.registry), 1)
        ssh.session.write(b"\x03")
        self.scene.flush()
        self.assertEqual((len(self.scene.registry), ssh.status), (0, 0))
        self.assertTrue(ssh.shown.endswith("\x1b[K\r\n"))
