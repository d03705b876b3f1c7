"""``relaykit server`` and ``relaykit client``, and how every command runs the two roles."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve
from click import UsageError
from twisted.internet.defer import Deferred

from relaykit.administration.steering import Steering
from relaykit.assembly import RoleFiles, read_client, read_server
from relaykit.commands.loading import chosen_file, loaded_or_said
from relaykit.commands.panel import run_before_people
from relaykit.commands.runner import (
    ExitReason,
    Hangup,
    ProcessRunner,
    begin_serving,
    change_writer,
    exit_status,
    explanation,
)
from relaykit.commands.status.lines import client_line, server_line
from relaykit.commands.tunnels.logins import DEFAULT_PORT
from relaykit.reloading import Reloading
from relaykit.supervision import Supervisor
from relaykit.verifying import Verifying

if TYPE_CHECKING:
    from relaykit.assembly import ClientAssembly, ServerAssembly
    from relaykit.commands.context import CommandContext
    from relaykit.logs.observers import LogWriter
    from relaykit.server.service import RelayServer

__all__ = ["run_client", "run_server", "serve_client", "serve_server"]


def run_server(
    context: CommandContext,
    quick: bool,
    port: int,
    host: str,
    http_port: int,
    https_port: int,
    subdomain_host: str,
    plain: bool,
    **files: Any,
) -> int:
    """Runs a relay server until a signal comes."""
    if quick:
        from relaykit.commands.quick import QuickPorts, run_quick

        given = {each: files[each] for each in ("state_dir", "token_file")}
        given["config"] = chosen_file(files["config"], files["file"])
        ports = QuickPorts(port, http_port, https_port, subdomain_host)
        return run_quick(context, ports, host, plain=plain, **given)
    if host or port != DEFAULT_PORT or http_port or https_port or subdomain_host:
        raise UsageError(
            "--port, --host, --http-port, --https-port and --subdomain-host go with --quick; in a file they "
            "are the keys bindPort, vhostHTTPPort, vhostHTTPSPort and subDomainHost"
        )
    chosen = _files(context, **files)
    assembly = None if chosen is None else loaded_or_said(partial(read_server, chosen), context.complain)
    if chosen is None or assembly is None:
        return 1

    def read_again(strict: bool | None) -> ServerAssembly:
        return read_server(chosen if strict is None else evolve(chosen, strict=strict))

    return run_before_people(context, assembly, plain=plain, read=read_again)


def run_client(context: CommandContext, **files: Any) -> int:
    """Runs a client until a signal comes, or until its first login fails where that ends it."""
    chosen = _files(context, **files)
    assembly = None if chosen is None else loaded_or_said(partial(read_client, chosen), context.complain)
    if chosen is None or assembly is None:
        return 1
    color = context.stdout.isatty()
    writer = begin_serving(assembly.loaded.config.log, context, color=color)
    reason = serve_client(assembly, context, writer, partial(_read_again, chosen), chosen, color=color)
    return exit_status(reason, explanation(context, writer))


def _read_again(chosen: RoleFiles, strict: bool | None) -> ClientAssembly:
    return read_client(chosen if strict is None else evolve(chosen, strict=strict))


def _files(
    context: CommandContext,
    *,
    config: str,
    file: str,
    strict_config: bool,
    allow_unsafe: Collection[str],
    state_dir: str,
    token_file: str,
) -> RoleFiles | None:
    """The files that a command line names; None, and said so, if it names no configuration."""
    config = chosen_file(config, file)
    if not config:
        context.explain("a configuration file is needed: -c FILE", "no-file-given")
        return None
    return RoleFiles(
        config=config,
        environ=context.environ,
        strict=strict_config,
        allow_unsafe=allow_unsafe,
        state_dir=state_dir,
        token_file=token_file,
    )


def serve_server(
    assembly: ServerAssembly,
    context: CommandContext,
    writer: LogWriter,
    on_ready: Callable[[RelayServer], None],
    read: Callable[[bool | None], ServerAssembly] | None = None,
) -> ExitReason:
    """Runs a server, and the reactor, until one of them ends.

    SIGHUP opens its log file again, and has it go on with what its files say then.

    :param read: reads them; None where there are none.
    """
    reactor = context.choose_reactor()
    steering = Steering()
    server = assembly.make(reactor, steering)
    supervisor = Supervisor(context.environ, reactor, lambda: server_line(server))

    async def begin() -> None:
        server.privilegedStartService()
        server.startService()
        await server.when_ready()
        on_ready(server)
        supervisor.ready()

    hangup = Hangup(writer, supervisor)
    if read is not None:
        reloading = Reloading(reactor, read, server, partial(change_writer, writer, True))
        steering.reload = reloading.reload
        hangup.reloads.append(reloading.reload)
    runner = ProcessRunner(
        reactor,
        lambda: Deferred.fromCoroutine(begin()),
        server.stopService,
        hangup,
        supervisor.stopping,
    )
    steering.stop = runner.stop
    return runner.run()


def serve_client(
    assembly: ClientAssembly,
    context: CommandContext,
    writer: LogWriter,
    read: Callable[[bool | None], ClientAssembly] | None = None,
    files: RoleFiles | None = None,
    *,
    color: bool,
) -> ExitReason:
    """Runs a client likewise; SIGHUP opens its log file again, and has it go on with what its files say then.

    :param read: reads them; None where there are none.
    :param files: what they are, and how they are read; None likewise.
    """
    reactor = context.choose_reactor()
    steering = Steering(verify=None if files is None else Verifying(reactor, files))
    client = assembly.make(reactor, steering)
    supervisor = Supervisor(context.environ, reactor, lambda: client_line(client))
    hangup = Hangup(writer, supervisor)
    if read is not None:
        change_log = partial(change_writer, writer, color)
        reloading = Reloading(reactor, read, client, change_log)
        steering.reload = reloading.reload
        hangup.reloads.append(reloading.reload)

    def begin() -> Deferred[None]:
        client.privilegedStartService()
        client.startService()
        # Whether its server can be reached is another matter: who waits for this program waits no longer.
        supervisor.ready()
        return client.when_first_login().addCallback(lambda _: None)

    runner = ProcessRunner(reactor, begin, client.stopService, hangup, supervisor.stopping)
    steering.stop = runner.stop
    return runner.run()
