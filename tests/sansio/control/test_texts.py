from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.texts import DETAILED, UNKNOWN_SESSION, PeerTexts
from relaykit.sansio.wire.framing import MAX_BODY, encode_v1
from relaykit.sansio.wire.messages import MOST_NAME, NewProxyResp
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

    def test_of_peers(self) -> None:
        """Whatever a reason repeats of what a peer sent: it is one line that fits into a message."""
        hostile = "proxy [\x1b[2J\n" + "<" * 20000
        texts = PeerTexts(detailed=True)
        for told in (
            *(text(hostile) for text in (texts.login, texts.work, texts.visit, texts.ping)),
            texts.proxy("web", hostile),
            PeerTexts(detailed=False).proxy(hostile, "x"),
        ):
            self.assertTrue(told.isprintable())
            self.assertLess(len(encode_v1(NewProxyResp(proxy_name="<" * MOST_NAME, error=told))), MAX_BODY)

    def test_unknown_session(self) -> None:
        """The text for an unknown run id is the one that frp's server was recorded with."""
        told = [
            fields["error"]
            for conversation in recorded.load("v1-first-message-errors").conversations()
            for name, fields in conversation.expect.get("s2c", ())
            if name == "StartWorkConn"
        ]
        self.assertEqual(told, [UNKNOWN_SESSION.format(run_id="0123456789abcdef")])
