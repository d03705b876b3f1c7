from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.negotiation import BELIEVED_S, Knowledge, WireChoice, WireProtocol


class WireChoiceTests(SynchronousTestCase):
    """The version of the wire is chosen, tried, learned and not lowered."""

    def test_forced(self) -> None:
        """A forced version is spoken, whatever is known or happens."""
        for setting, version in ((WireProtocol.V1, 1), (WireProtocol.V2, 2)):
            for knowledge in Knowledge:
                choice = WireChoice(setting, knowledge)
                self.assertFalse(choice.closed_without_answer(version))
                self.assertEqual(choice.version(0.0), version)

    def test_server_of_today(self) -> None:
        """A server that answers in version 2 is spoken to in version 2."""
        choice = WireChoice(WireProtocol.AUTO)
        self.assertEqual(choice.version(0.0), 2)
        choice.answered(2, 0.0)
        self.assertEqual(choice.version(1.0), 2)
        self.assertEqual(choice.knowledge, Knowledge.SPEAKS_V2)

    def test_old_server(self) -> None:
        """A server that closes at once is tried in version 1, and remembered when that works."""
        choice = WireChoice(WireProtocol.AUTO)
        self.assertTrue(choice.closed_without_answer(2))
        self.assertEqual(choice.version(1.0), 1)
        choice.answered(1, 2.0)
        self.assertEqual(choice.version(3.0), 1)
        self.assertEqual(choice.knowledge, Knowledge.ONLY_V1)

    def test_server_that_is_down(self) -> None:
        """A server that closes in both versions is asked in version 2 again, and nothing is believed."""
        choice = WireChoice(WireProtocol.AUTO)
        for _ in range(3):
            self.assertEqual(choice.version(0.0), 2)
            self.assertTrue(choice.closed_without_answer(2))
            self.assertEqual(choice.version(0.0), 1)
            self.assertFalse(choice.closed_without_answer(1))
        self.assertEqual(choice.knowledge, Knowledge.NOTHING)

    def test_no_way_down(self) -> None:
        """A server that was once seen to speak version 2 is never spoken to in version 1."""
        for choice in (
            WireChoice(WireProtocol.AUTO, Knowledge.SPEAKS_V2),
            WireChoice(WireProtocol.AUTO),
        ):
            choice.answered(2, 0.0)
            self.assertFalse(choice.closed_without_answer(2))
            self.assertEqual(choice.version(1e9), 2)

    def test_forgotten(self) -> None:
        """A server that is forgotten is met as if for the first time, whatever it was known to speak."""
        for version in (1, 2):
            choice = WireChoice(WireProtocol.AUTO)
            choice.answered(version, 0.0)
            choice.forget()
            self.assertEqual(choice.knowledge, Knowledge.NOTHING)
            self.assertEqual(choice.version(1.0), 2)
            self.assertTrue(choice.closed_without_answer(2))
            self.assertEqual(choice.version(2.0), 1)

    def test_belief_ends(self) -> None:
        """A server that was updated meanwhile is found out after a while."""
        choice = WireChoice(WireProtocol.AUTO)
        choice.closed_without_answer(2)
        choice.answered(1, 10.0)
        self.assertEqual(choice.version(10.0 + BELIEVED_S - 1), 1)
        self.assertEqual(choice.version(10.0 + BELIEVED_S), 2)
        choice.answered(2, 10.0 + BELIEVED_S)
        self.assertEqual(choice.knowledge, Knowledge.SPEAKS_V2)

    def test_belief_that_proves_true(self) -> None:
        """A server that still knows only version 1 is tried in both, and believed anew."""
        choice = WireChoice(WireProtocol.AUTO)
        choice.answered(1, 0.0)
        self.assertEqual(choice.version(BELIEVED_S), 2)
        self.assertTrue(choice.closed_without_answer(2))
        self.assertEqual(choice.version(BELIEVED_S), 1)
        choice.answered(1, BELIEVED_S)
        self.assertEqual(choice.version(BELIEVED_S + 1), 1)

    def test_knowledge_of_an_earlier_process(self) -> None:
        """What an earlier process learned of version 1 is believed as long as what this one learned."""
        choice = WireChoice(WireProtocol.AUTO, Knowledge.ONLY_V1)
        self.assertEqual(choice.version(5.0), 1)
        self.assertEqual(choice.version(5.0 + BELIEVED_S), 2)

    @given(st.lists(st.tuples(st.booleans(), st.floats(0, 2 * BELIEVED_S))))
    def test_never_lowered(self, outcomes: list[tuple[bool, float]]) -> None:
        """Whatever happens, after version 2 was answered once version 1 is not spoken."""
        choice = WireChoice(WireProtocol.AUTO)
        now, seen = 0.0, False
        for answers, seconds in outcomes:
            now += seconds
            version = choice.version(now)
            self.assertFalse(seen and version == 1)
            if answers:
                choice.answered(version, now)
                seen = seen or version == 2
            else:
                choice.closed_without_answer(version)
