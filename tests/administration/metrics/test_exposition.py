"""Tests for :mod:`relaykit.administration.metrics.exposition`."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

from attrs import define
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from twisted.internet import reactor  # noqa: TID251  # threads hand back what they have to it
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from relaykit.administration.calls import Call
from relaykit.administration.metrics.exposition import Exposition, Families
from tests.administration.metrics.texts import key, read


@define(eq=False)
class Counted:
    """A source that counts how often it is asked."""

    asked: int = 0
    fails: bool = False
    is_gone: bool = False

    def take(self) -> Families:
        if self.is_gone:
            raise LookupError("a defect")
        self.asked += 1
        return lambda: self._families(self.asked)

    def _families(self, asked: int) -> Iterator[Metric]:
        if self.fails:
            raise ValueError("a defect")
        yield GaugeMetricFamily("asked", "How often it was asked", value=asked)
        yield CounterMetricFamily("old", "A name of old", value=7)


class ExpositionTests(TestCase):
    """Tests for :class:`Exposition`."""

    def setUp(self) -> None:
        self.source = Counted()
        self.exposition = Exposition(reactor, (self.source,), ("old",))

    def scrape(self, accepts: str = "") -> Deferred[Any]:
        """Somebody asks."""
        call = Call(path="/metrics", header=lambda name: accepts if name == "Accept-Encoding" else "")
        answer: Any = self.exposition.route().handler(call)
        return Deferred.fromCoroutine(answer)

    async def test_text(self) -> None:
        """The answer is text that Prometheus reads; some names stand as they are."""
        answer = await self.scrape()
        self.assertEqual(answer.type, "text/plain; version=0.0.4; charset=utf-8; escaping=values")
        self.assertEqual(read(answer.body)[key("asked")], 1)
        self.assertIn(b"# HELP old A name of old\n# TYPE old counter\n", answer.body)

    async def test_compressed(self) -> None:
        """Who takes gzip gets it, and nobody else does; what is in between is told that there are two."""
        plain = await self.scrape()
        for accepts in ("gzip", "identity, gzip;q=0.5", "deflate,gzip", "*", "gzip;q=1.0, br"):
            answer = await self.scrape(accepts)
            self.assertEqual(answer.headers["Content-Encoding"], "gzip", accepts)
            self.assertIn(b"How often", gzip.decompress(answer.body))
        for accepts in ("", "identity", "gzip;q=0", "gzip;q=0.0, br", "xgzip", "gzipx"):
            answer = await self.scrape(accepts)
            self.assertNotIn("Content-Encoding", answer.headers, accepts)
            self.assertEqual(answer.headers["Vary"], "Accept-Encoding")
        self.assertNotIn("Content-Encoding", plain.headers)

    async def test_together(self) -> None:
        """Who asks while an answer is made gets the same one; the next one gets another."""
        first, second = self.scrape(), self.scrape()
        self.assertEqual((await first).body, (await second).body)
        self.assertEqual(self.source.asked, 1)
        await self.scrape()
        self.assertEqual(self.source.asked, 2)

    async def test_defect(self) -> None:
        """What fails is told to all who asked, and does not stay."""
        self.source.fails = True
        for each in (self.scrape(), self.scrape()):
            await self.assertFailure(each, ValueError)
        self.source.fails = False
        await self.scrape()

    async def test_not_taken(self) -> None:
        """Nor does what fails before there is anything to be told."""
        self.source.is_gone = True
        await self.assertFailure(self.scrape(), LookupError)
        self.source.is_gone = False
        await self.scrape()
