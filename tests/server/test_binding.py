"""Tests of what a server keeps for bound logins."""

from __future__ import annotations

import itertools
from pathlib import Path

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.login_proofs import BoundLogin
from relaykit.server.binding import FILE_NAME, ServerBinding, load_or_create_salt
from relaykit.state import StateDirectory
from relaykit.token_key import TokenKey
from relaykit.values import Secret


class SaltTests(SynchronousTestCase):
    """The salt of a server."""

    def setUp(self) -> None:
        self.state = StateDirectory(Path(self.mktemp()))
        numbers = itertools.count(1)
        self.entropy = lambda length: next(numbers).to_bytes(length, "big")

    def test_kept(self) -> None:
        """It is made once, and the same at every start."""
        salt = load_or_create_salt(self.state, self.entropy)
        self.assertEqual(salt, (1).to_bytes(16, "big"))
        self.assertEqual(load_or_create_salt(self.state, self.entropy), salt)

    def test_damaged(self) -> None:
        """One that is too short to be one is made anew."""
        self.state.write(FILE_NAME, b"short")
        self.assertEqual(len(load_or_create_salt(self.state, self.entropy)), 16)
        self.assertNotEqual(self.state.read(FILE_NAME), b"short")

    def test_nowhere_to_keep_it(self) -> None:
        """Without a state directory, or with one that cannot be written, it is another one each time."""
        Path(self.mktemp())
        blocked = Path(self.mktemp())
        blocked.write_bytes(b"")
        for state in (None, StateDirectory(blocked)):
            self.assertNotEqual(
                load_or_create_salt(state, self.entropy), load_or_create_salt(state, self.entropy)
            )


class ServerBindingTests(SynchronousTestCase):
    """When logins can be bound."""

    def binding(self, mode: BoundLogin, token: str) -> ServerBinding:
        """The binding of a server with this token, whose key is known."""
        token_key = TokenKey(Secret(token), lambda *_: succeed(b"key"))
        return ServerBinding.of(mode, Secret(token), lambda: b"salt", token_key)

    def test_modes(self) -> None:
        """There is a salt unless it is switched off, or there is no token to prove."""
        self.assertEqual(self.binding(BoundLogin.PREFER, "t").salt, b"salt")
        self.assertEqual(self.binding(BoundLogin.REQUIRE, "t").salt, b"salt")
        self.assertEqual(self.binding(BoundLogin.OFF, "t").salt, b"")
        self.assertEqual(self.binding(BoundLogin.PREFER, "").salt, b"")
        self.assertTrue(self.binding(BoundLogin.REQUIRE, "t").required)
        self.assertFalse(self.binding(BoundLogin.PREFER, "t").required)

    def test_key(self) -> None:
        """The key is that of the salt."""
        self.assertEqual(self.successResultOf(self.binding(BoundLogin.PREFER, "t").key()), b"key")

    def test_hidden(self) -> None:
        """The token is not shown."""
        self.assertNotIn("hush", repr(self.binding(BoundLogin.PREFER, "hush")))
