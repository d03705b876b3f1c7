"""``relaykit frpc``: takes frp's command line for clients, and behaves as its client does to scripts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from relaykit.administration.steering import Steering
from relaykit.assembly import ClientAssembly, RoleFiles
from relaykit.commands.context import error_text
from relaykit.commands.frp.settings import as_flag, client_table, entry_table, warn_of_shown_secrets
from relaykit.commands.loading import loaded_or_said
from relaykit.commands.runner import ExitReason, Hangup, ProcessRunner, begin_serving, exit_status
from relaykit.commands.serve import serve_client
from relaykit.config.load import client_from_table, load_client
from relaykit.errors import RelaykitError, VirtualNetworkError
from relaykit.plugins import ProxyTypes
from relaykit.reloading import Reloading
from relaykit.supervision import Supervisor

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.commands.context import CommandContext
    from relaykit.config.load import LoadedClient
    from relaykit.flags.grammar import Call
    from relaykit.logs.observers import LogWriter

__all__ = ["run", "run_proxy", "run_visitor", "verify"]

log = Logger()

_STOPPED = "frpc service for config file [{path}] stopped"


def run(call: Call, context: CommandContext) -> int:
    """Runs the client of a file, or those of all files in a folder."""
    if call["config-dir"]:
        return _run_folder(call, context)
    types = ProxyTypes.installed()
    path = call["config"]
    loaded = _load_file(path, call, context, types)
    if loaded is None:
        return 1
    writer = begin_serving(loaded.config.log, context, color=True)
    log.info("start frpc service for config file [{path}] with aggregated configuration", path=path)
    return _serve(
        loaded,
        context,
        types,
        writer,
        lambda: log.info(_STOPPED, path=path),
        partial(_read_again, path, call, context, types),
        RoleFiles(
            config=path,
            environ=context.environ,
            strict=call["strict-config"],
            allow_unsafe=call["allow-unsafe"],
        ),
    )


def run_proxy(call: Call, context: CommandContext) -> int:
    """Publishes the one proxy that the flags describe; no file is read."""
    table = {**client_table(call), "proxies": [entry_table(call, call.path[-1].name)]}
    return _run_table(table, call, context)


def run_visitor(call: Call, context: CommandContext) -> int:
    """Visits the one proxy that the flags describe; no file is read."""
    table = {**client_table(call), "visitors": [entry_table(call, call.path[-2].name)]}
    return _run_table(table, call, context)


def verify(call: Call, context: CommandContext) -> int:
    """Checks a file."""
    path = call["config"]
    if not path:
        context.say("frpc: the configuration file is not specified")
        return 0
    load = partial(_load, path, call, context, ProxyTypes.installed(), stored=False)
    if loaded_or_said(load, context.say) is None:
        return 1
    context.say(f"frpc: the configuration file {path} syntax is ok")
    return 0


def _load_file(path: str, call: Call, context: CommandContext, types: ProxyTypes) -> LoadedClient | None:
    return loaded_or_said(partial(_load, path, call, context, types), context.say)


def _load(
    path: str,
    call: Call,
    context: CommandContext,
    types: ProxyTypes,
    strict: bool | None = None,
    *,
    stored: bool = True,
) -> LoadedClient:
    return load_client(
        path,
        types=types,
        environ=context.environ,
        strict=call["strict-config"] if strict is None else strict,
        allow_unsafe=call["allow-unsafe"],
        stored=stored,
    )


def _read_again(
    path: str, call: Call, context: CommandContext, types: ProxyTypes, strict: bool | None
) -> ClientAssembly:
    """What a file says while its client runs.

    :raises RelaykitError: it cannot be used.
    """
    return _assembly(_load(path, call, context, types, strict), context, types)


def _run_table(table: dict[str, Any], call: Call, context: CommandContext) -> int:
    types = ProxyTypes.installed()

    def load() -> LoadedClient:
        return client_from_table(
            table, types=types, environ=context.environ, allow_unsafe=call["allow-unsafe"]
        )

    loaded = loaded_or_said(load, context.say, partial(as_flag, call))
    if loaded is None:
        return 1
    writer = begin_serving(loaded.config.log, context, color=True)
    warn_of_shown_secrets(call)
    return _serve(loaded, context, types, writer, lambda: None)


def _serve(
    loaded: LoadedClient,
    context: CommandContext,
    types: ProxyTypes,
    writer: LogWriter,
    stopped: Callable[[], None],
    read: Callable[[bool | None], ClientAssembly] | None = None,
    files: RoleFiles | None = None,
) -> int:
    """Runs a client; the reason of its end is printed last, without time or level, as frp does."""
    try:
        assembly = _assembly(loaded, context, types)
    except RelaykitError as error:
        stopped()
        context.say(str(error))
        return 1
    reason = serve_client(assembly, context, writer, read, files, color=True)
    stopped()
    if isinstance(reason.failure, VirtualNetworkError):
        # It was not tried to log in.
        context.say(error_text(reason.failure))
        return 1
    if isinstance(reason.failure, (RelaykitError, OSError)):
        context.say(
            f"login to the server failed: {error_text(reason.failure)}. "
            "With loginFailExit enabled, no additional retries will be attempted"
        )
        return 1
    return (
        -reason.signal if reason.signal else exit_status(reason, lambda error: context.say(error_text(error)))
    )


def _assembly(loaded: LoadedClient, context: CommandContext, types: ProxyTypes) -> ClientAssembly:
    """The assembly of a client that ends when its first login fails, unless its file says otherwise.

    :raises RelaykitError: the token cannot be had.
    """
    config = loaded.config
    if config.login_fail_exit is None:
        loaded = evolve(loaded, config=msgspec.structs.replace(config, login_fail_exit=True))
    return ClientAssembly.of(loaded, types, context.environ)


# --- one client for every file of a folder ---------------------------------------------------


def _run_folder(call: Call, context: CommandContext) -> int:
    """Runs the clients until all of them have failed; that is no failure of the program."""
    types = ProxyTypes.installed()
    assemblies: dict[str, ClientAssembly] = {}
    for path in _files_below(call["config-dir"]):
        loaded = _load_file(path, call, context, types)
        try:
            if loaded is not None:
                assemblies[path] = _assembly(loaded, context, types)
                continue
        except RelaykitError as error:
            context.say(str(error))
        context.say(f"frpc service error for config file [{path}]")
    if not assemblies:
        return 0
    writer = begin_serving(next(iter(assemblies.values())).loaded.config.log, context, color=True)
    again = {path: partial(_read_again, path, call, context, types) for path in assemblies}
    reason = _serve_all(assemblies, context, writer, again)
    return (
        -reason.signal if reason.signal else exit_status(reason, lambda error: context.say(error_text(error)))
    )


def _serve_all(
    assemblies: dict[str, ClientAssembly],
    context: CommandContext,
    writer: LogWriter,
    again: Mapping[str, Callable[[bool | None], ClientAssembly]],
) -> ExitReason:
    reactor = context.choose_reactor()
    steerings = {path: Steering() for path in assemblies}
    clients = {path: assembly.make(reactor, steerings[path]) for path, assembly in assemblies.items()}
    reloads = {path: Reloading(reactor, again[path], client).reload for path, client in clients.items()}
    supervisor = Supervisor(context.environ, reactor)

    def begin() -> Deferred[bool]:
        supervisor.ready()
        lives = [_live(path, client, context) for path, client in clients.items()]
        return DeferredList(lives).addCallback(lambda results: not any(alive for _, alive in results))

    def stop() -> Deferred[Any]:
        return DeferredList([client.stopService() for client in clients.values() if client.running])

    hangup = Hangup(writer, supervisor, list(reloads.values()))
    runner = ProcessRunner(reactor, begin, stop, hangup, supervisor.stopping)
    for path, steering in steerings.items():
        steering.reload, steering.stop = reloads[path], runner.stop
    return runner.run()


def _live(path: str, client: RelayClient, context: CommandContext) -> Deferred[bool]:
    """Starts a client; fires with whether it lives on."""

    def failed(failure: Failure) -> Deferred[bool] | bool:
        if not client.running:
            # It was stopped before its first login.
            return False
        context.say(f"frpc service error for config file [{path}]")
        stopped: Deferred[Any] = client.stopService()
        return stopped.addCallback(lambda _: False)

    log.info("start frpc service for config file [{path}] with aggregated configuration", path=path)
    client.privilegedStartService()
    try:
        client.startService()
    except VirtualNetworkError as error:
        context.say(error_text(error))
        context.say(f"frpc service error for config file [{path}]")
        return succeed(False)
    return client.when_first_login().addCallbacks(lambda _: True, failed)


def _files_below(path: str) -> Iterator[str]:
    """The regular files in a folder and below, in order of their names; or the file itself."""
    if os.path.isfile(path):
        yield path
    elif os.path.isdir(path):
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            below = os.path.normpath(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(below)
            elif entry.is_file():
                yield below
