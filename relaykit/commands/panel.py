"""Runs a server before people: with a panel where somebody sits at a terminal, else with its log in lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from relaykit.administration.steering import Steering
from relaykit.commands.runner import (
    Hangup,
    ProcessRunner,
    begin_serving,
    change_writer,
    exit_status,
    explanation,
    log_observer,
)
from relaykit.commands.status.follower import LogFollower, live_renderer
from relaykit.commands.status.lines import server_line
from relaykit.commands.status.server import FollowedServer, ServerSnapshot
from relaykit.commands.status.terminal import can_draw
from relaykit.logs.observers import CONSOLE
from relaykit.reloading import Reloading
from relaykit.supervision import Supervisor
from relaykit.tuning import prepare_process

if TYPE_CHECKING:
    from relaykit.assembly import ServerAssembly
    from relaykit.commands.context import CommandContext
    from relaykit.config.schema.sections import LogConfig
    from relaykit.server.service import RelayServer

__all__ = ["run_before_people"]


def run_before_people(
    context: CommandContext,
    assembly: ServerAssembly,
    *,
    plain: bool,
    read: Callable[[bool | None], ServerAssembly] | None = None,
    note: Callable[[RelayServer, bool], str] = lambda server, is_narrow: "",
) -> int:
    """Runs a server until a signal comes, and answers the status of the program.

    With a panel, what would be logged to the console is there; a log in a file is written all the same.
    There is none where users are logged to the console.

    :param plain: whether lines are wanted at a terminal, too.
    :param read: reads its files again; None where there are none.
    :param note: what people have to know once it runs; with short lines if it is to be drawn.
    """
    # Lines about users cannot be where the panel is.
    is_free = assembly.loaded.config.log.access != CONSOLE
    if not plain and is_free and _has_people(context):
        return _run_with_panel(context, assembly, note, read)
    color = context.stdout.isatty()
    writer = begin_serving(assembly.loaded.config.log, context, color=color)
    reactor = context.choose_reactor()
    steering = Steering()
    server = assembly.make(reactor, steering)
    supervisor = Supervisor(context.environ, reactor, lambda: server_line(server))

    async def begin() -> None:
        await _started(server)
        if text := note(server, False):
            context.say(text)
        supervisor.ready()

    hangup = Hangup(writer, supervisor)
    if read is not None:
        reloading = Reloading(reactor, read, server, partial(change_writer, writer, color))
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
    return exit_status(runner.run(), explanation(context, writer))


def _run_with_panel(
    context: CommandContext,
    assembly: ServerAssembly,
    note: Callable[[RelayServer, bool], str],
    read: Callable[[bool | None], ServerAssembly] | None,
) -> int:
    from relaykit.commands.status.server_picture import ServerPicture  # what draws takes long to import

    prepare_process()
    config, reactor = assembly.loaded.config.log, context.choose_reactor()
    steering = Steering()
    server = assembly.make(reactor, steering)
    followed = FollowedServer(server, reactor)
    follower: LogFollower[ServerSnapshot] = LogFollower(
        followed, live_renderer(context, reactor, ServerPicture("relaykit server")), reactor
    )
    writers = [] if config.to == CONSOLE else [log_observer(config, context, follower.complain)]

    async def begin() -> None:
        follower.begin(writers, map(str, assembly.loaded.warnings))
        await _started(server)
        followed.note = note(server, True)

    def hang_up() -> None:
        for each in writers:
            each.reopen()
        if reloading is not None:
            reloading.reload_soon()

    def change_log(config: LogConfig) -> None:
        for each in writers:
            if config.to == CONSOLE:
                follower.complain("log.to counts after a restart: the panel is where the log would go")
            else:
                change_writer(each, False, config)

    reloading = None if read is None else Reloading(reactor, read, server, change_log)
    if reloading is not None:
        steering.reload = reloading.reload
    runner = ProcessRunner(reactor, lambda: Deferred.fromCoroutine(begin()), server.stopService, hang_up)
    steering.stop = runner.stop
    try:
        reason = runner.run()
    finally:
        follower.end()
    return exit_status(
        reason, lambda error: None if follower.has_told(str(error)) else context.explain(error)
    )


def _has_people(context: CommandContext) -> bool:
    """Whether somebody sees what is drawn, and can end it with a key: a service may have a terminal, too."""
    has_keys = context.stdin is not None and context.stdin.isatty()
    return has_keys and can_draw(context.stdout, context.environ)


async def _started(server: RelayServer) -> None:
    server.privilegedStartService()
    server.startService()
    await server.when_ready()
