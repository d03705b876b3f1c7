from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config import tokens
from relaykit.config.problems import ConfigurationProblems
from relaykit.config.schema.auth import (
    ClientAuth,
    CommandVariable,
    ServerAuth,
    TokenCommand,
    TokenFile,
    TokenSource,
)
from relaykit.config.tokens import WEAK_BITS, resolve_token, strength_bits
from relaykit.values import Secret
from tests.config.tables import ConfigurationTestCase


def from_file(path: str) -> ClientAuth:
    """A token that is the content of a file."""
    return ClientAuth(token_source=TokenSource(type="file", file=TokenFile(path=path)))


def from_command(command: str, *args: str) -> ServerAuth:
    """A token that a command prints."""
    variable = CommandVariable(name="TOKEN", value=Secret("sesame"))
    return ServerAuth(
        token_source=TokenSource(type="exec", exec=TokenCommand(command=command, args=args, env=(variable,)))
    )


class ResolveTests(ConfigurationTestCase):
    """Tests for tokens from elsewhere."""

    def resolve(self, auth: ClientAuth | ServerAuth) -> str:
        """The token, in clear."""
        return resolve_token(auth, environ=dict(os.environ), cwd=self.directory).reveal()

    def problem(self, auth: ClientAuth | ServerAuth) -> str:
        """What is wrong."""
        return str(self.assertRaises(ConfigurationProblems, self.resolve, auth))

    def test_written(self) -> None:
        """Without a source, the token is the one that is written down."""
        self.assertEqual(self.resolve(ServerAuth(token=Secret("t"))), "t")

    def test_file(self) -> None:
        """A file's content is the token, without the white space around it; its path may be relative."""
        self.write("token", "\n sesame \n")
        self.assertEqual(self.resolve(from_file("token")), "sesame")

    def test_file_problems(self) -> None:
        """A file that cannot be read, or cannot be a token, is told with its key."""
        self.write("binary", b"\xff\xfe")
        self.write("large", "x" * (tokens.MOST_BYTES + 1))
        self.write("empty", "")
        self.write("blank", " \n\t")
        for path, words in (
            ("nope", "no such file or directory"),
            ("binary", "not text in UTF-8"),
            ("large", "more than 65536 bytes"),
            ("empty", "nothing where the token should be"),
            ("blank", "nothing where the token should be"),
        ):
            problem = self.problem(from_file(path))
            self.assertTrue(problem.startswith("auth.tokenSource: "), problem)
            self.assertIn(words, problem)

    def test_command(self) -> None:
        """A command's output is the token; its variables are added to the environment."""
        auth = from_command(sys.executable, "-c", "import os; print(os.environ['TOKEN'], os.getcwd() != '/')")
        self.assertEqual(self.resolve(auth), "sesame True")

    def test_command_problems(self) -> None:
        """A command that is not there, or fails, is told without what it printed."""
        self.assertIn("cannot be run: no such file", self.problem(from_command("/nonexistent/command")))
        failing = from_command(sys.executable, "-c", "print('sesame'); raise SystemExit(3)")
        problem = self.problem(failing)
        self.assertIn("ended with status 3", problem)
        self.assertNotIn("print", problem)

    def test_command_variables(self) -> None:
        """What a command is given in its environment may be a secret, and is not shown."""
        self.assertNotIn("sesame", repr(from_command("vault")))

    def test_command_timeout(self) -> None:
        """A command has bounded time, and cannot ask on the terminal."""
        given: dict[str, Any] = {}

        def hang(command: list[str], **options: Any) -> None:
            given.update(options)
            raise subprocess.TimeoutExpired(command, options["timeout"])

        self.patch(subprocess, "run", hang)
        self.assertIn("did not end within 30 s", self.problem(from_command("slow")))
        self.assertIs(given["stdin"], subprocess.DEVNULL)

    def test_other_method(self) -> None:
        """With OpenID Connect, the source of the token is not asked."""
        auth = ServerAuth(method="oidc", token_source=TokenSource(type="file", file=TokenFile(path="nope")))
        self.assertEqual(self.resolve(auth), "")

    def test_bound(self) -> None:
        """Where every login must be bound, a token that is empty is a problem."""
        self.assertIn("auth.bound", self.problem(ServerAuth(bound="require")))
        self.assertEqual(self.resolve(ServerAuth(token=Secret("t"), bound="require")), "t")


class StrengthTests(SynchronousTestCase):
    """Tests for what a token seems to be worth."""

    def test_strength(self) -> None:
        """Length and variety count; runs and repetitions do not."""
        for token, bits in (
            ("", 0),
            ("a", 4),
            ("aaaaaaaaaaaaaaaa", 4),
            ("12345678", 4),
            ("87654321", 4),
            ("sesame", 6 * 4.7),
            ("0f7e2c91a5b83d64", 64),
            ("Tr0ub4dor&3", 11 * 6.57),
        ):
            self.assertLessEqual(abs(strength_bits(Secret(token)) - bits), 1, token)

    def test_made_tokens(self) -> None:
        """Tokens that relaykit makes are strong."""
        self.assertGreater(strength_bits(Secret("8d5e957f297893487bd98fa830fa6413")), 2 * WEAK_BITS - 32)
