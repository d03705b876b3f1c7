"""``relaykit frps``: takes frp's command line for servers, and behaves as its server does to scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from relaykit.assembly import ServerAssembly
from relaykit.commands.frpsettings import server_table
from relaykit.commands.loading import loaded_or_said
from relaykit.commands.roles import serve_server, status_of
from relaykit.commands.running import begin_serving
from relaykit.commands.surroundings import error_text
from relaykit.config.load import load_server, server_from_table
from relaykit.errors import RelaykitError
from relaykit.plugins import ProxyTypes

if TYPE_CHECKING:
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings
    from relaykit.config.load import LoadedServer

__all__ = ["run", "verify"]

log = Logger()


def run(call: Call, around: Surroundings) -> int:
    """Runs the server, of a file or of flags alone: with a file, the other flags do not count."""
    types = ProxyTypes.installed()
    loaded = _load(call, around, types)
    if loaded is None:
        return 1
    begin_serving(loaded.config.log, around, color=True)
    if call["config"]:
        log.info("frps uses config file: {path}", path=call["config"])
    else:
        log.info("frps uses command line arguments for config")
    try:
        assembly = ServerAssembly.of(loaded, types, around.environ)
    except RelaykitError as error:
        around.say(str(error))
        return 1
    ending = serve_server(assembly, around.choose_reactor())
    return -ending.signal if ending.signal else status_of(ending, lambda error: around.say(error_text(error)))


def verify(call: Call, around: Surroundings) -> int:
    """Checks a file; without one there is nothing wrong."""
    path = call["config"]
    if not path:
        around.say("frps: the configuration file is not specified")
        return 0
    if _load(call, around, ProxyTypes.installed()) is None:
        return 1
    around.say(f"frps: the configuration file {path} syntax is ok")
    return 0


def _load(call: Call, around: Surroundings, types: ProxyTypes) -> LoadedServer | None:
    def load() -> LoadedServer:
        if not call["config"]:
            return server_from_table(server_table(call), types=types, allow_unsafe=call["allow-unsafe"])
        return load_server(
            call["config"],
            types=types,
            environ=around.environ,
            strict=call["strict-config"],
            allow_unsafe=call["allow-unsafe"],
        )

    return loaded_or_said(load, around.say)
