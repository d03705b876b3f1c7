"""How a role stands, for its own command line: all of it that people look at, as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from relaykit import __version__
from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.routes import Route
from relaykit.administration.steering import STOP_S, reloaded
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.administration.steering import Steering
    from relaykit.client.service import RelayClient
    from relaykit.server.probes import ProbeResult
    from relaykit.server.service import RelayServer
    from relaykit.values import LastSeen

__all__ = ["RELOAD", "STATUS", "STOP", "client_report", "control_routes", "server_report"]

STATUS, RELOAD, STOP = "/control/status", "/control/reload", "/control/stop"
"""What ``relaykit status``, ``reload`` and ``stop`` ask for."""

Report = dict[str, Any]


def control_routes(
    report: Callable[[], Report], steering: Steering, path: str, clock: IReactorTime
) -> Iterator[Route]:
    """What a program can be asked and told over its control socket, beside its role's API.

    :param path: of its configuration file; empty if there is none.
    """

    def status(call: Call) -> Answer:
        program = {
            "version": __version__,
            "pid": os.getpid(),
            "config": os.path.abspath(path) if path else "",
        }
        return json_answer({**program, **report()})

    async def reload(call: Call) -> Answer:
        changes = await reloaded(steering, None)
        return json_answer({when.value: keys for when, keys in changes.keys.items()})

    def stop(call: Call) -> Answer:
        if steering.stop is None:
            raise CallFailed(HTTPStatus.SERVICE_UNAVAILABLE, "the program does not run yet")
        clock.callLater(STOP_S, steering.stop)
        return json_answer({})

    yield Route(method="GET", path=STATUS, handler=status)
    yield Route(method="POST", path=RELOAD, handler=reload)
    yield Route(method="POST", path=STOP, handler=stop)


def client_report(client: RelayClient, clock: IReactorTime) -> Report:
    """How a client stands; times are seconds from now."""
    now, status = clock.seconds(), client.status()

    def until(at: float | None) -> float | None:
        return None if at is None else round(max(0.0, at - now), 1)

    return {
        "role": "client",
        "server": str(Address(client.config.server_addr, client.config.server_port)),
        "connected": status.connected,
        "stopping": status.stopping,
        "for_seconds": _ago(status.since, now),
        "round_trip_seconds": status.round_trip_s,
        "next_try_seconds": until(status.next_try),
        "server_proof": None if status.server_proof is None else status.server_proof.value,
        "users": client.count_flows(),
        "proxies": [
            {
                "name": each.name,
                "type": each.type,
                "state": each.state.value,
                "address": each.address,
                "reason": each.reason,
                "next_try_seconds": until(each.next_try),
                "users": each.users,
                "way": each.way,
                "for_seconds": _ago(each.since, now),
                **_seen(each.last, now),
            }
            for each in status.proxies
        ],
        "visitors": [
            {
                "name": each.name,
                "address": "" if each.listening is None else str(each.listening),
                "local": each.local,
                "reason": each.reason,
                "next_try_seconds": until(each.next_try),
                "users": each.users,
                "way": each.way,
                "for_seconds": _ago(each.since, now),
                **_seen(each.last, now),
            }
            for each in status.visitors
        ],
    }


def server_report(server: RelayServer, clock: IReactorTime, unix_time: Callable[[], float]) -> Report:
    """How a server stands; only what is there at the moment.

    :param unix_time: seconds since 1970.
    """
    status, now = server.status(), unix_time()
    return {
        "role": "server",
        "state": status.state.value,
        "port": status.port,
        "fingerprint": status.fingerprint,
        "for_seconds": _ago(status.since, clock.seconds()),
        "users": server.counts()[2],
        "clients": [
            {
                "user": each.user,
                "client_id": each.client_id,
                "run_id": each.run_id,
                "address": str(each.address),
                "hostname": each.hostname,
                "version": each.version,
                "for_seconds": _ago(each.last_connected_at, now),
                "round_trip_seconds": each.round_trip_s,
            }
            for each in status.clients
            if each.is_online
        ],
        "proxies": [
            {
                "name": each.name,
                "type": each.type,
                "address": each.address,
                "client_id": each.client_id,
                "users": each.current,
                "traffic_in": each.traffic_in,
                "traffic_out": each.traffic_out,
                "for_seconds": _ago(each.last_start_at, now),
                **_seen(each.last, now),
                "probe": None if each.probe is None else _probe(each.probe, now),
            }
            for each in status.proxies
            if each.is_open
        ],
    }


def _seen(last: LastSeen, now: float) -> Report:
    """Who came last, and what went wrong last."""
    return {
        "last_user": "" if last.user is None else str(last.user),
        "last_user_seconds": _ago(last.user_at, now),
        "last_error": last.error,
        "last_error_seconds": _ago(last.error_at, now),
    }


def _probe(result: ProbeResult, now: float) -> Report:
    return {
        "online": result.is_online,
        "reached": result.reached.value,
        "seconds": round(result.seconds, 6),
        "error": result.error,
        "seconds_ago": _ago(result.at, now),
    }


def _ago(at: float | None, now: float) -> float | None:
    return None if at is None else round(max(0.0, now - at), 1)
