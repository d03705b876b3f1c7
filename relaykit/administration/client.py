"""frp's API of a client: how its proxies stand, what they are, and what its file has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import frozen

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.definition_objects import definition_object
from relaykit.administration.routes import Route
from relaykit.client.status import HealthState, RegistrationState
from relaykit.config.definitions import LISTS, Source
from relaykit.options import option_fields

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.client.status import ProxyStatus
    from relaykit.config.definitions import ConfiguredProxy, ConfiguredVisitor
    from relaykit.options import Options

__all__ = ["MOST_FILE_BYTES", "client_routes"]

MOST_FILE_BYTES = 4 * 1024 * 1024
"""Bytes of a configuration file that is shown: one with 10,000 proxies has 2 MB."""

_STATES = {
    RegistrationState.OFFLINE: "new",
    RegistrationState.WAITING: "wait start",
    RegistrationState.RUNNING: "running",
    RegistrationState.REFUSED: "start error",
}
_UNFIT = {HealthState.UNKNOWN: "new", HealthState.UNHEALTHY: "check failed"}

_PORT = re.compile(r":\d+\Z")


def client_routes(client: RelayClient, path: str) -> Iterator[Route]:
    """What a client can be asked.

    :param path: of its configuration file; empty if it was made of none.
    """
    api = _ClientApi(client, path)
    yield Route(method="GET", path="/api/status", handler=api.status)
    yield Route(method="GET", path="/api/config", handler=api.config, is_private=True)
    yield Route(method="GET", path="/api/proxy/{name}/config", handler=api.proxy, is_private=True)
    yield Route(method="GET", path="/api/visitor/{name}/config", handler=api.visitor, is_private=True)


@frozen
class _ClientApi:
    _client: RelayClient
    _path: str

    def status(self, call: Call) -> Answer:
        """The proxies of each type, while there is a session."""
        now = self._client.status()
        found: dict[str, list[dict[str, str]]] = {}
        if now.connected:
            configured = {each.common.name: each for each in self._client.proxies}
            for status in sorted(now.proxies, key=lambda each: (each.type, each.name)):
                if (proxy := configured.get(status.name)) is not None:
                    found.setdefault(status.type, []).append(self._proxy(status, proxy))
        return json_answer(found)

    def config(self, call: Call) -> Answer:
        """The main file, as it is."""
        if not self._path:
            raise _invalid("frpc has no config file path")
        try:
            with open(self._path, "rb") as file:
                content = file.read(MOST_FILE_BYTES + 1)
        except OSError as error:
            raise _invalid(f"open {self._path}: {(error.strerror or str(error)).lower()}") from error
        if len(content) > MOST_FILE_BYTES:
            raise _invalid(f"open {self._path}: it has more than {MOST_FILE_BYTES} bytes")
        return Answer(type="text/plain; charset=utf-8", body=content)

    def proxy(self, call: Call) -> Answer:
        """A proxy as the client works with it, or as it is kept switched off."""
        return self._effective(call.names["name"], "proxies", self._client.proxies)

    def visitor(self, call: Call) -> Answer:
        """A visitor likewise."""
        return self._effective(call.names["name"], "visitors", self._client.visitors)

    def _effective(
        self, name: str, list_name: str, entries: Sequence[ConfiguredProxy | ConfiguredVisitor]
    ) -> Answer:
        definitions, store = self._client.definitions, self._client.store
        entry = next((each for each in entries if each.common.name == name), None)
        if entry is not None and definitions is not None:
            return json_answer(definition_object(definitions.effective(entry)))
        kept = None if store is None else store.lists[list_name].get(name)
        if kept is None:
            raise CallFailed(HTTPStatus.NOT_FOUND, f'{LISTS[list_name]} "{name}" not found')
        return json_answer(definition_object(kept.table))

    def _proxy(self, status: ProxyStatus, proxy: ConfiguredProxy) -> dict[str, str]:
        is_refused = status.state is RegistrationState.REFUSED
        common = proxy.common
        return {
            "name": status.name,
            "type": status.type,
            "status": _state(status),
            "err": status.reason if is_refused else "",
            "local_addr": f"{common.local_ip}:{common.local_port}" if common.local_port else "",
            "plugin": proxy.plugin,
            "remote_addr": "" if is_refused else self._remote(status, proxy.options),
            **({"source": proxy.source.value} if proxy.source is Source.STORE else {}),
        }

    def _remote(self, status: ProxyStatus, options: Options) -> str:
        """What users dial; the address of the server is put before a port of it."""
        host = self._client.config.server_addr
        if _PORT.match(status.address):
            return host + status.address
        has_port = any(each.exclusive for each in option_fields(type(options)))
        return status.address or (host if has_port else "")


def _state(status: ProxyStatus) -> str:
    health = status.health
    if health is not None and health.state in _UNFIT and status.state is RegistrationState.OFFLINE:
        return _UNFIT[health.state]
    return _STATES[status.state]


def _invalid(detail: str) -> CallFailed:
    return CallFailed(HTTPStatus.BAD_REQUEST, f"invalid argument: {detail}")
