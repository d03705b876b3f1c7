"""The word of a command line that says where the local service is."""

from __future__ import annotations

import os
import re
import socket
from typing import Any

import click

from relaykit.config.schema.addresses import bare_host, endpoint_problem, host_problem
from relaykit.values import HIGHEST_PORT

__all__ = ["Service", "local_service"]

_FORMS = (
    "it must be a port, host:port, a service's name such as ssh, or an endpoint such as unix:/run/app.sock"
)
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^:=\[\]]+):(?P<port>[A-Za-z0-9_-]+)")
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_PATH = re.compile(r"\.{0,2}/")
_QUOTED = str.maketrans({letter: f"\\{letter}" for letter in "\\:="})


class Service(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click alone
    """A local service that takes ``tcp`` or ``udp``; its word is looked at before anything else is done."""

    name = "service"

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            local_service(value, self._protocol)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


def local_service(word: str, protocol: str = "tcp") -> dict[str, Any]:
    """The keys of a proxy for a local service.

    It is a port, ``host:port``, the name of either in place of its number (services(5)), the path of a unix
    socket, or an endpoint string.

    :raises ValueError: it is none of these.
    """
    if _NAME.fullmatch(word):
        return {"localPort": _port(word, protocol)}
    if _PATH.match(word):
        if protocol == "udp":
            raise ValueError(f'"{word}" is a path, and this command takes datagrams: {_FORMS}')
        return {"local": "unix:" + os.path.abspath(word).translate(_QUOTED)}
    found = _HOST_AND_PORT.fullmatch(word)
    if found is not None and (found["port"].isdigit() or _known(found["port"], protocol)):
        if reason := host_problem(found["host"]):
            raise ValueError(reason)
        return {"localIP": bare_host(found["host"]), "localPort": _port(found["port"], protocol)}
    if reason := endpoint_problem(word):
        raise ValueError(f'"{word}" is not an endpoint ({reason}): {_FORMS}' if word.strip() else _FORMS)
    return {"local": word}


def _port(word: str, protocol: str) -> int:
    port = int(word) if word.isdigit() else _known(word, protocol)
    if not port:
        raise ValueError(
            f'"{word}" is no port: they go from 1 to {HIGHEST_PORT}'
            if word.isdigit()
            else f'this machine knows no service "{word}": {_FORMS}'
        )
    if port > HIGHEST_PORT:
        raise ValueError(f'"{word}" is no port: they go from 1 to {HIGHEST_PORT}')
    return port


def _known(name: str, protocol: str) -> int:
    """The port of a service by its name; 0 if there is no such name."""
    try:
        return socket.getservbyname(name, protocol)
    except (OSError, ValueError):
        return 0
