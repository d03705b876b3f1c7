"""Tests for :mod:`relaykit.sansio.http.conditions`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.conditions import Outcome, Validators

THIS = Validators(b'"a"', 1_700_000_000)
EARLIER = b"Tue, 14 Nov 2023 22:13:19 GMT"


class ConditionTests(SynchronousTestCase):
    """What becomes of requests for one state."""

    def test_date(self) -> None:
        """The date is that of HTTP."""
        self.assertEqual(THIS.date, b"Tue, 14 Nov 2023 22:13:20 GMT")

    def test_outcomes(self) -> None:
        """Tags come before dates, and what is to be the same before what is to be new."""
        for name, value, expected in (
            (b"Other", b"", Outcome.SENT),
            (b"If-None-Match", b'W/"a"', Outcome.NOT_MODIFIED),
            (b"If-None-Match", b'"b", "a"', Outcome.NOT_MODIFIED),
            (b"If-None-Match", b"*", Outcome.NOT_MODIFIED),
            (b"If-None-Match", b'"b"', Outcome.SENT),
            (b"If-Match", b'"a"', Outcome.SENT),
            (b"If-Match", b'W/"a"', Outcome.FAILED),
            (b"If-Match", b'"b"', Outcome.FAILED),
            (b"If-Modified-Since", THIS.date, Outcome.NOT_MODIFIED),
            (b"If-Modified-Since", EARLIER, Outcome.SENT),
            (b"If-Modified-Since", b"yesterday", Outcome.SENT),
            (b"If-Unmodified-Since", EARLIER, Outcome.FAILED),
            (b"If-Unmodified-Since", THIS.date, Outcome.SENT),
        ):
            self.assertIs(THIS.judge({name: value}.get), expected, (name, value))

    def test_both(self) -> None:
        """A date says nothing beside a tag."""
        said = {b"If-None-Match": b'"b"', b"If-Modified-Since": THIS.date}
        self.assertIs(THIS.judge(said.get), Outcome.SENT)

    def test_continues(self) -> None:
        """Parts go to who has the same state, and to who does not say."""
        for value, expected in (
            (None, True),
            (THIS.tag, True),
            (THIS.date, True),
            (EARLIER, False),
            (b'"b"', False),
        ):
            self.assertIs(THIS.continues(value), expected, value)

    @given(st.sampled_from([b"If-Match", b"If-None-Match", b"If-Modified-Since"]), st.binary())
    def test_whatever(self, name: bytes, value: bytes) -> None:
        """Whatever is said, something becomes of it."""
        self.assertIsInstance(THIS.judge({name: value}.get), Outcome)
