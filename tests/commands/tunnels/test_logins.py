"""Tests for :mod:`relaykit.commands.tunnels.logins`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.tunnels.logins import FILE_NAME, MOST_KEPT, Login, RememberedLogins, ServerName
from relaykit.errors import RelaykitError
from relaykit.state import StateDirectory, StateUnavailable
from relaykit.values import Secret


def login(name: str, token: str = "t", fingerprint: str = "") -> Login:
    """What is remembered of a server."""
    return Login(server=ServerName.parse(name), token=Secret(token), fingerprint=fingerprint)


class ServerNameTests(SynchronousTestCase):
    """Tests for :class:`ServerName`."""

    def test_parse(self) -> None:
        """A host, a host with a port, and IPv6 in both spellings; the port is 7000 where none is named."""
        for text, name in {
            "relay.example": ServerName("relay.example", 7000),
            "relay.example:443": ServerName("relay.example", 443),
            "192.0.2.1:7001": ServerName("192.0.2.1", 7001),
            "[2001:db8::1]:7001": ServerName("2001:db8::1", 7001),
            "[2001:db8::1]": ServerName("2001:db8::1", 7000),
            "2001:db8::1": ServerName("2001:db8::1", 7000),
        }.items():
            self.assertEqual(ServerName.parse(text), name, text)

    def test_text(self) -> None:
        """A name is written as it can be read again."""
        for text in ("relay.example:7000", "[2001:db8::1]:7001"):
            self.assertEqual(str(ServerName.parse(text)), text)

    def test_none(self) -> None:
        """Whatever names no server is refused."""
        for text in (
            "",
            ":7000",
            "relay:",
            "relay:x",
            "relay:0",
            "relay:65536",
            "a b",
            "[::1",
            "http://relay",
        ):
            with self.assertRaises(RelaykitError, msg=text):
                ServerName.parse(text)


class RememberedLoginsTests(SynchronousTestCase):
    """Tests for :class:`RememberedLogins`."""

    def setUp(self) -> None:
        """Makes a state directory."""
        self.state = StateDirectory(Path(self.mktemp()))
        self.logins = RememberedLogins(self.state)

    def test_nothing(self) -> None:
        """Where nothing was remembered, nothing is known; likewise without a state directory."""
        for logins in (self.logins, RememberedLogins(None)):
            self.assertIsNone(logins.latest())
            self.assertIsNone(logins.find(ServerName("relay.example")))
            self.assertEqual(logins.forget("relay.example"), [])

    def test_remember(self) -> None:
        """What was remembered is found again, the last of it also without a name."""
        one, other = login("one.example"), login("other.example", "secret", "sha256:ab")
        self.logins.remember(one)
        self.logins.remember(other)
        again = RememberedLogins(self.state)
        self.assertEqual(again.find(ServerName("one.example")), one)
        self.assertEqual(again.latest(), other)

    def test_in_place(self) -> None:
        """What is remembered anew replaces what was known, and counts as the last."""
        for each in (login("one.example"), login("other.example"), login("one.example", "new")):
            self.logins.remember(each)
        latest = self.logins.latest()
        assert latest is not None
        self.assertEqual((latest.server.host, latest.token), ("one.example", Secret("new")))
        self.assertEqual(self.logins.forget("one.example"), ["one.example:7000"])

    def test_bounded(self) -> None:
        """So many servers are kept, and the oldest make room."""
        for number in range(MOST_KEPT + 2):
            self.logins.remember(login(f"h{number}"))
        self.assertIsNone(self.logins.find(ServerName("h1")))
        self.assertIsNotNone(self.logins.find(ServerName("h2")))

    def test_forget(self) -> None:
        """One server is forgotten, or all of a host."""
        for name in ("a:1", "a:2", "a:3", "b:1"):
            self.logins.remember(login(name))
        self.assertEqual(self.logins.forget("a", 2), ["a:2"])
        self.assertEqual(self.logins.forget("a"), ["a:1", "a:3"])
        latest = self.logins.latest()
        assert latest is not None
        self.assertEqual(str(latest.server), "b:1")

    def test_without_a_directory(self) -> None:
        """Who asks for something to be remembered is told that it cannot be."""
        with self.assertRaisesRegex(StateUnavailable, "--state-dir"):
            RememberedLogins(None).remember(login("relay.example"))

    def test_odd_entries(self) -> None:
        """Entries that make no sense are as if they were not there."""
        self.state.write_json(
            FILE_NAME,
            [1, {}, {"server": "a"}, {"server": "::x:", "token": "t"}, {"server": "b", "token": "t"}],
        )
        self.assertEqual(self.logins.latest(), login("b"))
        self.state.write_json(FILE_NAME, {"server": "a"})
        self.assertIsNone(self.logins.latest())
