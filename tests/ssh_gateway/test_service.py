"""Tests for :mod:`relaykit.ssh_gateway.service`: the entrance, and how many may come."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.interfaces import IEntrance
from relaykit.ssh_gateway import service, texts
from relaykit.ssh_gateway.client import LEAVE_S
from relaykit.values import Address
from tests.ssh_gateway.scene import PORT, GatewayScene, user_key
from tests.ssh_gateway.test_authorized_keys import line

COMMAND = "stcp --sk s -t tok"


class GatewayTests(SynchronousTestCase):
    """Tests for the gateway."""

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())

    def test_provides(self) -> None:
        """It is an entrance, on its port."""
        verifyObject(IEntrance, self.scene.gateway)
        self.assertEqual(self.scene.gateway.port, PORT)

    def test_closed(self) -> None:
        """When it is closed, whoever runs ssh is told, and it waits until they are gone."""
        ssh = self.scene.ssh(COMMAND)
        self.scene.gateway.close_port()
        self.assertFalse(ssh.is_lost)
        closing = self.scene.gateway.close()
        self.assertNoResult(closing)
        self.scene.advance(2 * LEAVE_S)
        self.successResultOf(closing)
        self.assertTrue(ssh.shown.endswith(f"{texts.STOPPED}\n"))
        self.assertEqual((self.scene.gateway.port, len(self.scene.sessions)), (0, 0))
        self.successResultOf(self.scene.gateway.close())

    def test_other_keys(self) -> None:
        """After a reload the keys of another file count, for those who come then."""
        before = self.scene.ssh(COMMAND)
        path = Path(self.mktemp())
        path.write_text(line(1))
        self.scene.gateway.adopt(self.scene.config(str(path)))
        self.assertIsNone(self.scene.ssh(COMMAND).connection)
        self.assertIn("Type: stcp", self.scene.ssh("stcp --sk s", key=user_key(1)).shown)
        self.scene.gateway.adopt(self.scene.config())
        self.assertIn("Type: stcp", self.scene.ssh(COMMAND).shown)
        self.assertFalse(before.is_lost)


class CrowdTests(SynchronousTestCase):
    """Tests for how many may come."""

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())

    def test_without_tunnel(self) -> None:
        """An address may have so many connections that come to nothing; others lose none for that."""
        other = self.scene.come("198.51.100.7")
        legs = [self.scene.come() for _ in range(service.MOST_PENDING_OF_SOURCE + 3)]
        self.scene.flush()
        self.assertEqual([leg.settled for leg in legs], [True] * 3 + [False] * service.MOST_PENDING_OF_SOURCE)
        self.assertFalse(other.settled)

    def test_too_fast(self) -> None:
        """An address may come so often in a second; one from which a client is logged in may come on."""
        for _ in range(service.CONNECTIONS_AT_ONCE):
            self.scene.come().abort()
            self.scene.flush()
        refused = self.scene.come()
        self.scene.flush()
        self.assertTrue(refused.settled)
        self.scene.advance(1)
        self.assertIn("Type: stcp", self.scene.ssh(COMMAND).shown)
        self.assertIn("Type: stcp", self.scene.ssh(COMMAND).shown)

    def test_tunnels(self) -> None:
        """An address may have so many tunnels, and all together may."""
        self.patch(service, "MOST_TUNNELS_OF_SOURCE", 2)
        first, _ = (self.scene.ssh(COMMAND) for _ in range(2))
        refused = self.scene.ssh(COMMAND)
        self.assertEqual((refused.shown, refused.status), (f"{texts.TOO_MANY}\n", 1))
        first.leg.abort()
        self.scene.flush()
        self.assertIn("Type: stcp", self.scene.ssh(COMMAND).shown)
        self.patch(service, "MOST_TUNNELS", 2)
        self.patch(service, "MOST_TUNNELS_OF_SOURCE", 5)
        self.assertIn(texts.TOO_MANY, self.scene.ssh(COMMAND).shown)

    def test_addresses(self) -> None:
        """Who comes is known by the address that they come from."""
        self.scene.come("198.51.100.7")
        (client,) = self.scene.gateway._clients
        self.assertEqual(client.origin.source, Address("198.51.100.7", 40000))
