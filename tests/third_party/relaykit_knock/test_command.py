"""Tests for :mod:`relaykit_knock.command`, with processes that do what a test says."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock.command import ENDING_S, MOST_LINE_BYTES, MOST_LINES, CommandEndpoint


class Process:
    """A process, which notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def write(self, data: bytes) -> None:
        """Its standard input."""
        self.done.append(data)

    def signalProcess(self, name: str) -> None:
        """A signal."""
        self.done.append(name)

    def closeStdin(self) -> None:
        """The end of its input."""
        self.done.append("end of input")

    def closeStderr(self) -> None:
        """Nobody hears it any more."""
        self.done.append("end of errors")

    def loseConnection(self) -> None:
        """The end of all three."""
        self.done.append("end of all")


class Reactor(Clock):
    """Starts processes that do not exist."""

    refusal: OSError | None = None

    def __init__(self) -> None:
        super().__init__()
        self.process = Process()

    def spawnProcess(self, protocol: Any, program: str, arguments: Any, env: Any) -> None:
        """Starts one."""
        if self.refusal is not None:
            raise self.refusal
        self.started = (program, *arguments)
        self.running = protocol
        protocol.makeConnection(self.process)


class Recording(Protocol):
    """Notes what comes."""

    def __init__(self) -> None:
        self.came: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        self.came.append(data)

    def readConnectionLost(self) -> None:
        """The end of the peer's direction."""
        self.came.append("end")

    def writeConnectionLost(self) -> None:
        """The end of the other one."""
        self.came.append("end of input")

    def connectionLost(self, reason: Failure = error.ConnectionDone) -> None:  # type: ignore[assignment]  # as Twisted
        self.came.append(reason.type)


def ended(status: int | None, signal: int | None = None) -> Failure:
    """How a process ended."""
    return Failure(error.ProcessTerminated(status, signal) if status or signal else error.ProcessDone(0))


class CommandTests(SynchronousTestCase):
    """Tests for the endpoint."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.lines: list[str] = []
        self.command = CommandEndpoint(self.reactor, ["ssh", "host"], self.lines.append)

    def connect(self) -> Recording:
        """Starts the command."""
        protocol: Any = self.successResultOf(self.command.connect(Factory.forProtocol(Recording)))
        return protocol  # type: ignore[no-any-return]  # the factory made it

    def test_bytes(self) -> None:
        """Its input and its output are the connection, each of which ends by itself."""
        protocol = self.connect()
        transport: Any = protocol.transport
        self.assertEqual(self.reactor.started, ("ssh", "ssh", "host"))
        transport.write(b"hello")
        transport.loseWriteConnection()
        self.reactor.running.childDataReceived(1, b"world")
        self.reactor.running.childConnectionLost(0)
        self.reactor.running.childConnectionLost(1)
        self.reactor.running.processEnded(ended(0))
        self.assertEqual(self.reactor.process.done, [b"hello", "end of input"])
        self.assertEqual(protocol.came, [b"world", "end of input", "end", error.ConnectionDone])

    def test_lines(self) -> None:
        """What it says beside that is told in lines, which are bounded as their number is."""
        self.connect()
        feed = self.reactor.running.childDataReceived
        for piece in (
            b"Wel",
            b"come\n\nto ",
            b"here\xff\n",
            b"x" * 10 * MOST_LINE_BYTES,
            b"x\n",
            b"y\n" * 200,
        ):
            feed(2, piece)
        self.reactor.running.childConnectionLost(2)
        self.assertEqual(self.lines[:3], ["Welcome", "to here\ufffd", "x" * MOST_LINE_BYTES])
        self.assertEqual(len(self.lines), MOST_LINES)

    def test_how_it_ended(self) -> None:
        """Its status is told, with the last line, whole or not; so is a signal."""
        for status, signal, how in (
            (255, None, "ended with status 255: no"),
            (None, 9, "was ended by signal 9: no"),
        ):
            self.setUp()
            protocol = self.connect()
            self.reactor.running.childDataReceived(2, b"yes\nno")
            self.reactor.running.childConnectionLost(2)
            self.reactor.running.processEnded(ended(status, signal))
            self.assertEqual(self.successResultOf(self.command.how_it_ended(1.0)), how)
            self.assertEqual(protocol.came, [error.ProcessTerminated])

    def test_does_not_end(self) -> None:
        """Whoever asks how it ended while it goes on is told so in time."""
        self.connect()
        asking = self.command.how_it_ended(1.0)
        self.reactor.advance(1.0)
        self.failureResultOf(asking)

    def test_ended_with_the_connection(self) -> None:
        """It gets the end of its input, and is killed if that does not end it in time."""
        transport: Any = self.connect().transport
        transport.loseConnection()
        self.assertEqual(self.reactor.process.done, ["end of all"])
        self.reactor.advance(ENDING_S)
        self.assertEqual(self.reactor.process.done, ["end of all", "KILL", "end of all"])
        self.reactor.running.processEnded(ended(None, 9))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_survived_by_a_child(self) -> None:
        """What its children say after its end is not waited for long."""
        self.connect()
        self.reactor.running.processExited(ended(0))
        self.reactor.advance(ENDING_S)
        self.assertEqual(self.reactor.process.done, ["end of errors"])

    def test_aborted(self) -> None:
        """It is killed at once, also where it has ended already."""
        transport: Any = self.connect().transport
        transport.abortConnection()
        self.assertEqual(self.reactor.process.done, ["KILL", "end of all"])

    def test_not_there(self) -> None:
        """A program that cannot be started is an error of connecting; arguments are not told."""
        self.reactor.refusal = FileNotFoundError(2, "No such file or directory")
        failure = self.failureResultOf(
            self.command.connect(Factory.forProtocol(Recording)), error.ConnectError
        )
        self.assertIn("No such file", str(failure.value))
        self.assertEqual(str(self.command), "the command ssh")
