"""Logical connections: reads the first message of each and hands it to who it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relaykit.driver import LegDriver
from relaykit.interfaces import IMuxedLeg
from relaykit.sansio.control.server_opening import FirstMessage, OpeningEvent, ServerOpening
from relaykit.sansio.wire.extension_messages import ProvenLogin
from relaykit.sansio.wire.messages import Login, NewVisitorConn, NewWorkConn
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IStreamLeg
    from relaykit.server.acceptor import Link
    from relaykit.server.logins import Logins
    from relaykit.server.sessions import Sessions
    from relaykit.server.visits import Visits
    from relaykit.values import Origin

__all__ = ["FirstMessageReader", "FirstMessages"]


class FirstMessageReader(LegDriver[OpeningEvent]):
    """Drives one logical connection until its first message has been read.

    ``on_message(message)`` gets it, if there is one.
    """

    def __init__(
        self,
        opening: ServerOpening,
        leg: IStreamLeg,
        clock: IReactorTime,
        on_message: Callable[[FirstMessage], None],
    ) -> None:
        super().__init__(opening, leg, clock, self._on_opened)
        self._opening = opening
        self._on_message = on_message

    def start(self) -> None:
        # Nothing bounds what is unconfirmed: the connection may become that of a user, who takes their time.
        self.step()
        self._leg.attach(self)

    def _on_opened(self, event: OpeningEvent) -> None:
        self.stop()
        if isinstance(event, FirstMessage):
            self._leg.pauseProducing()
            self._leg.unread(self._opening.unread())
            self._on_message(event)
        elif event.why is Ended.TIMEOUT:
            self.log.debug("{peer} sent no first message in time", peer=self._leg.peer)
            self._leg.abort()
        else:
            self._leg.close()


class FirstMessages:
    """Takes logical connections: a login begins a session, the others belong to one.

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

    def on_opened(self, leg: IStreamLeg, origin: Origin, link: Link) -> None:
        """Takes a logical connection of which nothing has been read."""
        FirstMessageReader(
            self._make_opening(self._clock.seconds(), link),
            leg,
            self._clock,
            lambda first: self._on_message(first, leg, origin, link),
        ).start()

    def _on_message(self, first: FirstMessage, leg: IStreamLeg, origin: Origin, link: Link) -> None:
        message = first.message
        if IMuxedLeg.providedBy(leg):
            leg.accept()
        if isinstance(message, Login | ProvenLogin):
            self._logins.asked(first, leg, origin, link)
            return
        if first.unsent:
            leg.write(first.unsent)
        if isinstance(message, NewWorkConn):
            self._sessions.work_opened(message, first.framing, leg, link)
        elif isinstance(message, NewVisitorConn):
            self._visits.asked(message, first.framing, leg, origin, link)
