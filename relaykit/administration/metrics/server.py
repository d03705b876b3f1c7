"""What relaykit has of a server for Prometheus, beside what frp has.

No label is anything that a stranger could make up: there are as many series as there are words here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import define, field
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from zope.interface import implementer

from relaykit.errors import ended_by, problem_of
from relaykit.interfaces import IServerObserver
from relaykit.server.events import (
    ClientConnected,
    ClientDisconnected,
    LoginRefused,
    ProxyProbed,
    ProxyRefused,
    UserLeft,
    UserServed,
    UserUnserved,
    VisitRefused,
)

if TYPE_CHECKING:
    from relaykit.administration.metrics.exposition import Families
    from relaykit.server.events import ServerEvent
    from relaykit.server.service import RelayServer

__all__ = ["ServerSource"]

_WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LIFE_BUCKETS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0)

_OTHER = "other"
"""In place of a problem that has no id."""


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"relaykit_{name}", text, labels, registry=None)


def _histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
    return Histogram(f"relaykit_{name}", text, buckets=buckets, registry=None)


@implementer(IServerObserver)
@define(eq=False)
class ServerSource:
    """Counts what happens, and looks at what there is; costs each user three events."""

    _server: RelayServer
    follows_users = True
    _logins: Counter = field(init=False)
    _logins_refused: Counter = field(init=False)
    _sessions_ended: Counter = field(init=False)
    _proxies_refused: Counter = field(init=False)
    _visits_refused: Counter = field(init=False)
    _probes: Counter = field(init=False)
    _waits: Histogram = field(init=False)
    _unserved: Counter = field(init=False)
    _lives: Histogram = field(init=False)
    _ended: Counter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._logins = _counter("logins", "Logins that were let in", "wire")
        self._logins_refused = _counter("logins_refused", "Logins that were refused", "problem")
        self._sessions_ended = _counter("sessions_ended", "Sessions of clients that have ended", "reason")
        self._proxies_refused = _counter("proxies_refused", "Proxies that were refused", "problem")
        self._visits_refused = _counter("visits_refused", "Visits that were refused", "problem")
        self._probes = _counter("probes", "Looks whether users would be served", "reached", "served")
        self._waits = _histogram(
            "work_connection_wait_seconds",
            "From when a user comes until there is a work connection",
            _WAIT_BUCKETS,
        )
        self._unserved = _counter("users_unserved", "Users who got no work connection", "reason")
        self._lives = _histogram("user_seconds", "How long users were there", _LIFE_BUCKETS)
        self._ended = _counter("users_ended", "Users who are gone", "reason")

    def on_event(self, event: ServerEvent) -> None:
        match event:
            case UserServed():
                self._waits.observe(event.waited_s)
            case UserLeft():
                self._lives.observe(event.traffic.seconds)
                self._ended.labels(event.traffic.ended.value).inc()
            case UserUnserved():
                self._unserved.labels(ended_by(event.error).value).inc()
            case ClientConnected():
                self._logins.labels(f"v{event.wire}").inc()
            case ClientDisconnected():
                self._sessions_ended.labels(event.why.value).inc()
            case LoginRefused():
                self._logins_refused.labels(problem_of(event.reason, _OTHER)).inc()
            case ProxyProbed():
                self._probes.labels(event.reached.value, "false" if event.error else "true").inc()
            case ProxyRefused():
                self._proxies_refused.labels(problem_of(event.reason, _OTHER)).inc()
            case VisitRefused():
                self._visits_refused.labels(problem_of(event.reason, _OTHER)).inc()
            case _:
                pass

    def take(self) -> Families:
        server = self._server
        clients, proxies, users = server.counts()
        waiting = sum(each.is_waiting for each in server.flows())
        flows = server.traffic()
        looked_at = (
            ("clients", "Clients that are logged in", clients),
            ("proxies", "Proxies that are open", proxies),
            ("users", "Users who are served", users),
            ("users_waiting", "Users who wait for a work connection", waiting),
        )
        moved = (("in", flows.near_to_far), ("out", flows.far_to_near))
        by_carrier, queues = server.moved_by_carrier(), server.queues()
        rendezvous = dict(server.rendezvous_outcomes())

        def families() -> Iterator[Metric]:
            for name, text, value in looked_at:
                yield GaugeMetricFamily(f"relaykit_{name}", text, value=value)
            traffic = CounterMetricFamily("relaykit_bytes", "Bytes that were moved", labels=("direction",))
            for direction, count in moved:
                traffic.add_metric((direction,), count)
            yield traffic
            carried = CounterMetricFamily(
                "relaykit_carrier_bytes",
                "Bytes that were moved, by what the clients came by",
                labels=("carrier", "direction"),
            )
            for carrier, (to_clients, to_users) in sorted(by_carrier.items()):
                carried.add_metric((carrier or "none", "in"), to_clients)
                carried.add_metric((carrier or "none", "out"), to_users)
            yield carried
            waiting_ones = GaugeMetricFamily("relaykit_queue", "What waits at the moment", labels=("what",))
            for what, length in queues.items():
                waiting_ones.add_metric((what,), length)
            yield waiting_ones
            punched = CounterMetricFamily(
                "relaykit_rendezvous", "Clients that met to make a direct path", labels=("outcome",)
            )
            for outcome, count in sorted(rendezvous.items()):
                punched.add_metric((outcome,), count)
            yield punched
            for counted in self._counted():
                yield from counted.collect()

        return families

    def _counted(self) -> Sequence[Counter | Histogram]:
        return (
            *(self._logins, self._logins_refused, self._sessions_ended, self._proxies_refused),
            *(self._visits_refused, self._probes, self._waits, self._unserved, self._lives, self._ended),
        )
