"""The user of a service that says everything back: how long that takes, and whether it is the same."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from relaykit.commands.demo.namespaces import entered
from relaykit.errors import ConnectionFailed

__all__ = ["Times", "use_service"]

USE_S = 20.0
"""The longest that a user waits; on a machine that is not busy all is over in a tenth of a second."""


@frozen
class Times:
    """How long a user waited, in seconds."""

    first_byte_s: float
    """Until the first byte was back, a direct path and all included."""
    round_trip_s: float
    """Until the next one was."""
    all_s: float
    """Until all the rest was."""


async def use_service(reactor: Any, where: str, port: int, data: bytes) -> Times:
    """Connects to a port of the loopback in a namespace, and sends one byte, another one, and the rest.

    :param data: three bytes at least.
    :raises ConnectionFailed: not all of it came back.
    """
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    with entered(where):
        connecting = endpoint.connect(Factory.forProtocol(_Asking))
    try:
        asking: Any = await connecting
    except ConnectError as error:
        raise ConnectionFailed(f"nobody listens at the visitor's port: {error}", problem="demo") from error
    try:
        times = []
        for part in (data[:1], data[1:2], data[2:]):
            begun = reactor.seconds()
            await asking.ask(part).addTimeout(USE_S, reactor, _too_late)
            times.append(reactor.seconds() - begun)
        return Times(*times)
    finally:
        asking.transport.loseConnection()


class _Asking(Protocol):
    """Sends, and waits for the same."""

    _expected = b""
    _answered: Deferred[None] | None = None

    def ask(self, data: bytes) -> Deferred[None]:
        """Fires when all of it came back."""
        assert self.transport is not None
        self._expected, self._received = data, bytearray()
        answered = self._answered = Deferred()
        self.transport.write(data)
        return answered

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= len(self._expected) and self._answered is not None:
            answered, self._answered = self._answered, None
            if self._received == self._expected:
                answered.callback(None)
            else:
                answered.errback(ConnectionFailed("the service said something else back", problem="demo"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._answered is not None:
            self._answered.errback(ConnectionFailed("the user's connection was cut", problem="demo"))


def _too_late(result: object, seconds: float) -> None:
    raise ConnectionFailed(f"the service did not answer within {seconds:.0f} seconds", problem="demo")
