"""``relaykit demo --nat``: two clients behind NATs talk directly, in a laboratory on this machine.

A relay server and both clients are programs of their own.  The owner's service, and whoever uses it, are
sockets of this process on the machines of the two homes.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.wire import Echo
from twisted.python.failure import Failure

from relaykit.commands.demo import story
from relaykit.commands.demo.files import SERVICE_PORT, USER_PORT, configuration_files
from relaykit.commands.demo.laboratory import OWNER, ROUTERS, VISITOR, Laboratory, check_machine
from relaykit.commands.demo.namespaces import entered
from relaykit.commands.demo.programs import Event, Programs
from relaykit.commands.demo.user import Times, use_service
from relaykit.commands.runner import ProcessRunner, begin_logging, exit_status
from relaykit.config.schema.sections import LogConfig
from relaykit.errors import RelaykitError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort

    from relaykit.commands.context import CommandContext

__all__ = ["NatDemo", "run"]

PATIENCE_S = 60.0
"""The longest that the story may take; it takes some seconds."""

STUN_S = 15.0
"""How long a client may take to know its NAT; it takes up to six seconds."""

GREETING = 3
"""Bytes of the first user, for whom the path is made."""

BULK = 2 * 1024 * 1024
"""Bytes that each of the others sends, and has said back."""

EVERY_S = 1.0
"""Time between two users, once the story is told."""


def run(context: CommandContext, once: bool, routers: str) -> int:
    """Runs the demonstration; with ``once`` it ends when all is told, by 0 only if bytes went directly."""
    try:
        check_machine()
    except RelaykitError as error:
        context.explain(error)
        return 1
    begin_logging(LogConfig(level="error"), context.stdout.isatty(), context)
    reactor = context.choose_reactor()
    demo = NatDemo(reactor, context, routers)
    reason = ProcessRunner(reactor, lambda: demo.begin(once), demo.stop).run()
    if once and reason.signal is not None:
        return -reason.signal
    return exit_status(reason, context.explain)


@define(eq=False)
class NatDemo:
    """A laboratory with its programs, a service and its users, and what is told of them."""

    _reactor: Any
    _context: CommandContext
    _routers: str
    _laboratory: Laboratory = field(init=False)
    _programs: Programs = field(init=False)
    _service: IListeningPort | None = field(default=None, init=False)
    _outcome: Deferred[Any] = field(factory=Deferred, init=False)
    _telling: Deferred[None] | None = field(default=None, init=False)

    @_laboratory.default
    def _make_laboratory(self) -> Laboratory:
        return Laboratory(ROUTERS[self._routers])

    @_programs.default
    def _make_programs(self) -> Programs:
        return Programs(
            self._reactor, self._context.environ, self._heard, lambda error: self._end(Failure(error))
        )

    def begin(self, once: bool) -> Deferred[Any]:
        """Begins; fires with True when all is told, which is never the case without ``once``.

        Fails with :class:`RelaykitError`, whose text says what did not work, or, with ``once``, that the
        user's bytes did not go directly.
        """
        self._telling = Deferred.fromCoroutine(self._tell(once))
        self._telling.addBoth(self._end)
        return self._outcome

    def stop(self) -> Deferred[Any]:
        """Ends everything; fires once nothing is left."""
        if self._telling is not None:
            self._telling.cancel()
        if self._service is not None:
            self._service.stopListening()
        return self._programs.end().addCallback(lambda _: self._laboratory.down())

    def _end(self, result: Failure | None) -> None:
        if not self._outcome.called:
            self._outcome.callback(True if result is None else result)

    # --- the story

    async def _tell(self, once: bool) -> None:
        told = Deferred.fromCoroutine(self._story())
        is_direct = await told.addTimeout(PATIENCE_S, self._reactor, _too_late)
        if not once:
            self._context.say(
                f"\nA user comes every second, until Ctrl-C ends this.  Meanwhile the programs'\n"
                f"files are in {self._programs.folder}.\n"
            )
            await self._go_on()
        if not is_direct:
            raise RelaykitError("the user's bytes went through the relay", problem="hole-punching")

    async def _story(self) -> bool:
        """Tells it; answers whether the bytes of its user went directly."""
        self._context.say(story.scene(self._routers))
        self._laboratory.up()
        with entered(self._laboratory.machines[OWNER.name]):
            self._service = self._reactor.listenTCP(
                SERVICE_PORT, Factory.forProtocol(Echo), interface="127.0.0.1"
            )
        await self._start_programs()
        self._say(
            "user", f"comes to port {USER_PORT} of the visitor's machine; the server has the clients meet"
        )
        decided = self._programs.when(VISITOR.name, story.is_path_decided)
        first = await self._use(GREETING)
        await decided
        self._say("user", f"had the first byte back after {first.first_byte_s * 1000:.0f} ms")
        before = self._laboratory.counted()
        times = await self._use(BULK)
        counted = self._laboratory.counted() - before
        self._say("user", story.times_words(times, BULK))
        self._say("counted", f"meanwhile: {story.total_words(counted)}")
        return story.went_direct(counted, BULK)

    async def _start_programs(self) -> None:
        """Starts them, and waits until users can come, and until the clients know their NATs."""
        files, programs = configuration_files(), self._programs
        ready = programs.when("server", story.is_ready)
        programs.start("server", "server", files["server"], self._laboratory.internet)
        await ready
        waiting = []
        for home in (OWNER, VISITOR):
            knowing = programs.when(home.name, story.knows_nat)
            knowing.addTimeout(STUN_S, self._reactor, partial(self._not_learned, home.name))
            waiting += [programs.when(home.name, story.is_ready), knowing]
            programs.start(home.name, "client", files[home.name], self._laboratory.machines[home.name])
        await gatherResults(waiting, consumeErrors=True)

    async def _go_on(self) -> None:
        """A user every second, and all that was counted until then."""
        while True:
            await deferLater(self._reactor, EVERY_S)
            try:
                times = await self._use(BULK)
            except RelaykitError as error:
                self._say("user", str(error))
            else:
                words = story.total_words(self._laboratory.counted())
                self._say("user", f"round trip {times.round_trip_s * 1000:.1f} ms; {words}")

    async def _use(self, size: int) -> Times:
        where = self._laboratory.machines[VISITOR.name]
        return await use_service(self._reactor, where, USER_PORT, os.urandom(size))

    def _heard(self, who: str, event: Event) -> None:
        words = story.event_words(who, event)
        try:
            if words:
                self._say(who, words)
        except BrokenPipeError as error:
            self._end(Failure(error))

    def _not_learned(self, who: str, result: object, seconds: float) -> None:
        self._say(who, "learns nothing by STUN")

    def _say(self, who: str, text: str) -> None:
        self._context.say(story.line(who, text))


def _too_late(result: object, seconds: float) -> bool:
    raise RelaykitError(f"the story was not told after {seconds:.0f} seconds", problem="demo")
