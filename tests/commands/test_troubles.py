"""Every message that a user may see is explained; tests for :mod:`relaykit.commands.troubles`."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.advice import find_trouble
from relaykit.commands.troubles import TROUBLES
from tests.commands.messages import messages

ELSEWHERE = frozenset(
    {
        # What is wrong with a configuration: its reader puts place, key and reason together.
        "auth.token: is empty",
        "must be the SHA-256 of a certificate",
        "not available yet",
        'unknown ... type "..."',
        # What the system says, after the text of an error.
        "cannot connect to ...: connection refused",
        "cannot connect to ...: connection timed out",
        "cannot connect to ...: it has no address",
        "cannot connect to ...: no answer within",
        "cannot read ...: No such file",
        "cannot read ...: Permission denied",
        "open ...:",
        "open ...: no such file or directory",
        "open ...: permission denied",
        # What protocols say, after a text of the log.
        "frp's server wants transport.tcpMux to be the same at both ends",
        "not a client of this server",
        'the transport protocol "..." is not available',
        "the connection ended during the login",
        "the server did not answer the login",
        # Texts that are chosen before they are used.
        "a work connection ended:",
        'auth.bound = "require" needs',
        "cannot be bound",
        "does not agree to a bound login",
        "invalid NewWorkConn",
        "invalid ping",
        "register visitor conn error",
        "the bound login failed",
        "the server refused a work connection:",
        "the session ended:",
        "the server's hello has no salt for a bound login",
    }
)
"""What is said in other ways than as the text of an error, of a log event, or of a complaint."""

COMMON = {
    "connect to local service [tcp:127.0.0.1:22] error: cannot connect to 127.0.0.1:22: connection refused "
    "(for 192.0.2.1:5000)": "local-service",
    "connect to server error: cannot connect to relay.example:7000: connection refused": "connection-refused",
    "connect to server error: cannot connect to relay.example:7000: no answer within 10 seconds": "no-answer",
    "connect to server error: token in login doesn't match token from configuration": "wrong-token",
    "[ssh] start error: port already used": "port-in-use",
    "[ssh] start error: proxy [ssh] already exists": "name-in-use",
    "[ssh] start error: something that nobody foresaw": "start-error",
    "[db] no visit for 127.0.0.1:5: visitor connection of [db] auth failed": "visit-secret",
    "[db] no visit for 127.0.0.1:5: there is no session with the server at the moment": "session-ended",
    "the session ended: timeout the peer gave no sign of life": "session-ended",
    "cannot read /var/lib/relaykit/token: Permission denied": "file-permission",
}
"""What people see most, and what it is about."""


class TroublesTests(SynchronousTestCase):
    """Tests for the table."""

    def test_every_message_is_explained(self) -> None:
        """Whatever text an error, a warning or a complaint has, there is a place that explains it."""
        found = list(messages())
        self.assertGreater(len(found), 80)
        silent = [f"{place}: {text}" for place, text in found if find_trouble(TROUBLES, text) is None]
        self.assertEqual(silent, [])

    def test_every_explanation_has_its_message(self) -> None:
        """What is explained is also said: no entry outlives its message."""
        texts = [text for _, text in messages()]
        idle = {
            said
            for trouble in TROUBLES
            for said in trouble.says
            if not any(_fits(said, text) for text in texts)
        }
        self.assertEqual(idle, ELSEWHERE)

    def test_common(self) -> None:
        """The most frequent messages are explained by what is inside, not by what they are wrapped in."""
        for text, anchor in COMMON.items():
            trouble = find_trouble(TROUBLES, text)
            self.assertEqual(trouble and trouble.anchor, anchor, text)

    def test_anchors(self) -> None:
        """Every entry has a place of its own, and whole sentences."""
        anchors = [trouble.anchor for trouble in TROUBLES]
        self.assertEqual(len(anchors), len(set(anchors)))
        for trouble in TROUBLES:
            self.assertIsNotNone(re.fullmatch(r"[a-z]+(-[a-z]+)*", trouble.anchor))
            for text in (trouble.means, trouble.remedy):
                self.assertTrue(text[0].isupper() or text.startswith("relaykit"), text)
                self.assertTrue(text.endswith("."), text)


def _fits(said: str, text: str) -> bool:
    return re.search(".*".join(map(re.escape, said.split("..."))), text, re.DOTALL) is not None
