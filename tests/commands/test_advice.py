"""Tests for :mod:`relaykit.commands.advice`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.advice import Trouble, explained, find_trouble, trouble_of

COLD = Trouble(anchor="cold", says=("it is ... cold", "frozen (a.b)"), means="Cold.", remedy="Heat.")
ANY = Trouble(anchor="any", says=("it is ",), means="So.", remedy="So what.")


class TroubleTests(SynchronousTestCase):
    """Tests for finding what a message is about."""

    def test_says(self) -> None:
        """Dots stand for anything, and everything else for itself."""
        for text, meant in {
            "today it is very cold": True,
            "it is  cold, isn't it": True,
            "it is cold": False,
            "frozen (a.b)": True,
            "frozen (axb)": False,
        }.items():
            self.assertEqual(COLD.is_meant_by(text), meant, text)

    def test_first(self) -> None:
        """The first entry that fits counts."""
        self.assertIs(find_trouble([COLD, ANY], "it is very cold"), COLD)
        self.assertIs(find_trouble([ANY, COLD], "it is very cold"), ANY)
        self.assertIsNone(find_trouble([COLD], "it is warm"))

    def test_explained(self) -> None:
        """A message that is known comes with advice; any other one stands alone."""
        lines = explained("cannot connect to relay.example:7000: connection refused").splitlines()
        trouble = trouble_of(lines[0])
        assert trouble is not None
        self.assertEqual(lines[1:], [f"  {trouble.means}", f"  {trouble.remedy}"])
        self.assertEqual(explained("nobody knows"), "nobody knows")
