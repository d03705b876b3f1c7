"""``relaykit frps``: takes frp's command line for servers, and behaves as its server does to scripts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.logger import Logger

from relaykit.assembly import ServerAssembly
from relaykit.commands.context import error_text
from relaykit.commands.frp.settings import as_flag, server_table, warn_of_shown_secrets
from relaykit.commands.loading import loaded_or_said
from relaykit.commands.runner import begin_serving, exit_status
from relaykit.commands.serve import serve_server
from relaykit.config.load import load_server, server_from_table
from relaykit.errors import RelaykitError
from relaykit.plugins import ProxyTypes
from relaykit.values import Address

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext
    from relaykit.config.load import LoadedServer
    from relaykit.flags.grammar import Call
    from relaykit.server.service import RelayServer

__all__ = ["run", "verify"]

log = Logger()


def run(call: Call, context: CommandContext) -> int:
    """Runs the server, of a file or of flags alone: with a file, the other flags do not count."""
    types = ProxyTypes.installed()
    loaded = _load(call, context, types)
    if loaded is None:
        return 1
    writer = begin_serving(loaded.config.log, context, color=True)
    if call["config"]:
        log.info("frps uses config file: {path}", path=call["config"])
    else:
        log.info("frps uses command line arguments for config")
    warn_of_shown_secrets(call)
    try:
        assembly = ServerAssembly.of(loaded, types, context.environ)
    except RelaykitError as error:
        context.say(str(error))
        return 1

    def read_again(strict: bool | None) -> ServerAssembly:
        return ServerAssembly.of(_read(call, context, types, strict), types, context.environ)

    def say_ready(server: RelayServer) -> None:
        address = Address(assembly.loaded.config.bind_addr, server.port)
        log.info("frps tcp listen on {address}", address=address)
        log.info("frps started successfully")

    reason = serve_server(assembly, context, writer, say_ready, read_again if call["config"] else None)
    return (
        -reason.signal if reason.signal else exit_status(reason, lambda error: context.say(error_text(error)))
    )


def verify(call: Call, context: CommandContext) -> int:
    """Checks a file; without one there is nothing wrong."""
    path = call["config"]
    if not path:
        context.say("frps: the configuration file is not specified")
        return 0
    if _load(call, context, ProxyTypes.installed()) is None:
        return 1
    context.say(f"frps: the configuration file {path} syntax is ok")
    return 0


def _load(call: Call, context: CommandContext, types: ProxyTypes) -> LoadedServer | None:
    def load() -> LoadedServer:
        if not call["config"]:
            return server_from_table(server_table(call), types=types, allow_unsafe=call["allow-unsafe"])
        return _read(call, context, types)

    # The flags do not count beside a file.
    told = (lambda problem: problem) if call["config"] else partial(as_flag, call)
    return loaded_or_said(load, context.say, told)


def _read(call: Call, context: CommandContext, types: ProxyTypes, strict: bool | None = None) -> LoadedServer:
    """What the file says.

    :raises ConfigurationProblems: it cannot be used.
    """
    return load_server(
        call["config"],
        types=types,
        environ=context.environ,
        strict=call["strict-config"] if strict is None else strict,
        allow_unsafe=call["allow-unsafe"],
    )
