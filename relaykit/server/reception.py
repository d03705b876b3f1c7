"""Logical connections: reads the first message of each and hands it to who it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import ILegReceiver
from relaykit.sansio.control.server_opening import FirstMessage, ServerOpening
from relaykit.sansio.wire.extension_messages import ProvenLogin
from relaykit.sansio.wire.messages import Login, NewVisitorConn, NewWorkConn

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.server.acceptor import Link
    from relaykit.server.logins import Logins
    from relaykit.server.sessions import Sessions
    from relaykit.server.visits import Visits
    from relaykit.values import Ended, Origin

__all__ = ["Arrival", "Reception"]


@implementer(ILegReceiver)
class Arrival:
    """One logical connection, until its first message has been read.

    ``told(message)`` gets it; ``over()`` is called before that, or when there will be none.
    """

    __slots__ = ("_clock", "_leg", "_opening", "_over", "_timer", "_told")

    log = Logger()

    def __init__(
        self,
        leg: IStreamLeg,
        opening: ServerOpening,
        clock: IReactorTime,
        told: Callable[[FirstMessage], None],
        over: Callable[[], None],
    ) -> None:
        self._leg = leg
        self._opening = opening
        self._clock = clock
        self._told = told
        self._over = over
        due = opening.next_wakeup()
        assert due is not None
        self._timer = clock.callLater(due - clock.seconds(), self._too_late)
        leg.attach(self)

    def data_received(self, data: Buffer) -> None:
        try:
            self._opening.receive(data, self._clock.seconds())
        except RemoteProtocolError as error:
            self.log.warn(
                "{peer} broke the rules: {reason}",
                peer=self._leg.peer,
                reason=str(error),
                problem="broke-the-rules",
            )
            self._answer()
            self._finish()
            self._leg.close()
            return
        self._answer()
        for event in self._opening.events():
            self._finish()
            if isinstance(event, FirstMessage):
                self._leg.pauseProducing()
                self._leg.unread(self._opening.unread())
                self._told(event)

    def end_received(self) -> None:
        self._finish()
        self._leg.close()

    def leg_lost(self, reason: Ended) -> None:
        self._finish()

    def _answer(self) -> None:
        for piece in self._opening.to_send(self._clock.seconds()):
            self._leg.write(piece)

    def _too_late(self) -> None:
        self.log.debug("{peer} sent no first message in time", peer=self._leg.peer)
        self._leg.close()

    def _finish(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        self._over()


class Reception:
    """Receives logical connections: a login begins a session, the others belong to one.

    ``make_opening(now, link)`` makes the core that reads a connection's first message.
    """

    def __init__(
        self,
        make_opening: Callable[[float, Link], ServerOpening],
        logins: Logins,
        sessions: Sessions,
        visits: Visits,
        clock: IReactorTime,
    ) -> None:
        self._make_opening = make_opening
        self._logins = logins
        self._sessions = sessions
        self._visits = visits
        self._clock = clock

    def opened(self, leg: IStreamLeg, origin: Origin, link: Link) -> None:
        """Takes a logical connection of which nothing has been read."""
        Arrival(
            leg,
            self._make_opening(self._clock.seconds(), link),
            self._clock,
            lambda first: self._arrived(first, leg, origin, link),
            link.understood,
        )

    def _arrived(self, first: FirstMessage, leg: IStreamLeg, origin: Origin, link: Link) -> None:
        message = first.message
        if isinstance(message, Login | ProvenLogin):
            self._logins.asked(first, leg, origin, link)
            return
        if first.unsent:
            leg.write(first.unsent)
        if isinstance(message, NewWorkConn):
            self._sessions.work_opened(message, first.framing, leg, link)
        elif isinstance(message, NewVisitorConn):
            self._visits.asked(message, first.framing, leg, origin, link)
