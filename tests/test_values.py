"""Tests of the frozen values."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.values import NOTHING, NOTHING_SEEN, Address, Amount, ClientIdentity, LastSeen, Origin, Secret


class SecretTests(SynchronousTestCase):
    """What must not be seen is not."""

    def test_hidden(self) -> None:
        """Neither ``repr`` nor ``str`` nor formatting shows the text."""
        secret = Secret("hunter2")
        for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % secret):  # noqa: UP031
            self.assertNotIn("hunter2", shown)
        self.assertEqual(secret.reveal(), "hunter2")

    def test_equality(self) -> None:
        """Secrets are equal by their text, and never equal to a plain text."""
        self.assertEqual(Secret("a"), Secret("a"))
        self.assertNotEqual(Secret("a"), Secret("b"))
        self.assertNotEqual(Secret("a"), "a")
        self.assertEqual(len({Secret("a"), Secret("a")}), 1)

    def test_truth(self) -> None:
        """Only the empty secret is false."""
        self.assertFalse(Secret(""))
        self.assertTrue(Secret("0"))

    def test_bytes(self) -> None:
        """Keys are made from UTF-8, and bytes that are not UTF-8 survive."""
        self.assertEqual(Secret("ä").to_bytes(), b"\xc3\xa4")
        self.assertEqual(Secret(b"\xff".decode("utf-8", "surrogateescape")).to_bytes(), b"\xff")


class LastSeenTests(SynchronousTestCase):
    """What was seen last of users."""

    def test_kept(self) -> None:
        """Who comes leaves what went wrong as it was, and the other way around."""
        user = Address("192.0.2.1", 9)
        seen = NOTHING_SEEN.came(user, 1.0).went_wrong("no", 2.0)
        self.assertEqual(seen, LastSeen(user, 1.0, "no", 2.0))
        self.assertEqual(seen.came(None, 3.0), LastSeen(None, 3.0, "no", 2.0))


class AddressTests(SynchronousTestCase):
    """How addresses are written."""

    def test_text(self) -> None:
        """IPv6 addresses stand in brackets before their port."""
        self.assertEqual(str(Address("192.0.2.1", 80)), "192.0.2.1:80")
        self.assertEqual(str(Address("2001:db8::1", 80)), "[2001:db8::1]:80")
        self.assertEqual(str(Origin(Address("192.0.2.1", 80))), "192.0.2.1:80")
        self.assertEqual(str(Origin()), "unknown")
        visitor = Origin(Address("192.0.2.1", 80), visitor_user=Address("::1", 9))
        self.assertEqual(str(visitor), "192.0.2.1:80 for user [::1]:9 at the visitor")

    def test_identity_is_not_its_address(self) -> None:
        """A client that comes from another address is the same client."""
        here = ClientIdentity("r", "u", "c", Address("192.0.2.1", 1))
        self.assertEqual(here, ClientIdentity("r", "u", "c", Address("192.0.2.2", 2)))


class AmountTests(SynchronousTestCase):
    """Tests for sums and differences."""

    def test_since(self) -> None:
        """The difference of two totals; those that have begun anew count as a whole."""
        before, now = Amount(10, 20, 1), Amount(11, 20, 3)
        self.assertEqual(now.since(before), Amount(1, 0, 2))
        self.assertEqual(before.since(now), before)
        self.assertEqual(before + now.since(before), now)

    def test_nothing(self) -> None:
        """What has no numbers is false."""
        self.assertFalse(NOTHING)
        for some in (Amount(1, 0, 0), Amount(0, 1, 0), Amount(0, 0, 1)):
            self.assertTrue(some)
