"""Tests for :mod:`relaykit.history.grains`."""

from __future__ import annotations

import os
import time
from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.history.grains import DAY_S, HOUR_S, LATEST_S, Grain, begin_of, kept, number_of, seconds_of

_ZONES = ("UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0530>-5:30", "NZST-12NZDT,M9.5.0,M4.1.0/3", "<-11>11")
"""Middle Europe, India, New Zealand and Samoa, as POSIX writes them."""


class InZone:
    """Somewhere on earth."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._former = os.environ.get("TZ")

    def __enter__(self) -> None:
        os.environ["TZ"] = self._zone
        time.tzset()

    def __exit__(self, *reason: object) -> None:
        if self._former is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = self._former
        time.tzset()


class GrainTests(SynchronousTestCase):
    """Tests for numbers and times of minutes, hours and days."""

    @given(st.sampled_from(_ZONES), st.sampled_from(Grain), st.floats(0, LATEST_S))
    def test_any_time(self, zone: str, grain: Grain, at: float) -> None:
        """A time is in the one that begins last before it, wherever that is."""
        with InZone(zone):
            number = number_of(grain, at)
            self.assertLessEqual(begin_of(grain, number), at)
            self.assertLess(at, begin_of(grain, number + 1))

    def test_summer_time(self) -> None:
        """Days are those of the calendar: two of a year have another length."""
        with InZone(_ZONES[1]):
            for day, hours in ((date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)):
                number = day.toordinal()
                begin, end = begin_of(Grain.DAY, number), begin_of(Grain.DAY, number + 1)
                self.assertEqual(end - begin, hours * HOUR_S)
                self.assertEqual(number_of(Grain.DAY, begin), number)
                self.assertEqual(number_of(Grain.DAY, end - 1), number)

    def test_kept(self) -> None:
        """Two days of minutes, two weeks of hours and ninety days are kept."""
        self.assertEqual(
            {grain: kept(grain) * seconds_of(grain) // DAY_S for grain in Grain},
            {Grain.MINUTE: 2, Grain.HOUR: 14, Grain.DAY: 90},
        )
