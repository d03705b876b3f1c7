"""Tests for :mod:`relaykit.ssh_gateway.transport`: what is agreed on, and what strangers send."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS, getNS
from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.algorithms import CIPHERS, KEY_EXCHANGES, MACS
from relaykit.ssh_gateway.transport import KEY_EXCHANGE_S, MOST_EXCHANGES, MOST_UNREAD_BYTES
from relaykit.testing.memory import RecordingReceiver
from tests.ssh_gateway.scene import GatewayScene

COMMAND = "tcp -n web -r 6000 -t tok"


class OfferTests(SynchronousTestCase):
    """What a client is offered."""

    def test_offer(self) -> None:
        """The algorithms of the documentation, and none of those that are weak."""
        scene = GatewayScene(self.mktemp())
        got = RecordingReceiver(scene.come())
        scene.flush()
        version, _, packet = got.data.partition(b"\r\n")
        self.assertEqual(version, b"SSH-2.0-relaykit")
        *names, _ = getNS(packet[5 + 17 :], 10)
        exchanges, host_keys, to_server, to_client, macs, macs_back, packed, *_ = (
            each.decode().split(",") for each in names
        )
        self.assertEqual(exchanges, [each.decode() for each in KEY_EXCHANGES] + ["ext-info-s"])
        self.assertEqual(host_keys, ["ssh-ed25519"])
        self.assertEqual((to_server, to_client), ([each.decode() for each in CIPHERS],) * 2)
        self.assertEqual((macs, macs_back), ([each.decode() for each in MACS],) * 2)
        self.assertEqual(packed, ["none"])
        for weak in ("-sha1", "md5", "cbc", "3des", "dss", "group", "ssh-rsa"):
            self.assertNotIn(weak, got.data.decode("latin-1"), weak)


class StrangerTests(SynchronousTestCase):
    """What strangers may send."""

    @given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5), st.booleans())
    @settings(deadline=None, max_examples=50)
    def test_junk(self, pieces: list[bytes], with_version: bool) -> None:
        """Whatever comes, the gateway serves the next one, and no defect is logged."""
        scene = GatewayScene(self.mktemp())
        leg = scene.come()
        RecordingReceiver(leg)
        if with_version:
            leg.write(b"SSH-2.0-x\r\n")
        for each in pieces:
            leg.write(each)
            scene.flush()
        self.assertIn("Type: tcp", scene.ssh(COMMAND).shown)

    def test_nonsense_from_clients(self) -> None:
        """A client that was let in and breaks the rules is let go, with what it had."""
        for kind, payload in (
            (80, b""),
            (90, b"\0"),
            (90, NS(b"session")),
            (93, b"\0\0\0\x63\0\0\0\1"),
            (94, b"\0\0\0\x63\0\0\0\1x"),
            (94, b"\0\0\0\0\0\0\0\5x"),
            (95, b"\0"),
            (96, b"\0\0\0\x63"),
            (97, b"\0\0\0\x63"),
            (98, b"\0\0\0\x63" + NS(b"exec") + b"\1"),
            (81, b""),
            (50, NS(b"v0")),
            (20, b"junk"),
            (21, b""),
            (30, b""),
            (5, NS(b"ssh-connection")),
            (5, NS(b"ssh-userauth")),
        ):
            scene = GatewayScene(self.mktemp())
            ssh = scene.ssh(COMMAND)
            self.assertEqual(len(scene.registry), 1)
            ssh.transport.sendPacket(kind, payload)
            scene.flush()
            if kind != 50:
                self.assertEqual((ssh.is_lost, len(scene.registry)), (True, 0), (kind, payload))
            self.assertIn("Type: tcp", scene.ssh("tcp -r 6001 -t tok").shown)
        self.flushLoggedErrors()  # of the client's own library, which gets an answer that it did not ask for


class BoundTests(SynchronousTestCase):
    """What a client may cost."""

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())
        self.ssh = self.scene.ssh(COMMAND)

    def test_new_keys(self) -> None:
        """Keys may be changed while users are served; nothing of theirs is lost."""
        user, got = self.scene.dial(6000)
        (service,) = self.ssh.services
        for _ in range(3):
            self.ssh.transport.sendKexInit()
            user.write(b"x" * 100_000)
            service.write(b"y" * 100_000)
            self.scene.flush()
        self.assertEqual((len(service.got), len(got.data)), (300_000, 300_000))

    def test_too_many_exchanges(self) -> None:
        """Who changes its keys again and again is let go."""
        for _ in range(MOST_EXCHANGES):
            self.assertFalse(self.ssh.is_lost)
            self.ssh.transport.sendKexInit()
            self.scene.flush()
        self.assertTrue(self.ssh.is_lost)

    def test_exchange_that_stops(self) -> None:
        """An exchange that comes to no end ends the connection."""
        self.patch(type(self.ssh.transport), "ssh_KEXINIT", lambda transport, packet: None)
        self.ssh.transport.sendKexInit()
        self.scene.advance(KEY_EXCHANGE_S + 1)
        self.assertTrue(self.ssh.is_lost)

    def test_answers_that_nobody_reads(self) -> None:
        """Who asks and does not read the answers is given up before they fill the memory."""
        transport: Any = self.ssh.transport
        self.ssh.leg.pauseProducing()
        asked = 0
        while not self.ssh.leg.settled and asked < 100 * MOST_UNREAD_BYTES:
            for _ in range(100):
                transport.sendPacket(98, b"\0\0\0\0" + NS(b"nonsense") + b"\1" + b"x" * 1000)
                asked += 1000
            self.scene.flush()
        self.assertEqual(len(self.scene.registry), 0)
