"""Tests for :mod:`relaykit.ssh_gateway.authentication`: who is let in."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from twisted.conch.ssh.common import NS
from twisted.conch.ssh.userauth import (
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_PK_OK,
    MSG_USERAUTH_SUCCESS,
)
from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.authentication import MOST_ATTEMPTS, Admitted, UserAuthentication
from relaykit.ssh_gateway.authorized_keys import AuthorizedKeys
from tests.ssh_gateway.scene import GatewayScene, user_key
from tests.ssh_gateway.test_authorized_keys import blob, line

COMMAND = "tcp -n web -r 6000 --user zed"


class _Sent:
    """The transport of a client that is not let in yet."""

    sessionID: bytes | None = b"session"

    def __init__(self) -> None:
        self.packets: list[tuple[int, bytes]] = []
        self.ended = False

    def sendPacket(self, kind: int, payload: bytes) -> None:
        """What the client is sent."""
        self.packets.append((kind, payload))

    def sendDisconnect(self, reason: int, description: bytes) -> None:
        """The end."""
        self.ended = True


class RequestTests(SynchronousTestCase):
    """Tests for single requests."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_text(line(1, "dave"))
        self.admitted: list[Admitted] = []
        self.sent = _Sent()

    def service(self, *, for_all: bool = False) -> UserAuthentication:
        """What decides."""
        keys = None if for_all else AuthorizedKeys(str(self.path))
        service = UserAuthentication(keys, self.admitted.append)
        transport: Any = self.sent
        service.transport = transport
        return service

    def signed(
        self,
        seed: int = 1,
        *,
        session: bytes = b"session",
        algorithm: bytes = b"ssh-ed25519",
        user: bytes = b"v0",
    ) -> bytes:
        """A request with a signature."""
        head = NS(user) + NS(b"ssh-connection") + NS(b"publickey") + b"\1" + NS(algorithm) + NS(blob(seed))
        signature: bytes = user_key(seed).sign(NS(session) + bytes((50,)) + head)
        return head + NS(signature)

    def test_everybody(self) -> None:
        """Without a file of keys whoever asks is let in."""
        self.service(for_all=True).ssh_USERAUTH_REQUEST(NS(b"v0") + NS(b"ssh-connection") + NS(b"none"))
        self.assertEqual(self.admitted, [Admitted()])
        self.assertEqual(self.sent.packets, [(MSG_USERAUTH_SUCCESS, b"")])

    def test_signed(self) -> None:
        """A known key that has signed this login; its comment is who it is."""
        self.service().ssh_USERAUTH_REQUEST(self.signed())
        self.assertEqual(self.admitted, [Admitted("dave", by_key=True)])

    def test_asked_first(self) -> None:
        """A client may ask whether a key would do, which lets nobody in."""
        service = self.service()
        head = NS(b"v0") + NS(b"ssh-connection") + NS(b"publickey") + b"\0" + NS(b"ssh-ed25519")
        service.ssh_USERAUTH_REQUEST(head + NS(blob(1)))
        service.ssh_USERAUTH_REQUEST(head + NS(blob(2)))
        self.assertEqual([kind for kind, _ in self.sent.packets], [MSG_USERAUTH_PK_OK, MSG_USERAUTH_FAILURE])
        self.assertEqual(self.admitted, [])

    def test_refused(self) -> None:
        """Another key, another session, the signature of another user, an algorithm that is not the key's."""
        other_user = self.signed(user=b"v1").replace(NS(b"v1"), NS(b"v0"), 1)
        for request in (
            self.signed(2),
            self.signed(session=b"another"),
            other_user,
            self.signed(algorithm=b"ssh-rsa"),
            self.signed(algorithm=b"rsa-sha2-256"),
            NS(b"v0") + NS(b"ssh-connection") + NS(b"password") + b"\0" + NS(b"tok"),
            NS(b"v0") + NS(b"ssh-connection") + NS(b"none"),
            NS(b"v0") + NS(b"ssh-userauth") + NS(b"none"),
        ):
            self.service().ssh_USERAUTH_REQUEST(request)
            self.assertEqual(self.sent.packets.pop(), (MSG_USERAUTH_FAILURE, NS(b"publickey") + b"\0"))
        self.sent.sessionID = None
        self.service().ssh_USERAUTH_REQUEST(self.signed())
        self.assertEqual(self.admitted, [])

    def test_bounded(self) -> None:
        """Who tries too many keys is let go."""
        service = self.service()
        for _ in range(MOST_ATTEMPTS):
            self.assertFalse(self.sent.ended)
            service.ssh_USERAUTH_REQUEST(self.signed(2))
        self.assertTrue(self.sent.ended)

    def test_junk(self) -> None:
        """What is cut off anywhere lets nobody in."""
        whole = self.signed()
        for length in range(len(whole)):
            try:
                self.service().ssh_USERAUTH_REQUEST(whole[:length])
            except (ValueError, IndexError, struct.error):
                continue
        self.assertEqual(self.admitted, [])


class KeyTests(SynchronousTestCase):
    """Clients with keys."""

    def scene(self, authorized: str) -> GatewayScene:
        """A gateway with these keys."""
        path = Path(self.mktemp())
        path.write_text(authorized)
        return GatewayScene(self.mktemp(), str(path))

    def user_of(self, authorized: str) -> str:
        """The user whose proxy is published by who has the first key."""
        scene = self.scene(authorized)
        scene.ssh(COMMAND, key=user_key(1))
        (proxy,) = scene.registry
        return proxy.identity.user

    def test_comment(self) -> None:
        """Whose key is known needs no token, and is who its comment says, whatever the command does."""
        self.assertEqual(self.user_of(line(1, "dave")), "dave")
        self.assertEqual(self.user_of(line(1)), "zed")

    def test_unknown(self) -> None:
        """Another key, or none, with the token or without."""
        scene = self.scene(line(1))
        for key in (user_key(2), None):
            ssh = scene.ssh(f"{COMMAND} --token tok", key=key)
            self.assertIsNone(ssh.connection)
        self.assertEqual(len(scene.sessions), 0)
