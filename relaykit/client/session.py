"""One session of the client: the time from a connection to the server until its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.driver import CoreDriver
from relaykit.errors import LoginRefused, RefusalCode, SessionLost
from relaykit.interfaces import IMeasuredPath
from relaykit.sansio.control import events
from relaykit.sansio.control.client_session import ClientSession
from relaykit.sansio.control.greeting import HALF_CLOSE, SIGNAL
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IStreamLeg, IStreamPath
    from relaykit.sansio.wire.framing import Framing

__all__ = ["ServerSession"]


class ServerSession:
    """A login on one control connection and what follows.

    ``happened(event)`` gets the events that are the client's business.  Owns the path.
    """

    log = Logger()

    def __init__(
        self,
        core: ClientSession,
        path: IStreamPath,
        leg: IStreamLeg,
        clock: IReactorTime,
        happened: Callable[[events.SessionEvent], None],
    ) -> None:
        self.path = path
        self.run_id = ""
        self._core = core
        self._happened = happened
        self._driver: CoreDriver[events.SessionEvent] = CoreDriver(core, leg, clock, self._told)
        self._login: Deferred[str] | None = Deferred()
        self._ended: tuple[Ended, str] | None = None

    @property
    def framing(self) -> Framing:
        """The version of the wire; work connections and visits use the same."""
        return self._core.framing

    @property
    def peer_answered(self) -> bool:
        """Whether the server has sent anything at all."""
        return self._core.peer_answered

    @property
    def half_close(self) -> bool:
        """Whether the server passes half-close through."""
        return HALF_CLOSE in self._core.extensions

    @property
    def takes_signals(self) -> bool:
        """Whether the server takes signals."""
        return SIGNAL in self._core.extensions

    @property
    def round_trip_s(self) -> float | None:
        """The round trip to the server that was measured last, in seconds; None if there is none."""
        return self.path.round_trip_s if IMeasuredPath.providedBy(self.path) else None

    def measure_round_trip(self) -> None:
        """Asks for a new measurement, where the path can."""
        if IMeasuredPath.providedBy(self.path):
            self.path.measure_round_trip()

    async def log_in(self) -> str:
        """Logs in and answers the run id.

        :raises LoginRefused: the server said no.
        :raises SessionLost: the connection ended before the answer.
        """
        login = self._login
        assert login is not None
        self._driver.when_lost().addCallback(self._lost)
        self._driver.start()
        self.run_id = await login
        return self.run_id

    async def over(self) -> tuple[Ended, str]:
        """Waits for the end of the session; answers why, and a text for the log.  Closes the path."""
        why = await self._driver.when_lost()
        self.path.close()
        return self._ended or (why, "")

    def close(self, why: Ended) -> None:
        """Ends the session."""
        self._core.close(why)
        self._driver.step()
        self._driver.close(why)

    def probe(self) -> None:
        """Asks the server for a sign of life, because it may be out of reach; without it the session ends."""
        self._core.probe(self._driver.now)
        self._driver.step()

    def register(self, name: str, type_name: str, fields: Mapping[str, Any]) -> None:
        """Asks the server to expose a proxy."""
        self._core.register(name, type_name, fields)
        self._driver.step()

    def withdraw(self, name: str) -> None:
        """Takes a proxy back."""
        self._core.withdraw(name)
        self._driver.step()

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to the server half of a proxy type."""
        self._core.signal(proxy_name, visitor_name, body)
        self._driver.step()

    def _told(self, event: events.SessionEvent) -> None:
        login = self._login
        if isinstance(event, events.LoggedIn):
            self._login = None
            if login is not None:
                login.callback(event.run_id)
        elif isinstance(event, events.LoginRefused):
            self._login = None
            if login is not None:
                login.errback(LoginRefused(RefusalCode.OTHER, event.text))
        elif isinstance(event, events.SessionEnded):
            self._ended = self._ended or (event.why, event.text)
            self._driver.close(event.why)
        else:
            self._happened(event)

    def _lost(self, why: Ended) -> None:
        login, self._login = self._login, None
        if login is not None:
            text = self._ended[1] if self._ended else ""
            login.errback(SessionLost(text or f"the connection ended during the login: {why.value}"))
