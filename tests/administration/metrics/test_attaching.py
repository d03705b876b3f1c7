"""Tests for :mod:`relaykit.administration.metrics.attaching`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet import reactor  # noqa: TID251  # threads hand back what they have to it
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from relaykit.administration.calls import Call
from relaykit.administration.metrics.attaching import client_metrics, server_metrics
from relaykit.assembly import RoleFiles, read_client, read_server
from tests.administration.metrics.texts import only, read

ROOT = Path(__file__).parents[3]

_NAME = re.compile(r"\b(?:relaykit|process)_[a-z_]+\b")


class MetricsTests(TestCase):
    """Tests for what roles get."""

    def setUp(self) -> None:
        path = Path(self.mktemp())
        path.write_text('auth.token = "s"\n')
        self.files = RoleFiles(config=str(path), environ={})

    async def scrape(self, route: Any) -> bytes:
        """What a role tells."""
        answer = await Deferred.fromCoroutine(route.handler(Call()))
        body: bytes = answer.body
        return body

    async def test_both(self) -> None:
        """Both roles tell what they are, and how late they are once they run."""
        for read_role, metrics in ((read_server, server_metrics), (read_client, client_metrics)):
            role: Any = read_role(self.files).make(reactor)
            samples = read(await self.scrape(metrics(role, reactor)))
            self.assertEqual(only(samples, "relaykit_reactor_lag_seconds_count"), 0)
            self.assertEqual(only(samples, "relaykit_build_info"), 1)

    async def test_dashboard(self) -> None:
        """The dashboard of the documentation asks for nothing that there is not."""
        server: Any = read_server(self.files).make(reactor)
        client: Any = read_client(self.files).make(reactor)
        told = (await self.scrape(server_metrics(server, reactor))) + (
            await self.scrape(client_metrics(client, reactor))
        )
        asked = set(_NAME.findall((ROOT / "docs" / "_static" / "grafana.json").read_text("utf-8")))
        known = set(re.findall(r"^# TYPE (\S+)", told.decode(), re.MULTILINE))
        wanted = {re.sub(r"_(bucket|sum|count)\Z", "", each) for each in asked}
        self.assertGreater(len(wanted), 10)
        self.assertEqual(wanted - known, set())
