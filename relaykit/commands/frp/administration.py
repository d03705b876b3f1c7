"""``relaykit frpc reload``, ``status`` and ``stop``: what frp's client is asked over its web server."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaykit.commands.context import error_text
from relaykit.commands.loading import loaded_or_said
from relaykit.config.load import load_client
from relaykit.plugins import ProxyTypes
from relaykit.values import Address

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext
    from relaykit.config.schema.sections import WebServerConfig
    from relaykit.flags.grammar import Call

__all__ = ["reload", "status", "stop"]

_TYPES = ("tcp", "udp", "tcpmux", "http", "https", "stcp", "sudp", "xtcp")
"""The order of frp's; those of others come after them."""

_COLUMNS = {
    "Name": "name",
    "Status": "status",
    "LocalAddr": "local_addr",
    "Plugin": "plugin",
    "RemoteAddr": "remote_addr",
    "Error": "err",
}
_GAP = 2


class _Failed(Exception):
    """A request failed; the text is what frp prints."""


def reload(call: Call, context: CommandContext) -> int:
    """Has the running client read its file again."""
    path = "/api/reload?strictConfig=true" if call["strict-config"] else "/api/reload"
    return _run(call, context, "GET", path, lambda body: "reload success")


def stop(call: Call, context: CommandContext) -> int:
    """Has the running client end."""
    return _run(call, context, "POST", "/api/stop", lambda body: "stop success")


def status(call: Call, context: CommandContext) -> int:
    """Shows the proxies of the running client."""
    return _run(call, context, "GET", "/api/status", _status_text)


def _run(call: Call, context: CommandContext, method: str, path: str, text_of: Any) -> int:
    """Asks the client of the file, and prints what ``text_of`` makes of the answer."""
    loaded = loaded_or_said(
        lambda: load_client(
            call["config"],
            types=ProxyTypes.installed(),
            environ=context.environ,
            strict=call["strict-config"],
            allow_unsafe=call["allow-unsafe"],
            # Nobody logs in here.
            token_given=True,
            stored=False,
        ),
        context.say,
    )
    if loaded is None:
        return 1
    web_server = loaded.config.web_server
    if web_server.port <= 0:
        context.say("web server port should be set if you want to use this feature")
        return 1
    try:
        context.say(text_of(_asked(web_server, method, path, call["api-timeout"])))
    except _Failed as error:
        context.say(str(error))
        return 1
    return 0


def _asked(web_server: WebServerConfig, method: str, path: str, timeout_s: float) -> bytes:
    where = Address(web_server.addr, web_server.port)
    headers = {}
    if web_server.user or web_server.password:
        known = f"{web_server.user}:{web_server.password.reveal()}".encode("utf-8", "surrogateescape")
        headers["Authorization"] = f"Basic {base64.b64encode(known).decode()}"
    connection = http.client.HTTPConnection(where.host, where.port, timeout=timeout_s)
    what = f'{method.capitalize()} "http://{where}{path}"'
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except TimeoutError:
        raise _Failed(f"{what}: context deadline exceeded") from None
    except ConnectionRefusedError:
        raise _Failed(f"{what}: dial tcp {where}: connect: connection refused") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(f"{what}: {error_text(error)}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise _Failed(f"api status code [{answer.status}]")
    return body


def _status_text(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        raise _Failed(f"unmarshal http response error: {body.decode('utf-8', 'replace')}") from None
    return "\n".join(("Proxy Status...", "", *_tables(found)))


def _tables(found: Mapping[str, Sequence[Mapping[str, str]]]) -> Iterator[str]:
    others = sorted(set(found) - set(_TYPES))
    for name in (*_TYPES, *others):
        if entries := found.get(name):
            rows = [list(_COLUMNS), *([each.get(key, "") for key in _COLUMNS.values()] for each in entries)]
            yield name.upper()
            yield from _table([line for row in rows for line in _lines(row)])
            yield ""


def _lines(row: Sequence[str]) -> Iterator[list[str]]:
    """A row, or several where a cell has several lines."""
    parts = [cell.split("\n") for cell in row]
    for number in range(max(map(len, parts))):
        yield [part[number] if number < len(part) else "" for part in parts]


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) + _GAP for column in zip(*rows, strict=True)]
    for row in rows:
        yield "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
