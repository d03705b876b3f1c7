"""Questions to a plugin over HTTP: over kept connections, so many at a time, bounded in size and time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from relaykit.dataplane.dialing import dial
from relaykit.dataplane.http_client import BoundedEndpoint, WholeBody, failed_by, read_whole
from relaykit.dataplane.protocols import LegEndpoint
from relaykit.dataplane.tls import TlsContext, client_context, start_tls
from relaykit.errors import NoPluginAnswer, RelaykitError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IStreamLeg, ITurns
    from relaykit.sansio.http_plugins import Place

__all__ = ["ANSWER_TIMEOUT_S", "KEPT_S", "MOST_ANSWER_BYTES", "MOST_AT_ONCE", "Asking", "legs_to"]

ANSWER_TIMEOUT_S = 4.0
"""Seconds until the answer of a plugin over HTTP is whole, waiting for a turn included: less than all
policies together have, so that the reason names the plugin."""

MOST_ANSWER_BYTES = 256 * 1024
"""Bytes of its answer, the head included: what is asked about has 64 KiB at most, and an answer may say all
of that again, escaped."""

MOST_AT_ONCE = 32
"""Questions to one plugin at a time, each on a connection of its own; the others wait for their turns.  One
that answers in a millisecond decides about thousands of users a second all the same."""

KEPT_S = 1.5
"""Seconds that a connection to it is kept without a question: less than web servers keep one, so that hardly
ever one ends it while it is asked."""


class Asking:
    """Asks one plugin.

    :param connect: opens a leg to it, with TLS where it has that; see :func:`legs_to`.
    :param turns: of these legs.
    """

    def __init__(
        self, clock: IReactorTime, turns: ITurns, connect: Callable[[], Deferred[IStreamLeg]], place: Place
    ) -> None:
        self._clock: Any = clock
        self._place = place
        self._turns = DeferredSemaphore(MOST_AT_ONCE)
        pool = HTTPConnectionPool(clock)
        pool.maxPersistentPerHost = MOST_AT_ONCE
        pool.cachedConnectionTimeout = KEPT_S  # type: ignore[assignment]  # it is passed to callLater
        # What was asked twice may be counted twice.
        pool.retryAutomatically = False
        endpoint = BoundedEndpoint(LegEndpoint(turns, connect), MOST_ANSWER_BYTES)
        self._agent = Agent.usingEndpointFactory(clock, _Endpoints(endpoint), pool)

    def ask(self, operation: str, body: bytes) -> Deferred[tuple[int, bytes]]:
        """The status and the body of the answer.  Cancelling gives up the question.

        Fails with :class:`relaykit.errors.NoPluginAnswer`.
        """
        return Deferred.fromCoroutine(self._ask(operation, body))

    async def _ask(self, operation: str, body: bytes) -> tuple[int, bytes]:
        asking = Deferred.fromCoroutine(self._in_turn(operation, body))
        try:
            return await asking.addTimeout(ANSWER_TIMEOUT_S, self._clock, _too_late)
        except (CancelledError, NoPluginAnswer):
            raise
        except RelaykitError as error:
            raise NoPluginAnswer(f"it cannot be asked: {error}") from error
        except Exception as error:
            # Twisted's client fails in a dozen ways, whose texts are lists of failures.
            if failed_by(error, CancelledError):
                raise CancelledError from error
            if failed_by(error, ConnectionAborted):
                raise NoPluginAnswer(f"its answer is longer than {MOST_ANSWER_BYTES} bytes") from error
            raise NoPluginAnswer("its answer is cut short, or not what HTTP allows") from error

    async def _in_turn(self, operation: str, body: bytes) -> tuple[int, bytes]:
        await self._turns.acquire()
        try:
            response = await self._agent.request(
                b"POST", self._place.url(operation).encode("ascii"), self._headers(), WholeBody(body)
            )
            return int(response.code), await read_whole(response)
        finally:
            self._turns.release()

    def _headers(self) -> Headers:
        headers = Headers(
            {
                "content-type": ["application/json"],
                "user-agent": ["relaykit"],
                "x-frp-reqid": [secrets.token_hex(8)],
            }
        )
        if self._place.authorization:
            headers.setRawHeaders("authorization", [self._place.authorization])
        return headers


def _too_late(result: Any, seconds: float) -> NoReturn:
    raise NoPluginAnswer(f"it did not answer within {seconds:g} seconds")


@implementer(IAgentEndpointFactory)
@frozen
class _Endpoints:
    """The one endpoint, whatever the URL."""

    _endpoint: IStreamClientEndpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self._endpoint


def legs_to(poller: Poller, place: Place, *, verifies: bool) -> Callable[[], Deferred[IStreamLeg]]:
    """What opens legs to a plugin.  They fail with :class:`relaykit.errors.RelaykitError`.

    :param verifies: whether its certificate must be from an authority that this system trusts.
    """

    @cache
    def context() -> TlsContext:
        return client_context(server_name=place.host, system_authorities=verifies)

    async def connect() -> IStreamLeg:
        leg = await dial(poller, place.host, place.port, ANSWER_TIMEOUT_S)
        if not place.is_secure:
            return leg
        secured: IStreamLeg = await start_tls(
            poller, leg, context(), server_side=False, timeout_s=ANSWER_TIMEOUT_S
        )
        return secured

    return lambda: Deferred.fromCoroutine(connect())
