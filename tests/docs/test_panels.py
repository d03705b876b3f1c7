"""Tests for the pictures of panels."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.panels import PANELS, picture_of


class PanelTests(SynchronousTestCase):
    """Tests for what is shown of the commands."""

    def test_drawn(self) -> None:
        """Each has what the command shows, and asks nobody for a font."""
        for name, shown in (("client", "relay.example:6000"), ("site", "/style.css"), ("server", "workshop")):
            picture = picture_of(name)
            self.assertIn(shown, picture.replace("&#160;", " "))
            self.assertNotIn("url(http", picture)
            self.assertNotIn("Traceback", picture)

    def test_all(self) -> None:
        """No other one is there that nothing is known of."""
        self.assertEqual(set(PANELS), {"client", "site", "server"})
