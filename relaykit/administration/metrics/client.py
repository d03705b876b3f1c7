"""What relaykit has of a client for Prometheus; frp's client has nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from relaykit.client.status import RegistrationState

if TYPE_CHECKING:
    from relaykit.administration.metrics.exposition import Families
    from relaykit.client.service import RelayClient
    from relaykit.client.status import ClientStatus

__all__ = ["ClientSource"]


@define(eq=False)
class ClientSource:
    """Looks at what there is."""

    _client: RelayClient

    def take(self) -> Families:
        status = self._client.status()
        return lambda: _families(status)


def _families(status: ClientStatus) -> Iterator[Metric]:
    yield _gauge("connected", "Whether there is a session with the server", status.connected)
    yield _gauge("round_trip_seconds", "To the server and back, while it is known", status.round_trip_s)
    states = Counter({each.value: 0 for each in RegistrationState})
    states.update(each.state.value for each in status.proxies)
    proxies = GaugeMetricFamily("relaykit_client_proxies", "Proxies by how they stand", labels=("state",))
    for state, count in states.items():
        proxies.add_metric((state,), count)
    yield proxies
    listening = sum(each.listening is not None for each in status.visitors)
    yield _gauge("visitors", "Visitors that are configured", len(status.visitors))
    yield _gauge("visitors_listening", "Those of them that have a port", listening)
    yield _gauge("users", "Users who are served", status.flows.present)
    yield CounterMetricFamily(
        "relaykit_client_users_served", "Users who were served, the present ones included", status.flows.total
    )
    traffic = CounterMetricFamily("relaykit_client_bytes", "Bytes that were moved", labels=("direction",))
    traffic.add_metric(("in",), status.flows.near_to_far)
    traffic.add_metric(("out",), status.flows.far_to_near)
    yield traffic


def _gauge(name: str, text: str, value: float | None) -> Metric:
    return GaugeMetricFamily(f"relaykit_client_{name}", text, value=value)
