"""Tests for :mod:`relaykit.administration.metrics.frp`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.metrics.frp import FrpSource
from relaykit.proxies import tcp
from relaykit.proxies.tcp import TcpOptions
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import MemoryRelay, echoing
from tests.administration.metrics.texts import Samples, key, samples_of


class FrpSourceTests(SynchronousTestCase):
    """Tests for :class:`FrpSource`."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.addCleanup(self.relay.stop)
        self.source = FrpSource(self.relay.server)

    def scrape(self) -> Samples:
        """How things stand."""
        return samples_of(self.source.take()())

    def test_at_first(self) -> None:
        """Without clients there is only their number."""
        self.assertEqual(self.scrape(), {key("frp_server_client_counts"): 0})

    def test_proxy(self) -> None:
        """A proxy has its users and its traffic, those of present users included, and is 0 once closed."""
        labels = {"name": "ann.web", "type": "tcp"}
        published = self.relay.publish(
            tcp.proxy_type, TcpOptions(remote_port=6000), name="web", user="ann", local=echoing
        )
        user = self.relay.dial(6000)
        RecordingReceiver(user)
        user.write(b"hello")
        self.relay.settle()
        expected: dict[Any, float] = {
            key("frp_server_client_counts"): 1,
            key("frp_server_proxy_counts", type="tcp"): 1,
            key("frp_server_proxy_counts_detailed", **labels): 1,
            key("frp_server_connection_counts", **labels): 1,
            key("frp_server_traffic_in", **labels): 5,
            key("frp_server_traffic_out", **labels): 5,
        }
        self.assertEqual(self.scrape(), expected)
        user.abort()
        published.withdraw()
        self.relay.settle()
        gone = ("frp_server_proxy_counts_detailed", "frp_server_connection_counts")
        expected |= {key(each, **labels): 0 for each in gone}
        expected[key("frp_server_proxy_counts", type="tcp")] = 0
        expected[key("frp_server_client_counts")] = self.relay.server.counts()[0]
        self.assertEqual(self.scrape(), expected)
