"""A command's standard input and output as a connection, by an endpoint of Twisted's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, execute
from twisted.internet.error import ConnectError, ConnectionDone, ProcessExitedAlready
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory

__all__ = ["CommandEndpoint"]

MOST_LINE_BYTES: Final = 512
"""Of a line of standard error that are told: the rest of it is dropped."""

MOST_LINES: Final = 100
"""Lines of standard error that are told of one command: who says more is heard by nobody."""

ENDING_S: Final = 5.0
"""Seconds from the end of the connection, in which the command may send what it has, until it is killed; and
from the end of the command until its standard error is closed, which a child of its own may keep open."""


class _Lines:
    """Cuts what comes into lines, so many and so long."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._left = MOST_LINES
        self._rest = b""
        self.last = ""

    def feed(self, data: bytes) -> None:
        """Tells the lines that are complete."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:MOST_LINE_BYTES]
        for line in lines:
            self._tell(line)

    def end(self) -> None:
        """Tells what is left, which has no end of its line."""
        rest, self._rest = self._rest, b""
        self._tell(rest)

    def _tell(self, line: bytes) -> None:
        text = line[:MOST_LINE_BYTES].decode("utf-8", "replace").strip()
        if text:
            self.last = text
            if self._left:
                self._left -= 1
                self._on_line(text)


@implementer(IAddress)
class _Nowhere:
    """The address of either end of a pipe."""


@implementer(ITransport)
class _Running(ProcessProtocol):
    """A command that runs: the transport of one protocol, whose end is that of the command.

    ``ended`` fires with how it ended, once that is known.
    """

    transport: Any

    def __init__(self, reactor: Any, protocol: Any, on_line: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._protocol = protocol
        self._lines = _Lines(on_line)
        self._deadline: IDelayedCall | None = None
        self.ended: Deferred[str] = Deferred()

    # --- the protocol's transport ---------------------------------------------------------------

    def getPeer(self) -> _Nowhere:
        return _Nowhere()

    getHost = getPeer

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.transport.writeSequence(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def loseWriteConnection(self) -> None:
        """Ends its standard input; what it says is still read."""
        self.transport.closeStdin()

    def abortConnection(self) -> None:
        """Kills it."""
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")
        self.transport.loseConnection()

    def loseConnection(self) -> None:
        """Ends its input and output, by which it ends itself, or else is killed."""
        self.transport.loseConnection()
        self._wait(self.abortConnection)

    stopProducing = loseConnection

    # --- what becomes of it ---------------------------------------------------------------------

    def connectionMade(self) -> None:
        self._protocol.makeConnection(self)

    def outReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def errReceived(self, data: bytes) -> None:
        self._lines.feed(data)

    def outConnectionLost(self) -> None:
        self._protocol.readConnectionLost()

    def inConnectionLost(self) -> None:
        self._protocol.writeConnectionLost()

    def errConnectionLost(self) -> None:
        self._lines.end()

    def processExited(self, reason: Failure) -> None:
        self._wait(self.transport.closeStderr)

    def processEnded(self, reason: Failure) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        status: Any = reason.value
        how = (
            f"was ended by signal {status.signal}"
            if status.signal
            else f"ended with status {status.exitCode}"
        )
        self.ended.callback(f"{how}: {self._lines.last}" if self._lines.last else how)
        in_order = not status.signal and not status.exitCode
        self._protocol.connectionLost(Failure(ConnectionDone()) if in_order else reason)

    def _wait(self, call: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

        def late() -> None:
            self._deadline = None
            call()

        self._deadline = self._reactor.callLater(ENDING_S, late)


@implementer(IStreamClientEndpoint)
class CommandEndpoint:
    """Runs a command, whose input and output are the connection; what it says on standard error is told.

    It is for one connection.
    """

    def __init__(self, reactor: Any, words: Sequence[str], on_line: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._words = words
        self._on_line = on_line
        self._running: _Running | None = None

    def __str__(self) -> str:
        # Arguments are nobody else's business.
        return f"the command {self._words[0]}"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return execute(self._connect, protocolFactory)

    def how_it_ended(self, within_s: float) -> Deferred[str]:
        """What became of it, as soon as that is known; fails if it takes too long."""
        assert self._running is not None
        return self._running.ended.addTimeout(within_s, self._reactor)

    def _connect(self, factory: IProtocolFactory) -> Any:
        protocol: Any = factory.buildProtocol(_Nowhere())
        running = self._running = _Running(self._reactor, protocol, self._on_line)
        try:
            self._reactor.spawnProcess(running, self._words[0], self._words, env=None)
        except OSError as error:
            raise ConnectError(string=f"{error.strerror}") from error
        return protocol
