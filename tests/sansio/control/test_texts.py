from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.texts import DETAILED, UNKNOWN_SESSION, PeerTexts
from tests import recorded


class PeerTextsTests(SynchronousTestCase):
    """Clients are told the reason, or a summary that says nothing more."""

    def test_detailed(self) -> None:
        """By default the reason is told."""
        self.assertEqual(DETAILED, PeerTexts(detailed=True))
        for text in (DETAILED.login, DETAILED.work, DETAILED.visit, DETAILED.ping):
            self.assertEqual(text("the reason"), "the reason")
        self.assertEqual(DETAILED.proxy("web", "the reason"), "the reason")

    def test_summaries(self) -> None:
        """Otherwise frp's summary is."""
        texts = PeerTexts(detailed=False)
        self.assertEqual(texts.login("x"), "register control error")
        self.assertEqual(texts.work("x"), "invalid NewWorkConn")
        self.assertEqual(texts.visit("x"), "register visitor conn error")
        self.assertEqual(texts.proxy("web", "x"), "new proxy [web] error")
        self.assertEqual(texts.ping("x"), "invalid ping")

    def test_unknown_session(self) -> None:
        """The text for an unknown run id is the one that frp's server was recorded with."""
        told = [
            fields["error"]
            for conversation in recorded.load("v1-first-message-errors").conversations()
            for name, fields in conversation.expect.get("s2c", ())
            if name == "StartWorkConn"
        ]
        self.assertEqual(told, [UNKNOWN_SESSION.format(run_id="0123456789abcdef")])
