"""``relaykit server`` and ``relaykit client``, and how every command runs the two roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from relaykit.assembly import ClientAssembly, RoleFiles, ServerAssembly, read_client, read_server
from relaykit.commands.loading import loaded_or_said
from relaykit.commands.running import Ending, Lifetime, begin_serving
from relaykit.errors import RelaykitError

if TYPE_CHECKING:
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings

__all__ = ["run_client", "run_server", "serve_client", "serve_server", "status_of"]

log = Logger()


def run_server(call: Call, around: Surroundings) -> int:
    """Runs a relay server until a signal comes."""
    if call["quick"]:
        from relaykit.commands.quick import run_quick

        return run_quick(call, around)
    files = _files(call, around)
    assembly = loaded_or_said(lambda: read_server(files), around.complain) if files else None
    if assembly is None:
        return 1
    begin_serving(assembly.loaded.config.log, around, color=around.stdout.isatty())
    return status_of(serve_server(assembly, around.choose_reactor()), around.explain)


def run_client(call: Call, around: Surroundings) -> int:
    """Runs a client until a signal comes, or until its first login fails where that ends it."""
    files = _files(call, around)
    assembly = loaded_or_said(lambda: read_client(files), around.complain) if files else None
    if assembly is None:
        return 1
    begin_serving(assembly.loaded.config.log, around, color=around.stdout.isatty())
    return status_of(serve_client(assembly, around.choose_reactor()), around.explain)


def serve_server(assembly: ServerAssembly, reactor: Any) -> Ending:
    """Runs a server, and the reactor, until one of them ends."""
    server = assembly.make(reactor)

    def begin() -> Deferred[None]:
        server.privilegedStartService()
        server.startService()
        return server.when_ready()

    return Lifetime(reactor, begin, server.stopService).run()


def serve_client(assembly: ClientAssembly, reactor: Any) -> Ending:
    """Runs a client, and the reactor, until one of them ends."""
    client = assembly.make(reactor)

    def begin() -> Deferred[None]:
        client.privilegedStartService()
        client.startService()
        return client.when_first_login().addCallback(lambda _: None)

    return Lifetime(reactor, begin, client.stopService).run()


def status_of(ending: Ending, report: Callable[[BaseException], None]) -> int:
    """The exit status for an ending that a signal makes a success; a failure is reported."""
    if ending.failure is None:
        return 0
    if not isinstance(ending.failure, (RelaykitError, OSError)):
        log.failure("the program ended because of a defect", Failure(ending.failure))
    report(ending.failure)
    return 1


def _files(call: Call, around: Surroundings) -> RoleFiles | None:
    if not call["config"]:
        around.explain("a configuration file is needed: -c FILE", "no-file-given")
        return None
    return RoleFiles(
        config=call["config"],
        environ=around.environ,
        strict=call["strict-config"],
        allow_unsafe=call["allow-unsafe"],
        state_dir=call["state-dir"],
        token_file=call["token-file"],
    )
