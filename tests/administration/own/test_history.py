"""Tests for :mod:`relaykit.administration.own.history`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import CallFailed
from relaykit.administration.own.history import MOST_POINTS, history_routes
from relaykit.administration.own.openapi import PREFIX
from relaykit.history.grains import Grain, begin_of, kept, number_of
from relaykit.history.subjects import WHOLE, Columns, Subject, SubjectKind
from tests.administration.exchanges import Connection
from tests.administration.own.asking import OwnApi

NOW = 1_780_000_030.0
_SUBJECTS = {"proxy": "a proxy", "client": "a client"}


class HistoryTests(SynchronousTestCase):
    """Tests for what is asked of a history."""

    def setUp(self) -> None:
        self.asked: list[tuple[Subject, Grain, range]] = []
        self.failing: CallFailed | None = None
        self.api = OwnApi(tuple(history_routes(self.read, lambda: NOW, _SUBJECTS)))

    async def read(self, subject: Subject, grain: Grain, numbers: range) -> Columns:
        """Counts."""
        if self.failing is not None:
            raise self.failing
        self.asked.append((subject, grain, numbers))
        return Columns(list(numbers), [0 for _ in numbers], [1 for _ in numbers])

    def test_span(self) -> None:
        """The points of a span are told in columns, the first one that which ``from`` is in."""
        first, last = number_of(Grain.MINUTE, NOW) - 2, number_of(Grain.MINUTE, NOW) - 1
        begin, end = begin_of(Grain.MINUTE, first) + 59.5, begin_of(Grain.MINUTE, last)
        told = self.api.ask("GET", f"/history?proxy=web&grain=minute&from={begin}&to={end}").json
        self.assertEqual(
            told,
            {
                "proxy": "web",
                "client": "",
                "grain": "minute",
                "times": [first * 60, last * 60],
                "bytesIn": [first, last],
                "bytesOut": [0, 0],
                "connections": [1, 1],
            },
        )
        self.assertEqual(
            self.asked, [(Subject(SubjectKind.PROXY, "web"), Grain.MINUTE, range(first, last + 1))]
        )

    def test_defaults(self) -> None:
        """Who asks for nothing else gets the last week of all, by hours, until now."""
        told = self.api.ask("GET", "/history").json
        self.assertEqual((told["grain"], len(told["times"])), ("hour", 168))
        self.assertEqual(told["times"][-1], NOW // 3600 * 3600)
        self.assertEqual(self.asked[0][0], WHOLE)
        for grain, points in (("minute", 180), ("day", 90)):
            self.assertEqual(len(self.api.ask("GET", f"/history?grain={grain}").json["times"]), points)

    def test_client(self) -> None:
        """A client is asked for by its key, and not together with a proxy."""
        self.assertEqual(self.api.ask("GET", "/history?client=ann.c1").json["client"], "ann.c1")
        self.assertEqual(self.asked[0][0], Subject(SubjectKind.CLIENT, "ann.c1"))
        self.assertEqual(self.api.ask("GET", "/history?client=a&proxy=b").status, 400)

    def test_most_points(self) -> None:
        """All that is kept of a grain can be asked for at once, and no more than an answer may have."""
        for grain in Grain:
            number = number_of(grain, NOW)
            begin = begin_of(grain, number - kept(grain) + 1)
            told = self.api.ask("GET", f"/history?grain={grain.value}&from={begin}").json
            self.assertEqual(len(told["times"]), kept(grain))
        begin = begin_of(Grain.MINUTE, number_of(Grain.MINUTE, NOW) - MOST_POINTS)
        refused = self.api.ask("GET", f"/history?grain=minute&from={begin}")
        self.assertEqual(refused.status, 400)
        self.assertIn("3001 points", refused.json["error"])

    def test_wrong(self) -> None:
        """What makes no sense is refused with what would."""
        for query in (
            "grain=year",
            "from=nan",
            "from=inf",
            "from=-1",
            "to=1e300",
            "to=yesterday",
            "from=200&to=100&grain=minute",
        ):
            answer = self.api.ask("GET", f"/history?{query}")
            self.assertEqual((query, answer.status), (query, 400))
            self.assertTrue(answer.json["error"])
        self.assertEqual(self.asked, [])

    def test_none(self) -> None:
        """Where none is kept, that is said."""
        api = OwnApi(tuple(history_routes(None, lambda: NOW, _SUBJECTS)))
        answer = api.ask("GET", "/history")
        self.assertEqual(answer.status, 404)
        self.assertIn("keepHistory", answer.json["error"])

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["proxy", "client", "grain", "from", "to"]),
                st.one_of(
                    st.sampled_from([each.value for each in Grain]),
                    st.floats().map(str),
                    st.integers(-10, 2**34).map(str),
                    st.text(st.sampled_from("az09%2F.:[]-+e_\x01"), max_size=12),
                ),
            ),
            max_size=6,
        )
    )
    def test_anything(self, query: list[tuple[str, str]]) -> None:
        """Whatever is asked is answered, with no more points than there may be, or refused."""
        connection = Connection(self.api.site)
        connection.ask("GET", f"{PREFIX}/history?" + "&".join(f"{key}={value}" for key, value in query))
        for answer in connection.answers():
            self.assertIn(answer.status, (200, 400))
            if answer.status == 200:
                self.assertLessEqual(len(answer.json["times"]), MOST_POINTS)
        self.assertEqual(self.flushLoggedErrors(), [])
