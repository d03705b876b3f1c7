"""Tests for :mod:`relaykit.commands.running`."""

from __future__ import annotations

from relaykit.commands.running import RunningProgram
from relaykit.control_sockets import socket_name
from relaykit.errors import RelaykitError
from tests.commands.programs import AskingTestCase, FakeProgram
from tests.commands.terminal import run_printed

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


class RunningProgramTests(AskingTestCase):
    """Tests for what a program is asked."""

    def running(self, **answers: object) -> RunningProgram:
        """A program with these answers, by path."""
        self.program("server", {f"GET /{path}": answer for path, answer in answers.items()})
        return RunningProgram(self.folder / socket_name("server", "c.toml"), "server")

    def test_asked(self) -> None:
        """An answer is an object; a refusal is told in the words of either API."""
        program = self.running(
            a={"x": 1}, b=(400, {"error": "not so"}), c=(400, {"Code": 400, "Msg": "nor so"}), d=(500, {})
        )
        self.assertEqual(program.ask("GET", "/a"), {"x": 1})
        for path, words in (("/b", "not so"), ("/c", "nor so"), ("/d", "it refuses")):
            error = self.assertRaises(RelaykitError, program.ask, "GET", path)
            self.assertEqual(str(error), words)

    def test_followed(self) -> None:
        """What comes on a stream is told until it ends; signs of life and kinds are passed over."""
        program = self.running(
            a=_STREAM + b':\n\nevent: line\nid: 1\ndata: {"n": 1}\n\n:\n\ndata: {"n": 2}\n\n'
        )
        self.assertEqual(list(program.follow("/a")), [{"n": 1}, {"n": 2}])

    def test_not_followed(self) -> None:
        """A stream that is refused, cut, or makes no sense is an error."""
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        program = self.running(
            a=(404, {"error": "no such stream"}),
            b=chunked + b"20\r\ndata: {}\n\n",
            c=_STREAM + b"data: nonsense\n\n",
        )
        for path, words in (("/a", "no such stream"), ("/b", "does not answer"), ("/c", "does not answer")):
            with self.subTest(path=path):
                error = self.assertRaises(RelaykitError, list, program.follow(path))
                self.assertIn(words, str(error))

    def test_gone(self) -> None:
        """A program that is not there does not answer."""
        program = RunningProgram(self.folder / "none", "server")
        error = self.assertRaises(RelaykitError, program.ask, "GET", "/a")
        self.assertIn("does not answer", str(error))
        self.assertRaises(RelaykitError, list, program.follow("/a"))

    def test_state_directory(self) -> None:
        """A program is found where its configuration file says; one that cannot be read says nothing."""
        kept = self.folder / "kept"
        config = self.folder / "s.toml"
        config.write_text(f"STATEDIR = '{kept}'\nbindPort = 1\n")
        program = FakeProgram(kept, socket_name("server", str(config)), {"": {"pid": 3}})
        self.addCleanup(program.stop)
        self.assertEqual(run_printed(["status", "--json", "-c", str(config)]).stdout, '{"pid": 3}\n')
        config.write_text("[[")
        self.assertIn("no server or client runs with", run_printed(["status", "-c", str(config)]).stderr)

    def test_json(self) -> None:
        """What is no JSON is no answer."""
        program = self.running(a=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
        self.assertIn("does not answer", str(self.assertRaises(RelaykitError, program.ask, "GET", "/a")))


class LoopbackTests(AskingTestCase):
    """Tests for programs on a system whose folders have no sockets."""

    def start(self, status: object) -> FakeProgram:
        """A program that runs until the end of the test."""
        program = FakeProgram(self.folder, "control-server-x.port", {"GET /control/status": status})
        self.addCleanup(program.stop)
        return program

    def test_asked(self) -> None:
        """Such a program is found by its file, and is told the token in it each time."""
        program = self.start({"pid": 3})
        self.assertEqual(self.ask("status", "--json").stdout, '{"pid": 3}\n')
        self.assertEqual(len(program.heads), 2)
        for head in program.heads:
            self.assertIn(b"\r\nAuthorization: Basic OnMzY3JldA==\r\n", head)

    def test_somebody_else(self) -> None:
        """A port that another program has by now, and a file that is none, are no program of ours."""
        self.start((401, {}))
        (self.folder / "control-client-y.port").write_text("nonsense")
        self.assertIn("no server or client runs with a control socket", self.ask("status").stderr)
