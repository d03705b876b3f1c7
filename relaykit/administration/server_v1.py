"""The first version of frp's API of a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.routes import Route
from relaykit.administration.server_facts import (
    NO_PROXY,
    client_object,
    no_client,
    shown_options,
    total_of,
    without_empty,
)

if TYPE_CHECKING:
    from relaykit.administration.server_facts import ServerFacts
    from relaykit.server.status import ProxyStatus

__all__ = ["first_routes"]


def first_routes(facts: ServerFacts) -> Iterator[Route]:
    """What a server can be asked."""
    api = _FirstApi(facts)
    for path, handler in (
        ("/api/serverinfo", api.server),
        ("/api/clients", api.clients),
        ("/api/clients/{key}", api.client),
        ("/api/proxy/{type}", api.proxies),
        ("/api/proxy/{type}/{name}", api.proxy),
        ("/api/proxies/{name}", api.proxy),
        ("/api/traffic/{name}", api.traffic),
    ):
        yield Route(method="GET", path=path, handler=handler)
    yield Route(method="DELETE", path="/api/proxies", handler=api.forget)


@frozen
class _FirstApi:
    _facts: ServerFacts

    def server(self, call: Call) -> Answer:
        """The server itself."""
        told = {"version": self._facts.version, **self._facts.configured(), **self._facts.counted()}
        return json_answer(without_empty(told, "allowPortsStr", "tlsForce"))

    def clients(self, call: Call) -> Answer:
        """The clients that fit what is asked for."""
        status = call.first("status").lower()
        wanted = {
            "user": call.first("user"),
            "clientID": call.first("clientId"),
            "runID": call.first("runId"),
        }
        told = [client_object(each) for each in self._facts.clients()]
        return json_answer(
            [
                each
                for each in told
                if status not in ("online", "offline") or each["online"] is (status == "online")
                if all(not value or each[key] == value for key, value in wanted.items())
            ]
        )

    def client(self, call: Call) -> Answer:
        """One of them."""
        key = call.names["key"]
        for each in self._facts.clients():
            if each.key == key:
                return json_answer(client_object(each))
        raise CallFailed(HTTPStatus.NOT_FOUND, no_client(key))

    def proxies(self, call: Call) -> Answer:
        """The proxies of a type."""
        found = [each for each in self._facts.proxies() if each.type == call.names["type"]]
        found.sort(key=lambda each: each.name)
        return json_answer({"proxies": [self._proxy(each) for each in found]})

    def proxy(self, call: Call) -> Answer:
        """One proxy, of whichever type if none is asked for."""
        return json_answer(self._proxy(self._found(call)))

    def traffic(self, call: Call) -> Answer:
        """What one proxy has moved on each day, today first."""
        proxy = self._found(call)
        days = [moved for _, moved in self._facts.traffic.traffic_of(proxy.name, total_of(proxy))]
        told = {
            "name": proxy.name,
            "trafficIn": [to_client for to_client, _ in days],
            "trafficOut": [to_user for _, to_user in days],
        }
        return json_answer(told)

    def forget(self, call: Call) -> Answer:
        """Forgets the proxies that are closed."""
        if call.first("status") != "offline":
            raise CallFailed(HTTPStatus.BAD_REQUEST, "status only support offline")
        self._facts.forget_closed()
        return json_answer({"Code": int(HTTPStatus.OK), "Msg": "success"})

    def _found(self, call: Call) -> ProxyStatus:
        proxy = self._facts.proxy(call.names["name"])
        if proxy is None or call.names.get("type", proxy.type) != proxy.type:
            raise CallFailed(HTTPStatus.NOT_FOUND, NO_PROXY)
        return proxy

    def _proxy(self, proxy: ProxyStatus) -> dict[str, Any]:
        to_client, to_user = self._facts.today(proxy)
        told = {
            "name": proxy.name,
            "conf": _conf(proxy),
            "user": proxy.user,
            "clientID": proxy.client_id,
            "todayTrafficIn": to_client,
            "todayTrafficOut": to_user,
            "curConns": proxy.current,
            "lastStartTime": _local_time(proxy.last_start_at),
            "lastCloseTime": _local_time(proxy.last_close_at),
            "status": "online" if proxy.is_open else "offline",
        }
        return without_empty(told, "user", "clientID")


def _conf(proxy: ProxyStatus) -> dict[str, Any] | None:
    """What the server knows of the options of a proxy that is open; the rest is as frp fills it in."""
    common = proxy.common
    if common is None:
        return None
    transport = {
        "useEncryption": common.transport.use_encryption,
        "useCompression": common.transport.use_compression,
        "bandwidthLimit": common.transport.bandwidth_limit,
        "bandwidthLimitMode": common.transport.bandwidth_limit_mode,
    }
    told = {
        "name": proxy.name,
        "type": proxy.type,
        "annotations": common.annotations,
        "transport": without_empty(transport, "useEncryption", "useCompression"),
        "metadatas": common.metadatas,
        "loadBalancer": {"group": common.load_balancer.group},
        "healthCheck": {"type": "", "intervalSeconds": 0},
        "localIP": "127.0.0.1",
        "plugin": None,
    }
    told = without_empty(told, "annotations", "metadatas")
    told.update((key, value) for key, value, if_empty in shown_options(proxy) if value or if_empty)
    return told


def _local_time(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds):%m-%d %H:%M:%S}"
