"""Tests for the demonstration of a direct path, without one; ``tests/integration`` has it in a laboratory."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from twisted.internet.defer import Deferred, succeed

from relaykit.commands.context import CommandContext
from relaykit.commands.demo import direct
from relaykit.commands.demo.direct import BULK, EVERY_S, PATIENCE_S, STUN_S
from relaykit.commands.demo.laboratory import Counted
from relaykit.commands.demo.user import Times
from relaykit.errors import ConnectionFailed, RelaykitError
from tests.commands.fakes import RunningReactor
from tests.commands.serving import ServingTestCase
from tests.commands.terminal import Printed, run_printed

DIRECT = Counted(direct=2 * BULK, by_server=100)
RELAYED = Counted(direct=0, by_server=4 * BULK)


def break_pipe(context: CommandContext, text: str) -> None:
    """Nobody reads it."""
    raise BrokenPipeError


class FakeLaboratory:
    """Counts what a test says."""

    internet = "/internet"
    machines = {"owner": "/owner", "visitor": "/visitor"}

    def __init__(self, counted: Counted) -> None:
        self.done: list[str] = []
        self._counted = counted
        self._total = Counted(0, 0)

    def up(self) -> None:
        """Is noted."""
        self.done.append("up")

    def down(self) -> None:
        """Is noted, too."""
        self.done.append("down")

    def counted(self) -> Counted:
        """As much as before, and more the next time."""
        total, self._total = self._total, self._counted
        return total


class FakePrograms:
    """Says what is waited for, except for what a test is silent about."""

    folder = "/folder"

    def __init__(self, silent: str, on_event: Callable[..., None], on_lost: Callable[..., None]) -> None:
        self.started: list[tuple[str, ...]] = []
        self.on_lost = on_lost
        self._silent = silent
        self.on_event = on_event

    def start(self, *program: str) -> None:
        """Is noted, and the program logs in."""
        self.started.append((program[0], program[1], program[3]))
        self.on_event(program[0], {"message": "login", "bound": True})

    def when(self, name: str, is_it: Callable[..., bool]) -> Deferred[None]:
        """At once."""
        return Deferred() if is_it.__name__ == self._silent else succeed(None)

    def end(self) -> Deferred[None]:
        """At once."""
        return succeed(None)


class NatDemoTests(ServingTestCase):
    """Tests for how it ends."""

    silent = ""

    def play(
        self,
        *words: str,
        counted: Counted = DIRECT,
        during: Callable[[RunningReactor], None] = lambda _: None,
    ) -> Printed:
        """Runs it with a laboratory that counts this."""
        self.laboratory = FakeLaboratory(counted)
        self.patch(direct, "check_machine", lambda: None)
        self.patch(direct, "Laboratory", lambda translation: self.laboratory)
        self.patch(direct, "Programs", self.make_programs)
        self.patch(direct, "entered", lambda path: nullcontext())
        self.patch(direct, "use_service", self.use)
        self.uses = 0
        reactor = RunningReactor(lambda: during(reactor))
        return run_printed(["demo", "--nat", *words], {}, lambda: reactor)

    def make_programs(self, reactor: Any, environ: Any, *told: Callable[..., None]) -> FakePrograms:
        """The programs of this test."""
        self.programs = FakePrograms(self.silent, *told)
        return self.programs

    async def use(self, reactor: Any, where: str, port: int, data: bytes) -> Times:
        """Every third user has bad luck."""
        self.uses += 1
        if self.uses == 3:
            raise ConnectionFailed("the user's connection was cut")
        return Times(0.5, 0.001, 0.08)

    def signal(self, number: int) -> None:
        """Sends this process a signal."""
        self.handlers[number](number, None)

    def test_direct(self) -> None:
        """If bytes went directly, that is told, and ``--once`` is a success; nothing is left."""
        printed = self.play("--once")
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertIn("4.2 MB from home to home, 100 bytes by the server", printed.stdout)
        self.assertEqual(
            self.programs.started,
            [
                ("server", "server", "/internet"),
                ("owner", "client", "/owner"),
                ("visitor", "client", "/visitor"),
            ],
        )
        self.assertEqual(self.laboratory.done, ["up", "down"])

    def test_relayed(self) -> None:
        """If they went through the server, that is told, and ``--once`` is none."""
        printed = self.play("--once", "--routers", "symmetric", counted=RELAYED)
        self.assertEqual(printed.status, 1)
        self.assertIn("the user's bytes went through the relay", printed.stderr)
        self.assertIn("0 bytes from home to home, 8.4 MB by the server", printed.stdout)

    def test_goes_on(self) -> None:
        """Without ``--once`` users come until a signal does, and one who is cut is not the end."""

        def during(reactor: RunningReactor) -> None:
            for _ in range(3):
                reactor.advance(EVERY_S)
            self.signal(signal.SIGINT)

        printed = self.play(counted=RELAYED, during=during)
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertEqual(self.uses, 5)
        self.assertIn("connection was cut", printed.stdout)
        self.assertEqual(printed.stdout.count("round trip 1.0 ms"), 2)
        self.assertEqual(self.laboratory.done, ["up", "down"])

    def test_interrupted(self) -> None:
        """``--once`` that a signal ends before all is told is no success."""
        self.silent = "is_ready"
        printed = self.play("--once", during=lambda _: self.signal(signal.SIGTERM))
        self.assertEqual(printed.status, -signal.SIGTERM)
        self.assertEqual(self.laboratory.done, ["up", "down"])

    def test_too_slow(self) -> None:
        """A story that gets nowhere ends, too."""
        self.silent = "is_ready"
        printed = self.play(during=lambda reactor: reactor.advance(PATIENCE_S))
        self.assertEqual(printed.status, 1)
        self.assertEqual(printed.stderr.splitlines()[0], "the story was not told after 60 seconds")

    def test_nothing_learned(self) -> None:
        """A client that learns nothing of its NAT does not keep the story from going on."""
        self.silent = "knows_nat"
        printed = self.play("--once", during=lambda reactor: reactor.advance(STUN_S))
        self.assertEqual(printed.status, 0)
        self.assertIn("owner     learns nothing by STUN", printed.stdout)

    def test_nobody_reads(self) -> None:
        """Whoever read the output is gone: that ends it, also in the middle of a program's words."""
        self.silent = "is_ready"

        def during(_: RunningReactor) -> None:
            self.patch(CommandContext, "say", break_pipe)
            self.programs.on_event("server", {"message": "the server started successfully"})

        self.assertRaises(BrokenPipeError, self.play, during=during)
        self.assertEqual(self.laboratory.done, ["up", "down"])

    def test_lost(self) -> None:
        """A program that has ended ends the demonstration, with the reason."""
        self.silent = "is_ready"
        error = RelaykitError("the program of the server has ended", problem="demo")
        printed = self.play(during=lambda _: self.programs.on_lost(error))
        self.assertEqual((printed.status, printed.stderr.splitlines()[0]), (1, str(error)))

    def test_impossible(self) -> None:
        """Where there can be no laboratory, that is all that is said, and nothing is made."""

        def refuse() -> None:
            raise RelaykitError("only root may", problem="laboratory")

        self.patch(direct, "check_machine", refuse)
        printed = run_printed(["demo", "--nat"])
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        self.assertEqual(printed.stderr.splitlines()[0], "only root may")
        self.assertIn("Run it as root", printed.stderr)
