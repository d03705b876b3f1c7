"""The second version of frp's API of a server: lists in pages, and one form for all answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.paging import paged
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
    from relaykit.administration.paging import Page
    from relaykit.administration.server_facts import ServerFacts
    from relaykit.server.status import ProxyStatus

__all__ = ["enveloped", "second_routes"]

_PHASES = ("all", "online", "offline")
_PRUNABLE = "offline_proxies"


def enveloped(status: int, text: str, data: Any = None) -> Answer:
    """An answer in the form that all have."""
    return json_answer({"code": int(status), "msg": text, "data": data}, status)


def second_routes(facts: ServerFacts, types: Iterable[str]) -> Iterator[Route]:
    """What a server can be asked.

    :param types: the proxy types that can be asked for.
    """
    api = _SecondApi(facts, tuple(types))
    for path, handler in (
        ("/api/v2/system/info", api.system),
        ("/api/v2/users", api.users),
        ("/api/v2/clients", api.clients),
        ("/api/v2/clients/{key}", api.client),
        ("/api/v2/proxies", api.proxies),
        ("/api/v2/proxies/{name}", api.proxy),
        ("/api/v2/proxies/{name}/traffic", api.traffic),
    ):
        yield Route(method="GET", path=path, handler=handler, is_escaped=True, failed=enveloped)
    yield Route(method="POST", path="/api/v2/system/prune", handler=api.prune, failed=enveloped)


@frozen
class _SecondApi:
    _facts: ServerFacts
    _types: Sequence[str]

    def system(self, call: Call) -> Answer:
        """The server itself."""
        return _success(
            {
                "version": self._facts.version,
                "config": self._facts.configured(),
                "status": self._facts.counted(),
            }
        )

    def prune(self, call: Call) -> Answer:
        """Forgets the proxies that are closed."""
        what = call.first("type").lower()
        if not what:
            raise _bad("type is required")
        if what != _PRUNABLE:
            raise _bad(f"type must be one of {_PRUNABLE}")
        total = len(self._facts.proxies())
        return _success({"type": what, "cleared": self._facts.forget_closed(), "total": total})

    def users(self, call: Call) -> Answer:
        """Who has clients or proxies, those that are gone included."""
        clients = [each.user for each in self._facts.clients()]
        proxies = [each.user for each in self._facts.proxies()]
        told = [
            {"user": user, "clientCount": clients.count(user), "proxyCount": proxies.count(user)}
            for user in sorted({*clients, *proxies})
        ]
        page = paged(call, [each for each in told if _contains(call, [str(each["user"])])])
        return _told(page, page.items)

    def clients(self, call: Call) -> Answer:
        """The clients that fit what is asked for."""
        phase = _chosen(call, "status", _PHASES)
        told = [client_object(each) for each in self._facts.clients()]
        searched = ("key", "user", "clientID", "runID", "version", "wireProtocol", "hostname", "clientIP")
        found = [
            each
            for each in told
            if phase in ("", "all") or each["online"] is (phase == "online")
            if _is_wanted(call, each, "clientID", "runID")
            if _contains(call, [str(each.get(key, "")) for key in searched])
        ]
        page = paged(call, found)
        return _told(page, page.items)

    def client(self, call: Call) -> Answer:
        """One client, with what its proxies have together."""
        key = call.names["key"]
        client = next((each for each in self._facts.clients() if each.key == key), None)
        if client is None:
            raise CallFailed(HTTPStatus.NOT_FOUND, no_client(key))
        owner = client.user, client.client_id
        proxies = [each for each in self._facts.proxies() if (each.user, each.client_id) == owner]
        status = {
            "phase": _phase(client.is_online),
            "curConns": sum(each.current for each in proxies),
            "proxyCount": len(proxies),
        }
        return _success({**client_object(client), "status": status})

    def proxies(self, call: Call) -> Answer:
        """The proxies that fit what is asked for."""
        phase = _chosen(call, "status", _PHASES)
        wanted = _chosen(call, "type", self._types)
        found = sorted(self._facts.proxies(), key=lambda each: (each.type, each.name))
        found = [
            each
            for each in found
            if phase in ("", "all") or each.is_open is (phase == "online")
            if not wanted or each.type.lower() == wanted
            if _is_wanted(call, {"user": each.user, "clientID": each.client_id}, "clientID")
            if _contains(call, _searched(each))
        ]
        page = paged(call, found)
        return _told(page, [self._proxy(each) for each in page.items])

    def proxy(self, call: Call) -> Answer:
        """One proxy."""
        return _success(self._proxy(self._found(call)))

    def traffic(self, call: Call) -> Answer:
        """What one proxy has moved on each day, today last."""
        proxy = self._found(call)
        days = self._facts.traffic.traffic_of(proxy.name, total_of(proxy))
        history = [
            {"date": day.isoformat(), "trafficIn": to_client, "trafficOut": to_user}
            for day, (to_client, to_user) in reversed(days)
        ]
        return _success({"name": proxy.name, "unit": "bytes", "granularity": "day", "history": history})

    def _found(self, call: Call) -> ProxyStatus:
        proxy = self._facts.proxy(call.names["name"])
        if proxy is None:
            raise CallFailed(HTTPStatus.NOT_FOUND, NO_PROXY)
        return proxy

    def _proxy(self, proxy: ProxyStatus) -> dict[str, Any]:
        to_client, to_user = self._facts.today(proxy)
        status = {
            "phase": _phase(proxy.is_open),
            "todayTrafficIn": to_client,
            "todayTrafficOut": to_user,
            "curConns": proxy.current,
            "lastStartAt": int(proxy.last_start_at or 0),
            "lastCloseAt": int(proxy.last_close_at or 0),
        }
        return {
            "name": proxy.name,
            "user": proxy.user,
            "clientID": proxy.client_id,
            "spec": {"type": proxy.type, proxy.type: _spec(proxy)},
            "status": without_empty(status, "lastStartAt", "lastCloseAt"),
        }


def _told(page: Page[Any], items: Sequence[Any]) -> Answer:
    return _success({"total": page.total, "page": page.number, "pageSize": page.size, "items": items})


def _success(data: Any) -> Answer:
    return enveloped(HTTPStatus.OK, "success", data)


def _bad(text: str) -> CallFailed:
    return CallFailed(HTTPStatus.BAD_REQUEST, text)


def _chosen(call: Call, key: str, choices: Collection[str]) -> str:
    value = call.first(key).lower()
    if value and value not in choices:
        raise _bad(f"{key} must be one of {', '.join(choices)}")
    return value


def _is_wanted(call: Call, told: dict[str, Any], *keys: str) -> bool:
    """Whether the user is the one that is asked for, who may be the empty one, and so with other keys."""
    if "user" in call.query and told["user"] != call.first("user"):
        return False
    return all(told[key] == call.first(key) for key in keys if call.first(key))


def _contains(call: Call, texts: Iterable[str]) -> bool:
    wanted = call.first("q").lower()
    return not wanted or any(wanted in each.lower() for each in texts)


def _searched(proxy: ProxyStatus) -> Iterator[str]:
    yield from (proxy.name, proxy.type, proxy.user, proxy.client_id, _phase(proxy.is_open))
    for _, value, _ in shown_options(proxy):
        yield from map(str, value if isinstance(value, list) else (value or "",))


def _phase(is_there: bool) -> str:
    return "online" if is_there else "offline"


def _spec(proxy: ProxyStatus) -> dict[str, Any]:
    common = proxy.common
    if common is None:
        return {}
    told = {
        "annotations": common.annotations,
        "metadatas": common.metadatas,
        "transport": {
            "useEncryption": common.transport.use_encryption,
            "useCompression": common.transport.use_compression,
            "bandwidthLimit": common.transport.bandwidth_limit,
            "bandwidthLimitMode": common.transport.bandwidth_limit_mode,
        },
        "loadBalancer": {"group": common.load_balancer.group},
    }
    return {
        **without_empty(told, "annotations", "metadatas"),
        **{key: value for key, value, _ in shown_options(proxy) if value},
    }
