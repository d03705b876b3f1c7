"""Runs ``relaykit top``."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool

from relaykit.commands.running import RunningProgram, running_program
from relaykit.commands.status.live import LiveRenderer
from relaykit.commands.status.parts import Letters
from relaykit.commands.status.terminal import Terminal, can_draw
from relaykit.commands.top.picture import TopPicture
from relaykit.commands.top.sample import Sample, take_sample
from relaykit.errors import RelaykitError

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.commands.context import CommandContext

__all__ = ["BETWEEN_S", "run"]

BETWEEN_S = 2.0
"""Seconds between two samples, over which rates are."""


def run(context: CommandContext, *, as_json: bool, **where: Any) -> int:
    """Shows what is busy in a program, again and again on a terminal, else once."""
    program = running_program(context, **where)
    if program is None:
        return 1
    try:
        if as_json or not can_draw(context.stdout, context.environ):
            _show_once(context, program, as_json=as_json)
            return 0
        return _Watching(context, program).run()
    except RelaykitError as error:
        context.explain(error)
        return 1


def _show_once(context: CommandContext, program: RunningProgram, *, as_json: bool) -> None:
    before = _sample(program)
    time.sleep(BETWEEN_S)
    sample = _sample(program)
    if not as_json:
        letters = Letters(Console(file=context.stdout))
        context.say("\n".join(TopPicture().lines(sample, before, letters)))
        return
    rates = sample.rates(before)
    told = attrs.asdict(sample, recurse=False)
    for key in ("busiest", "user_rows"):
        told[key] = [{**attrs.asdict(each), "rate": rates.get(each.key)} for each in told[key]]
    context.say(json.dumps({**told, "rate": rates.get(None)}))


def _sample(program: RunningProgram) -> Sample:
    return take_sample(
        partial(program.ask, "GET"), program.role, time.monotonic(), datetime.now(UTC).timestamp()
    )


class _Watching:
    """Takes a sample again and again, in a thread, and draws it."""

    def __init__(self, context: CommandContext, program: RunningProgram) -> None:
        self._program = program
        self._reactor = context.choose_reactor()
        terminal = Terminal(self._reactor, context.stdout, context.stdin)
        self._renderer: LiveRenderer[Sample] = LiveRenderer(
            TopPicture(), terminal, context.stdout, clock=self._reactor.seconds
        )
        self._failed: RelaykitError | None = None

    def run(self) -> int:
        """Runs until a key or a signal ends it, or the program has ended, which is an error."""
        looking = LoopingCall(self._look)
        looking.clock = self._reactor
        self._reactor.callWhenRunning(lambda: looking.start(BETWEEN_S).addErrback(self._fail))
        self._renderer.begin(self._key)
        try:
            self._reactor.run()
        finally:
            self._renderer.close()
        if self._failed is not None:
            raise self._failed
        return 0

    def _look(self) -> Deferred[None]:
        pool = self._reactor.getThreadPool()
        sampling: Deferred[Sample] = deferToThreadPool(self._reactor, pool, _sample, self._program)
        return sampling.addCallback(self._renderer.show)

    def _key(self, letter: str) -> None:
        if letter == "q":
            self._reactor.stop()

    def _fail(self, failure: Failure) -> None:
        failure.trap(RelaykitError)
        assert isinstance(failure.value, RelaykitError)
        self._failed = failure.value
        self._reactor.stop()
