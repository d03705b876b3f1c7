from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.negotiation import BELIEVED_S, KnownVersion, WireNegotiation, WireProtocol


class WireNegotiationTests(SynchronousTestCase):
    """The version of the wire is chosen, tried, learned and not lowered."""

    def test_forced(self) -> None:
        """A forced version is spoken, whatever is known or happens."""
        for setting, version in ((WireProtocol.V1, 1), (WireProtocol.V2, 2)):
            for known in KnownVersion:
                negotiation = WireNegotiation(setting, known)
                self.assertFalse(negotiation.closed_without_answer(version))
                self.assertEqual(negotiation.version(0.0), version)

    def test_server_of_today(self) -> None:
        """A server that answers in version 2 is spoken to in version 2."""
        negotiation = WireNegotiation(WireProtocol.AUTO)
        self.assertEqual(negotiation.version(0.0), 2)
        negotiation.answered(2, 0.0)
        self.assertEqual(negotiation.version(1.0), 2)
        self.assertEqual(negotiation.known, KnownVersion.SPEAKS_V2)

    def test_old_server(self) -> None:
        """A server that closes at once is tried in version 1, and remembered when that works."""
        negotiation = WireNegotiation(WireProtocol.AUTO)
        self.assertTrue(negotiation.closed_without_answer(2))
        self.assertEqual(negotiation.version(1.0), 1)
        negotiation.answered(1, 2.0)
        self.assertEqual(negotiation.version(3.0), 1)
        self.assertEqual(negotiation.known, KnownVersion.ONLY_V1)

    def test_server_that_is_down(self) -> None:
        """A server that closes in both versions is asked in version 2 again, and nothing is believed."""
        negotiation = WireNegotiation(WireProtocol.AUTO)
        for _ in range(3):
            self.assertEqual(negotiation.version(0.0), 2)
            self.assertTrue(negotiation.closed_without_answer(2))
            self.assertEqual(negotiation.version(0.0), 1)
            self.assertFalse(negotiation.closed_without_answer(1))
        self.assertEqual(negotiation.known, KnownVersion.NOTHING)

    def test_no_way_down(self) -> None:
        """A server that was once seen to speak version 2 is never spoken to in version 1."""
        for negotiation in (
            WireNegotiation(WireProtocol.AUTO, KnownVersion.SPEAKS_V2),
            WireNegotiation(WireProtocol.AUTO),
        ):
            negotiation.answered(2, 0.0)
            self.assertFalse(negotiation.closed_without_answer(2))
            self.assertEqual(negotiation.version(1e9), 2)

    def test_forgotten(self) -> None:
        """A server that is forgotten is met as if for the first time, whatever it was known to speak."""
        for version in (1, 2):
            negotiation = WireNegotiation(WireProtocol.AUTO)
            negotiation.answered(version, 0.0)
            negotiation.forget()
            self.assertEqual(negotiation.known, KnownVersion.NOTHING)
            self.assertEqual(negotiation.version(1.0), 2)
            self.assertTrue(negotiation.closed_without_answer(2))
            self.assertEqual(negotiation.version(2.0), 1)

    def test_belief_ends(self) -> None:
        """A server that was updated meanwhile is found out after a while."""
        negotiation = WireNegotiation(WireProtocol.AUTO)
        negotiation.closed_without_answer(2)
        negotiation.answered(1, 10.0)
        self.assertEqual(negotiation.version(10.0 + BELIEVED_S - 1), 1)
        self.assertEqual(negotiation.version(10.0 + BELIEVED_S), 2)
        negotiation.answered(2, 10.0 + BELIEVED_S)
        self.assertEqual(negotiation.known, KnownVersion.SPEAKS_V2)

    def test_belief_that_proves_true(self) -> None:
        """A server that still knows only version 1 is tried in both, and believed anew."""
        negotiation = WireNegotiation(WireProtocol.AUTO)
        negotiation.answered(1, 0.0)
        self.assertEqual(negotiation.version(BELIEVED_S), 2)
        self.assertTrue(negotiation.closed_without_answer(2))
        self.assertEqual(negotiation.version(BELIEVED_S), 1)
        negotiation.answered(1, BELIEVED_S)
        self.assertEqual(negotiation.version(BELIEVED_S + 1), 1)

    def test_knowledge_of_an_earlier_process(self) -> None:
        """What an earlier process learned of version 1 is believed as long as what this one learned."""
        negotiation = WireNegotiation(WireProtocol.AUTO, KnownVersion.ONLY_V1)
        self.assertEqual(negotiation.version(5.0), 1)
        self.assertEqual(negotiation.version(5.0 + BELIEVED_S), 2)

    @given(st.lists(st.tuples(st.booleans(), st.floats(0, 2 * BELIEVED_S))))
    def test_never_lowered(self, outcomes: list[tuple[bool, float]]) -> None:
        """Whatever happens, after version 2 was answered once version 1 is not spoken."""
        negotiation = WireNegotiation(WireProtocol.AUTO)
        now, seen = 0.0, False
        for answers, seconds in outcomes:
            now += seconds
            version = negotiation.version(now)
            self.assertFalse(seen and version == 1)
            if answers:
                negotiation.answered(version, now)
                seen = seen or version == 2
            else:
                negotiation.closed_without_answer(version)
