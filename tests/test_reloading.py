"""Tests for the configuration of a role that is read again."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit import blocking
from relaykit.config.load import LoadedClient
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.config.rules.changing import Changes, changes
from relaykit.config.schema import ClientConfig
from relaykit.config.schema.sections import LogConfig
from relaykit.errors import LoginRefusedError, RefusalCode
from relaykit.reloading import READ_S, Reloading, summary
from relaykit.values import NO_SECRET, Secret


@frozen
class Assembly:
    """What a file says."""

    loaded: LoadedClient
    token: Secret = NO_SECRET

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]:
        return self.loaded.warnings


class Role:
    """A role that takes what it is given, or fails."""

    def __init__(self) -> None:
        self.running = ClientConfig()
        self.given: list[LoadedClient] = []
        self.answer: Deferred[None] = succeed(None)

    def reload(self, loaded: LoadedClient, token: Secret) -> Deferred[Changes[ClientConfig]]:
        self.given.append(loaded)
        return self.answer.addCallback(lambda _: changes(self.running, loaded.config))


class ReloadingTests(SynchronousTestCase):
    """Tests for :class:`Reloading`."""

    def setUp(self) -> None:
        self.role = Role()
        self.error: Exception | None = None
        self.read = Assembly(LoadedClient(ClientConfig(), (), (), ()))
        self.logs: list[LogConfig] = []
        self.log_error: OSError | None = None
        self.clock = Clock()
        self.pipe: Deferred[None] = succeed(None)
        self.reads: list[bool | None] = []
        self.patch(blocking, "call_in_thread", self.call_in_thread)
        self.reloading = Reloading(self.clock, self.read_again, self.role, self.change_log)

    def call_in_thread(self, reactor: object, function: Any) -> Deferred[Any]:
        """What a thread does, which may have to wait for a pipe, also where nobody waits for it."""
        called: Deferred[Any] = Deferred()
        self.pipe.addCallback(lambda _: maybeDeferred(function).addBoth(called.callback))
        return called

    def read_again(self, strict: bool | None) -> Assembly:
        """Reads the file of a test."""
        self.reads.append(strict)
        if self.error is not None:
            raise self.error
        return self.read

    def change_log(self, config: LogConfig) -> None:
        """Notes it, or fails."""
        if self.log_error is not None:
            raise self.log_error
        self.logs.append(config)

    def said(self, reloaded_with: type[Exception] | None = None) -> list[str]:
        """Reloads; answers what is logged."""
        with capturedLogs() as logged:
            reloaded = self.reloading.reload()
            if reloaded_with is None:
                self.successResultOf(reloaded)
            else:
                self.failureResultOf(reloaded, reloaded_with)
        return [formatEvent(event) for event in logged if "log_failure" not in event]

    def test_well(self) -> None:
        """The role gets what the file says, the log too; what counts is told, and what waits."""
        warning = ConfigurationProblem(what="is odd", key="start")
        config = ClientConfig(log=LogConfig(level="warn"), server_port=7001, user="me")
        self.read = Assembly(LoadedClient(config, (), (), (warning,)))
        self.assertEqual(
            self.said(),
            [
                "start: is odd",
                "the configuration was read again: log.level from now on; serverPort in new sessions; "
                "user after a restart only",
                "the program has to be restarted before these count: user",
            ],
        )
        self.assertEqual((self.role.given, self.logs), ([self.read.loaded], [config.log]))

    def test_nothing_new(self) -> None:
        """A file that says the same is told as such."""
        self.assertEqual(
            self.said(),
            ["the configuration was read again: no key beside proxies and visitors is different"],
        )
        self.assertIn("no key", summary(changes(ClientConfig(), ClientConfig())))

    def test_wrong_file(self) -> None:
        """Every problem of the file is told, with its place, and nothing is changed."""
        problems = [
            ConfigurationProblem(what="is bad", key="start", file="frpc.toml", line=number)
            for number in (1, 2)
        ]
        self.error = ConfigurationProblems(problems)
        said = self.said(ConfigurationProblems)
        self.assertEqual(said[:2], ["frpc.toml:1: start: is bad", "frpc.toml:2: start: is bad"])
        self.assertIn("nothing has changed", said[2])
        self.assertEqual((self.role.given, self.logs), ([], []))

    def test_refused(self) -> None:
        """What the role cannot do is told as well, and the log is as it was."""
        self.role.answer = fail(LoginRefusedError(RefusalCode.OTHER, "the token is not the server's"))
        said = self.said(LoginRefusedError)
        self.assertEqual(said[0], "the token is not the server's")
        self.assertEqual(self.logs, [])

    def test_defect(self) -> None:
        """A defect is told with its traceback."""
        self.error = ValueError("oops")
        self.said(ValueError)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_log_file(self) -> None:
        """A log that cannot go where it should goes on where it went."""
        self.log_error = OSError(13, "Permission denied")
        self.assertEqual(
            self.said()[0],
            "the log cannot go where log.to says, and goes on where it went: Permission denied",
        )

    def test_one_after_the_other(self) -> None:
        """What is asked for meanwhile is done afterwards, with what the file says then."""
        waiting: Deferred[None] = Deferred()
        self.role.answer = waiting
        first = self.reloading.reload()
        self.reloading.reload_soon()
        self.read = evolve(self.read, loaded=LoadedClient(ClientConfig(user="me"), (), (), ()))
        self.assertNoResult(first)
        self.role.answer = succeed(None)
        waiting.callback(None)
        self.successResultOf(first)
        self.assertEqual([each.config.user for each in self.role.given], ["", "me"])

    def test_many(self) -> None:
        """However many ask meanwhile, the files are read once more for each kind, and all are told."""
        waiting: Deferred[None] = Deferred()
        self.role.answer = waiting
        asked = [self.reloading.reload(strict) for strict in (None, False, True) * 100]
        self.role.answer = succeed(None)
        waiting.callback(None)
        for each in asked:
            self.successResultOf(each)
        self.assertEqual(self.reads, [None, False, True, None])

    def test_pipe(self) -> None:
        """Files that cannot be read in time are told, and are not read twice at once."""
        self.pipe = Deferred()
        first, second = self.reloading.reload(), self.reloading.reload()
        self.clock.advance(READ_S)
        for each in (first, second):
            self.assertIn("within 30 seconds", str(self.failureResultOf(each, ConfigurationProblems).value))
        self.pipe.callback(None)
        self.assertEqual((self.reads, self.role.given), ([None], []))
        self.successResultOf(self.reloading.reload())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_soon(self) -> None:
        """Who waits for no answer is told of no failure either, for the log has it."""
        self.error = ConfigurationProblems([ConfigurationProblem(what="is bad")])
        self.reloading.reload_soon()
