"""Tests for :mod:`relaykit.ssh_gateway.connection`: what a client may ask, and is asked."""

from __future__ import annotations

import struct
from typing import Any

from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed, SessionLost
from relaykit.ssh_gateway import connection
from relaykit.ssh_gateway.connection import Forward
from relaykit.values import Address, Origin
from tests.ssh_gateway.test_legs import USER, ChannelScene


class _Channel(SSHChannel):
    """A channel that a client opens."""

    def __init__(self, name: bytes) -> None:
        super().__init__()
        self.name = name
        self.refusal: Any = None

    def openFailed(self, reason: Any) -> None:
        self.refusal = reason


class ConnectionTests(SynchronousTestCase):
    """Tests for the requests of one client."""

    def setUp(self) -> None:
        self.scene = ChannelScene(self.mktemp())

    def ask(self, name: bytes, data: bytes = b"") -> Deferred[Any]:
        """What the client asks of the gateway."""
        assert self.scene.client.connection is not None
        asked: Deferred[Any] = self.scene.client.connection.sendGlobalRequest(name, data, wantReply=1)
        self.scene.flush()
        return asked

    def test_requests(self) -> None:
        """What OpenSSH asks besides is answered; what is not known is refused, as the protocol wants."""
        self.assertEqual(self.successResultOf(self.ask(b"no-more-sessions@openssh.com")), b"")
        for name in (b"cancel-tcpip-forward", b"streamlocal-forward@openssh.com", b"\xff"):
            self.failureResultOf(self.ask(name), ConchError)

    def test_other_channels(self) -> None:
        """Nobody gets through the gateway to somewhere else, nor a second session."""
        client: Any = self.scene.client.connection
        for name in (b"direct-tcpip", b"direct-streamlocal@openssh.com", b"x11", b"session"):
            channel = _Channel(name)
            client.openChannel(channel)
            self.scene.flush()
            self.assertIsNotNone(channel.refusal, name)
        self.assertEqual(len(self.scene.connection.channels), 1)
        self.flushLoggedErrors()

    def test_answers(self) -> None:
        """A client that is asked for a sign of life gives one, whatever it answers."""
        asked = self.scene.connection.ping()
        self.assertNoResult(asked)
        self.scene.flush()
        self.assertIsNone(self.successResultOf(asked))

    def test_too_many(self) -> None:
        """A client has so many channels at most, and none once it is gone."""
        self.patch(connection, "MOST_CHANNELS", 2)
        self.scene.channel()
        opening = self.scene.connection.open_leg(Forward(b"", 80), USER)
        self.failureResultOf(opening, ConnectionFailed)
        self.patch(connection, "MOST_CHANNELS", 5)
        self.scene.client.leg.abort()
        self.scene.flush()
        self.failureResultOf(self.scene.connection.open_leg(Forward(b"", 80), USER), ConnectionFailed)

    def test_gone_while_opening(self) -> None:
        """Channels that the client has not opened when it goes fail."""
        opening = self.scene.connection.open_leg(Forward(b"", 80), USER)
        self.scene.client.leg.abort()
        self.scene.flush()
        self.failureResultOf(opening, SessionLost)


class ForwardTests(SynchronousTestCase):
    """Tests for a port that is forwarded."""

    def test_opening(self) -> None:
        """The client is told its port as it asked for it, and where the user comes from."""
        forward = Forward(b"1.2.3.4", 9999)
        port = struct.pack(">L", 9999)
        self.assertEqual(
            forward.opening(Origin(Address("::1", 5))),
            NS(b"1.2.3.4") + port + NS(b"::1") + struct.pack(">L", 5),
        )
        self.assertEqual(forward.opening(Origin()), NS(b"1.2.3.4") + port + NS(b"") + bytes(4))
