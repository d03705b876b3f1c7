"""Listening ports that several share, told apart by the first bytes of a connection.

Who has a port of its own pays nothing for this: connections go to it unread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.listening import ANY_HOST, ListenFailed, PortInUse
from relaykit.descriptors import for_strangers
from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import ILegAcceptor, IListeningPort
from relaykit.sansio.parsers.recognizing import Rank, RecognizerTable
from relaykit.sansio.sources import source_of
from relaykit.timer import Waits
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Recognizer
    from relaykit.values import Origin

__all__ = ["SharedPorts", "Sharer"]

FIRST_BYTES_TIMEOUT_S = 10.0
"""Seconds until a connection must have said whose it is; frp's figure for its first bytes."""

MOST_UNCLAIMED = 1024
"""Connections of one port of which that is not known yet; whoever has most of them makes room for the next by
the one that has been silent for longest, so that who floods the port with silence keeps nobody out who
speaks."""


class Sharer(Protocol):
    """Who listens on a port and hands on what others recognize: the bind port."""

    def share(self, recognizer: Recognizer, acceptor: ILegAcceptor, rank: Rank) -> None:
        """Hands on what begins so, until :meth:`ignore`."""

    def ignore(self, recognizer: Recognizer) -> None:
        """Does no longer."""


@implementer(IListeningPort)
@define(eq=False)
class _Part:
    """What one party has of a port."""

    address: Address
    _leave: Callable[[], None]
    _open: bool = field(default=True, init=False)

    def close(self) -> None:
        """Takes no more."""
        if self._open:
            self._open = False
            self._leave()


@define(eq=False)
class _Rest:
    """Who takes what nobody recognizes; ``key`` is the configuration key that named the port."""

    acceptor: ILegAcceptor
    key: str


@implementer(ILegAcceptor)
class _SharedPort:
    """One listener and who shares it."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.port: IListeningPort
        self.rest: _Rest | None = None
        self.refused = 0
        """Connections that nobody took, up to now."""
        self._table: RecognizerTable[ILegAcceptor] = RecognizerTable()
        self._unclaimed = Waits(clock, FIRST_BYTES_TIMEOUT_S, for_strangers(MOST_UNCLAIMED))

    @property
    def empty(self) -> bool:
        """Whether nobody is left."""
        return self.rest is None and not self._table

    def share(self, recognizer: Recognizer, acceptor: ILegAcceptor, rank: Rank) -> None:
        """Hands on what begins so."""
        self._table.add(recognizer, acceptor, rank)

    def ignore(self, recognizer: Recognizer) -> None:
        """Does no longer."""
        self._table.remove(recognizer)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        if not self._table and self.rest is not None:
            self.rest.acceptor.leg_accepted(leg, origin)
            return
        self._ask(leg, origin)

    def close(self) -> None:
        """Closes the port, and what was not understood yet."""
        self.port.close()
        self._unclaimed.cancel_all()

    def _ask(self, leg: IStreamLeg, origin: Origin) -> None:
        def take(acceptor: ILegAcceptor | None) -> None:
            if acceptor is None and self.rest is not None:
                acceptor = self.rest.acceptor
            if acceptor is None:
                self._refuse(leg, "nobody here takes what it begins with")
            else:
                acceptor.leg_accepted(leg, origin)

        asked: Deferred[ILegAcceptor | None] = self._unclaimed.add(leg.peek(self._table), source_of(origin))
        asked.addCallbacks(take, self._not_taken, errbackArgs=(leg,))
        asked.addErrback(self._defect, leg)

    def _not_taken(self, failure: Failure, leg: IStreamLeg) -> None:
        if failure.check(CancelledError):
            why = (
                f"it did not say within {FIRST_BYTES_TIMEOUT_S:g} seconds what it is, "
                "others had to have room, or the port was closed"
            )
        else:
            failure.trap(ConnectionFailed, RemoteProtocolError)
            why = failure.getErrorMessage()
        self._refuse(leg, why)

    def _refuse(self, leg: IStreamLeg, why: str) -> None:
        self.refused += 1
        self.log.debug(
            "nobody takes the connection from {peer} to {address}: {reason}",
            peer=leg.peer,
            address=self.port.address,
            reason=why,
        )
        leg.close()

    def _defect(self, failure: Failure, leg: IStreamLeg) -> None:
        self.log.failure("a defect while taking {peer}; it is dropped", failure, peer=leg.peer)
        leg.abort()


class SharedPorts:
    """Opens each port once, whoever asks for a part of it.

    ``listen(host, port, acceptor)`` opens a TCP port and raises
    :class:`relaykit.dataplane.listening.ListenFailed`.
    """

    def __init__(
        self, listen: Callable[[str, int, ILegAcceptor], IListeningPort], clock: IReactorTime
    ) -> None:
        self._listen = listen
        self._clock = clock
        self._open: dict[tuple[str, int], _SharedPort] = {}
        self._adopted: dict[tuple[str, int], tuple[Address, Sharer]] = {}

    def adopt(self, host: str, port: IListeningPort, sharer: Sharer) -> None:
        """Lets others share a port that somebody else has opened on this host, and who takes the rest."""
        self._adopted[_where(host, port.address.port)] = (port.address, sharer)

    def claim(
        self,
        host: str,
        port: int,
        acceptor: ILegAcceptor,
        key: str,
        recognizer: Recognizer | None = None,
        takes_rest: bool = False,
        rank: Rank = Rank.SHARED,
    ) -> IListeningPort:
        """A part of a port, until that is closed: the connections that this recognizes, and nobody before it.

        Without a recognizer it takes those that nobody recognizes: all of them, where it is alone.  With one
        and ``takes_rest`` it does so where nobody has those, and else takes what it recognizes.

        :param key: the configuration key that names the port, for messages.
        :param rank: who is asked before whom.
        :raises ListenFailed: the port cannot be opened, or somebody takes the rest already; the text names
            key, address and port.
        """
        where = _where(host, port)
        if port and where in self._adopted:
            address, sharer = self._adopted[where]
            if recognizer is None:
                raise PortInUse(f"{key}: cannot listen on {address}: it is the port that clients dial")
            recognized = recognizer
            sharer.share(recognized, acceptor, rank)
            return _Part(address, lambda: sharer.ignore(recognized))
        shared = self._open.get(where) if port else None
        if takes_rest and (shared is None or shared.rest is None):
            recognizer = None
        if shared is None:
            shared = self._open_port(host, port, key)
        elif recognizer is None and shared.rest is not None:
            raise PortInUse(f"{key}: cannot listen on {shared.port.address}: {shared.rest.key} is the same")
        if recognizer is None:
            shared.rest = _Rest(acceptor, key)
        else:
            shared.share(recognizer, acceptor, rank)
        return _Part(shared.port.address, lambda: self._leave(shared, recognizer))

    def _open_port(self, host: str, port: int, key: str) -> _SharedPort:
        shared = _SharedPort(self._clock)
        try:
            shared.port = self._listen(host, port, shared)
        except ListenFailed as error:
            raise type(error)(f"{key}: {error}", error.why, error.problem) from error
        self._open[_where(host, shared.port.address.port)] = shared
        return shared

    def _leave(self, shared: _SharedPort, recognizer: Recognizer | None) -> None:
        if recognizer is None:
            shared.rest = None
        else:
            shared.ignore(recognizer)
        if shared.empty:
            self._open = {where: each for where, each in self._open.items() if each is not shared}
            shared.close()


def _where(host: str, port: int) -> tuple[str, int]:
    return "" if host in ANY_HOST else host, port
