"""Tests for :mod:`relaykit.administration.metrics.client`."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.metrics.client import ClientSource
from relaykit.client.status import ClientStatus, ProxyStatus, RegistrationState, VisitorStatus
from relaykit.dataplane.plane import FlowCounts
from relaykit.values import Address
from tests.administration.metrics.texts import Samples, key, only, samples_of


@frozen
class Standing:
    """A client that stands so."""

    status: Any


class ClientSourceTests(SynchronousTestCase):
    """Tests for :class:`ClientSource`."""

    def scrape(self, status: ClientStatus) -> Samples:
        """What it tells."""
        client: Any = Standing(lambda: status)
        return samples_of(ClientSource(client).take()())

    def test_connected(self) -> None:
        """Proxies are counted by their states, visitors by whether they listen."""
        samples = self.scrape(
            ClientStatus(
                connected=True,
                round_trip_s=0.02,
                proxies=(
                    ProxyStatus(name="a", type="tcp", state=RegistrationState.RUNNING),
                    ProxyStatus(name="b", type="tcp", state=RegistrationState.REFUSED),
                ),
                visitors=(
                    VisitorStatus(name="v", listening=Address("127.0.0.1", 1)),
                    VisitorStatus(name="w"),
                ),
                flows=FlowCounts(present=2, total=9, near_to_far=3, far_to_near=4),
            )
        )
        for name, value in (
            ("connected", 1),
            ("round_trip_seconds", 0.02),
            ("visitors", 2),
            ("visitors_listening", 1),
            ("users", 2),
            ("users_served_total", 9),
        ):
            self.assertEqual(only(samples, f"relaykit_client_{name}"), value, name)
        states = {
            each: samples[key("relaykit_client_proxies", state=each.value)] for each in RegistrationState
        }
        self.assertEqual(
            [states[each] for each in (RegistrationState.RUNNING, RegistrationState.REFUSED)], [1, 1]
        )
        self.assertEqual(sum(states.values()), 2)
        self.assertEqual(samples[key("relaykit_client_bytes_total", direction="out")], 4)

    def test_offline(self) -> None:
        """Without a session there is no round trip."""
        samples = self.scrape(ClientStatus())
        self.assertEqual(only(samples, "relaykit_client_connected"), 0)
        self.assertNotIn(key("relaykit_client_round_trip_seconds"), samples)
