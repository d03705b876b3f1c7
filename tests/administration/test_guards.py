"""Tests for :mod:`relaykit.administration.guards`."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.guards import (
    FAILURE_S,
    LONGEST_DELAY_S,
    MOST_SOURCES,
    FailureDelays,
    Guard,
)
from relaykit.values import NO_SECRET
from tests.administration.exchanges import OPEN, SECURED


def basic(text: str) -> str:
    """The header of Basic authentication with this user and password."""
    return "Basic " + base64.b64encode(text.encode()).decode()


class AuthenticationTests(SynchronousTestCase):
    """Tests for who knows the password."""

    def test_known(self) -> None:
        """User and password are let in, however the scheme is written."""
        for text in (basic("admin:pw"), basic("admin:pw").replace("Basic", "basic")):
            self.assertTrue(SECURED.admits(text))

    def test_unknown(self) -> None:
        """Nobody else is."""
        for text in (
            "",
            "Basic",
            "Basic x",
            basic("admin:"),
            basic("admin:pw2"),
            basic("admin"),
            basic("admin:pw").replace("Basic", "Bearer"),
        ):
            self.assertFalse(SECURED.admits(text), text)

    def test_nobody_is_asked(self) -> None:
        """Without user and password all are let in; a user alone is asked for."""
        self.assertTrue(OPEN.admits(""))
        named = Guard(user="admin", password=NO_SECRET)
        self.assertFalse(named.admits(""))
        self.assertTrue(named.admits(basic("admin:")))

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Whatever is sent is answered by yes or no."""
        self.assertFalse(SECURED.admits(text))
        self.assertFalse(SECURED.admits("Basic " + text))

    def test_secret(self) -> None:
        """The password is in no representation."""
        self.assertNotIn("pw", repr(SECURED))


class NameTests(SynchronousTestCase):
    """Tests for the name by which a server is asked for."""

    def test_without_password(self) -> None:
        """Only names that nobody can lead to this machine count."""
        for host in (
            "127.0.0.1",
            "127.0.0.1:7400",
            "[::1]:7400",
            "localhost",
            "LOCALHOST.:1",
            "a.localhost",
            "192.0.2.7:80",
        ):
            self.assertTrue(OPEN.is_called(host), host)
        for host in (
            "",
            "evil.example",
            "evil.example:7400",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ):
            self.assertFalse(OPEN.is_called(host), host)

    def test_own_address(self) -> None:
        """The name that the configuration has counts as well."""
        self.assertTrue(Guard(password=NO_SECRET, address="Relay.lan").is_called("relay.lan:7400"))

    def test_with_password(self) -> None:
        """A browser sends the password to no other name, so that any is good."""
        self.assertTrue(SECURED.is_called("relay.example"))

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Whatever is sent is answered by yes or no."""
        OPEN.is_called(text)


class ForeignTests(SynchronousTestCase):
    """Tests for calls that pages of other servers make."""

    def test_programs(self) -> None:
        """What is no browser says nothing of where it comes from."""
        self.assertFalse(SECURED.is_foreign("a:1", "", ""))

    def test_own_pages(self) -> None:
        """The server's own pages, and its user, are no strangers."""
        self.assertFalse(SECURED.is_foreign("a:1", "http://a:1", "same-origin"))
        self.assertFalse(SECURED.is_foreign("a:1", "", "none"))
        self.assertFalse(SECURED.is_foreign("A:1", "http://a:1", ""))

    def test_others(self) -> None:
        """All others are."""
        for origin, site in (
            ("http://b", ""),
            ("http://a:2", ""),
            ("null", ""),
            ("", "cross-site"),
            ("", "same-site"),
            ("http://a:1", "cross-site"),
        ):
            self.assertTrue(SECURED.is_foreign("a:1", origin, site), (origin, site))


class DelayTests(SynchronousTestCase):
    """Tests for how long passwords wait for wrong ones before them."""

    def setUp(self) -> None:
        self.delays = FailureDelays()

    def guess(self, source: str, now: float) -> float | None:
        """When a wrong password is looked at, if it is."""
        delay = self.delays.turn((source,), now)
        if delay is not None:
            self.delays.failed((source,), now + delay)
        return delay

    def test_one(self) -> None:
        """One that comes now and then waits for nothing."""
        self.assertEqual([self.guess("a", now) for now in (0.0, 1.0, 1.5)], [0.0] * 3)

    def test_at_once(self) -> None:
        """Many that come at once have turns, whatever becomes of those before them."""
        self.guess("a", 0.0)
        turns = [self.delays.turn(("a",), 0.0) for _ in range(3)]
        for number, turn in enumerate(turns, 1):
            self.assertAlmostEqual(turn or 0, number * FAILURE_S)

    def test_many(self) -> None:
        """Those of one source wait for each other, up to a limit, and others do not wait for them."""
        found = [self.delays.turn(("a",), 0.0) for _ in range(2)]
        self.assertEqual(found, [0.0, 0.0])
        self.delays.failed(("a",), 0.0)
        found = [self.delays.turn(("a",), 0.0) for _ in range(30)]
        waiting = [each for each in found if each is not None]
        self.assertLessEqual(len(waiting), LONGEST_DELAY_S / FAILURE_S)
        self.assertEqual((waiting, found[-1]), (sorted(waiting), None))
        self.assertLessEqual(waiting[-1], LONGEST_DELAY_S)
        self.assertEqual(self.guess("b", 0.0), 0.0)
        self.assertEqual(self.guess("a", 2 * LONGEST_DELAY_S), 0.0)

    def test_bounded(self) -> None:
        """No more than so many sources are remembered."""
        for number in range(MOST_SOURCES + 10):
            self.guess(str(number), 0.0)
        self.assertEqual(len(self.delays._due), MOST_SOURCES)
