"""``relaykit server`` and ``relaykit client``, and how every command runs the two roles."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from click import UsageError
from twisted.internet.defer import Deferred

from relaykit.assembly import ClientAssembly, RoleFiles, ServerAssembly, read_client, read_server
from relaykit.commands.loading import chosen_file, loaded_or_said
from relaykit.commands.panel import run_before_people
from relaykit.commands.runner import ExitReason, ProcessRunner, begin_serving, exit_status, explanation
from relaykit.commands.tunnels.logins import DEFAULT_PORT

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext
    from relaykit.server.service import RelayServer

AssemblyT = TypeVar("AssemblyT", ClientAssembly, ServerAssembly)

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
    assembly = _read(context, read_server, **files)
    return 1 if assembly is None else run_before_people(context, assembly, plain=plain)


def run_client(context: CommandContext, **files: Any) -> int:
    """Runs a client until a signal comes, or until its first login fails where that ends it."""
    assembly = _read(context, read_client, **files)
    if assembly is None:
        return 1
    writer = begin_serving(assembly.loaded.config.log, context, color=context.stdout.isatty())
    reason = serve_client(assembly, context.choose_reactor(), writer.reopen)
    return exit_status(reason, explanation(context, writer))


def _read(
    context: CommandContext,
    read: Callable[[RoleFiles], AssemblyT],
    *,
    config: str,
    file: str,
    strict_config: bool,
    allow_unsafe: Collection[str],
    state_dir: str,
    token_file: str,
) -> AssemblyT | None:
    config = chosen_file(config, file)
    if not config:
        context.explain("a configuration file is needed: -c FILE", "no-file-given")
        return None
    files = RoleFiles(
        config=config,
        environ=context.environ,
        strict=strict_config,
        allow_unsafe=allow_unsafe,
        state_dir=state_dir,
        token_file=token_file,
    )
    return loaded_or_said(lambda: read(files), context.complain)


def serve_server(
    assembly: ServerAssembly,
    reactor: Any,
    on_hangup: Callable[[], None],
    on_ready: Callable[[RelayServer], None],
) -> ExitReason:
    """Runs a server, and the reactor, until one of them ends; SIGHUP calls ``on_hangup``."""
    server = assembly.make(reactor)

    def begin() -> Deferred[None]:
        server.privilegedStartService()
        server.startService()
        return server.when_ready().addCallback(lambda _: on_ready(server))

    return ProcessRunner(reactor, begin, server.stopService, on_hangup).run()


def serve_client(assembly: ClientAssembly, reactor: Any, on_hangup: Callable[[], None]) -> ExitReason:
    """Runs a client likewise."""
    client = assembly.make(reactor)

    def begin() -> Deferred[None]:
        client.privilegedStartService()
        client.startService()
        return client.when_first_login().addCallback(lambda _: None)

    return ProcessRunner(reactor, begin, client.stopService, on_hangup).run()
