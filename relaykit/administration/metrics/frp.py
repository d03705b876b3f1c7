"""What frp's server has for Prometheus, by its names, so that dashboards that were made for it go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, Sample

if TYPE_CHECKING:
    from relaykit.administration.metrics.exposition import Families
    from relaykit.server.service import RelayServer
    from relaykit.server.status import ProxyCounts

__all__ = ["TRAFFIC", "FrpSource"]

TRAFFIC = ("frp_server_traffic_in", "frp_server_traffic_out")
"""Counters whose names do not say so."""


@define(eq=False)
class FrpSource:
    """Reads the server's own totals: there are no others beside them."""

    _server: RelayServer

    def take(self) -> Families:
        (clients, _, _), proxies = self._server.counts(), self._server.proxy_counts()
        return lambda: _families(clients, proxies)


def _families(clients: int, proxies: Sequence[ProxyCounts]) -> Iterator[Metric]:
    running = Counter({each.type_name: 0 for each in proxies})
    running.update(each.type_name for each in proxies if each.is_open)
    yield GaugeMetricFamily("frp_server_client_counts", "The current client counts of frps", value=clients)
    counts = GaugeMetricFamily("frp_server_proxy_counts", "The current proxy counts", labels=("type",))
    for type_name, count in sorted(running.items()):
        counts.add_metric((type_name,), count)
    yield counts
    yield _gauge(
        "frp_server_proxy_counts_detailed",
        "The current number of proxies grouped by type and name",
        ((each, each.is_open) for each in proxies),
    )
    yield _gauge(
        "frp_server_connection_counts",
        "The current connection counts",
        ((each, each.current) for each in proxies),
    )
    traffic_in, traffic_out = TRAFFIC
    yield _counter(traffic_in, "The total in traffic", ((each, each.traffic_in) for each in proxies))
    yield _counter(traffic_out, "The total out traffic", ((each, each.traffic_out) for each in proxies))


def _gauge(name: str, text: str, values: Iterable[tuple[ProxyCounts, Any]]) -> Metric:
    return _of_proxies(Metric(name, text, "gauge"), values)


def _counter(name: str, text: str, values: Iterable[tuple[ProxyCounts, Any]]) -> Metric:
    return _of_proxies(Metric(name, text, "counter"), values)


def _of_proxies(metric: Metric, values: Iterable[tuple[ProxyCounts, Any]]) -> Metric:
    # Made one by one: tens of thousands at a time would have the garbage collector go through all there is.
    metric.samples = (  # type: ignore[assignment]  # whoever writes the text goes through them once
        Sample(metric.name, {"name": proxy.name, "type": proxy.type_name}, float(value))
        for proxy, value in values
    )
    return metric
