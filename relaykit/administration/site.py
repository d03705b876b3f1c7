"""An API over HTTP/1.1, on twisted.web's parser: what is let in, how much of it, and for how long.

What a handler raises becomes an answer, and is logged; nothing of it gets to the role.
"""

from __future__ import annotations

import inspect
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from relaykit.administration.calls import Answer, CallFailed, text_answer
from relaykit.administration.guards import FailureDelays
from relaykit.administration.routes import BAD_REQUEST, Found
from relaykit.administration.streams import StreamWriter
from relaykit.escaping import told
from relaykit.sansio.fair_room import FairRoom
from relaykit.sansio.sources import source_of_host
from relaykit.timer import Timer
from relaykit.values import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport

    from relaykit.administration.calls import Call, Stream
    from relaykit.administration.guards import Guard
    from relaykit.administration.routes import Route, Routes
    from relaykit.sansio.sources import Source

__all__ = [
    "ANSWER_S",
    "MOST_BODIES_BYTES",
    "MOST_BODY_BYTES",
    "MOST_CONNECTIONS",
    "MOST_HEADERS",
    "MOST_HEAD_BYTES",
    "REQUEST_S",
    "AdministrationSite",
]

MOST_CONNECTIONS = 64
"""Connections to one API; a browser has six.  Where there are more, whoever has most loses the oldest one."""

MOST_HEADERS = 100
"""Headers of one request; browsers send some twenty."""

MOST_HEAD_BYTES = 16 * 1024
"""Bytes of the head of one request."""

MOST_BODY_BYTES = 4 * 1024 * 1024
"""Bytes of the body of one request: a configuration file with 10,000 proxies has 2 MB."""

MOST_BODIES_BYTES = 2 * MOST_BODY_BYTES
"""Bytes of all bodies that have come in part, of strangers as well: a password is looked at in its turn only,
once the request is there, so that nobody learns more of one by a large body."""

REQUEST_S = 60.0
"""Seconds from the beginning of a connection, or the end of an answer, until the next request is complete;
frp's figure."""

ANSWER_S = 60.0
"""Seconds from there until the answer is on its way, or after the last one until all is taken; likewise."""

_ASK = {"WWW-Authenticate": 'Basic realm="Restricted"'}


class AdministrationRequest(http.Request):
    """One request: its body is bounded, and kept in memory."""

    channel: AdministrationChannel | None  # type: ignore[assignment]
    content: BytesIO
    is_gone = False
    _is_refused = False

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        if length is not None and length > MOST_BODY_BYTES:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if self._is_refused or self.channel is None:
            return
        self.content.write(data)
        self.channel.body_bytes = size = self.content.tell()
        if size > MOST_BODY_BYTES or self.channel.site.is_full:
            self._refuse()

    def parseCookies(self) -> None:
        """There are none."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._is_refused or self.channel is None:
            return
        self.method, self.uri, self.clientproto = command, path, version
        Deferred.fromCoroutine(self.channel.site.serve(self))

    def connectionLost(self, reason: Failure) -> None:
        self.is_gone = True
        super().connectionLost(reason)

    def header(self, name: str) -> str:
        """The value of a header; empty if it is not there."""
        values = self.requestHeaders.getRawHeaders(name.encode(), ())
        return values[0].decode("latin-1") if values else ""

    def tell(self, answer: Answer) -> None:
        """Answers, to whoever is still there."""
        if self.is_gone:
            return
        self.setResponseCode(int(answer.status), http.RESPONSES.get(int(answer.status), b"-"))
        self.setHeader(b"Date", http.datetimeToString())
        if answer.type:
            self.setHeader(b"Content-Type", answer.type.encode())
        for name, value in answer.headers.items():
            self.setHeader(name.encode(), value.encode("utf-8", "surrogateescape"))
        if answer.stream is not None:
            self._follow(answer.stream, answer.sign)
            return
        self.setHeader(b"Content-Length", b"%d" % len(answer.body))
        self.write(answer.body)
        if self.channel is not None:
            self.channel.when_taken(self.finish)

    def _follow(self, stream: Stream, sign: bytes) -> None:
        """Sends what comes, until the reader is gone or too slow."""
        channel = self.channel
        assert channel is not None
        channel.stay()
        writer = StreamWriter(self.write, self.drop, sign, channel.site.clock)
        self.registerProducer(writer, True)
        writer.start()
        stop = stream(writer.take)

        def gone(_: object) -> None:
            stop()
            writer.stop()

        self.notifyFinish().addErrback(gone)

    def drop(self) -> None:
        """Lets its connection go without an answer."""
        if not self.is_gone and self.channel is not None:
            self.channel.drop()

    def _refuse(self) -> None:
        self._is_refused = True
        self.content = BytesIO()
        if self.channel is not None:
            self.channel.body_bytes = 0
        # Nobody is to go on with it.
        self.requestHeaders.removeHeader(b"Expect")
        if self.channel is not None:
            self.channel.refuse()


class AdministrationChannel(http.HTTPChannel):
    """One connection: it has a deadline for its next step, whichever that is."""

    maxHeaders = MOST_HEADERS
    totalHeadersSize = MOST_HEAD_BYTES
    requestFactory = AdministrationRequest
    factory: AdministrationSite
    transport: ITCPTransport

    def __init__(self, site: AdministrationSite, source: Source) -> None:
        super().__init__()
        self.site = site
        self.source = source
        self._timer = Timer(site.clock, self.drop)
        self.body_bytes = 0
        """Of the request that is under way."""
        self._is_full = False
        self._next: Callable[[], object] | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self._wait(REQUEST_S)
        self.site.opened(self)

    def allContentReceived(self) -> None:
        self._wait(ANSWER_S)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        self.body_bytes = 0
        self._wait(REQUEST_S if self.persistent else ANSWER_S)
        super().requestDone(request)

    def pauseProducing(self) -> None:
        self._is_full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._is_full = False
        super().resumeProducing()
        following, self._next = self._next, None
        if following is not None:
            following()

    def connectionLost(self, reason: Any = None) -> None:
        self._next = None
        self._timer.stop()
        self.site.closed(self)
        super().connectionLost(reason)

    def stay(self) -> None:
        """Has no deadline any more: who sends an answer without an end sees to it."""
        self._timer.set(None)

    def drop(self) -> None:
        """Ends it at once, with all that is on its way."""
        self.transport.abortConnection()

    def end(self) -> None:
        """Ends it once all that was answered is taken."""
        self._wait(ANSWER_S)
        self.loseConnection()

    def refuse(self) -> None:
        """Answers to a body that is too large, without reading it, and ends."""
        self.transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        self.end()

    def when_taken(self, following: Callable[[], object]) -> None:
        """Goes on once the peer has taken most of what was answered, so that no more than one answer waits.

        Twisted's channel answers all requests that it has read, whoever takes the answers.
        """
        if self._is_full:
            self._wait(ANSWER_S)
            self._next = following
        else:
            following()

    def _wait(self, seconds: float) -> None:
        self._timer.set(self.site.clock.seconds() + seconds)


class AdministrationSite(ServerFactory):
    """Serves the routes of a role to whom a guard lets in.

    :param guard: None where whoever can connect may do everything.
    """

    noisy = False
    _log = Logger()

    def __init__(self, routes: Routes, guard: Guard | None, clock: IReactorTime) -> None:
        self.clock = clock
        self.routes = routes
        self._guard = guard
        self._delays = FailureDelays()
        self._room: FairRoom[AdministrationChannel] = FairRoom(MOST_CONNECTIONS)
        self._channels: set[AdministrationChannel] = set()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        channel = AdministrationChannel(self, _source_of(addr))
        channel.factory = self
        return channel

    def log(self, request: http.Request) -> None:
        """Is told of each request that is over."""

    def opened(self, channel: AdministrationChannel) -> None:
        """A connection has come."""
        self._channels.add(channel)
        crowded_out = self._room.enter(channel, channel.source)
        if crowded_out is not None:
            crowded_out.drop()

    def closed(self, channel: AdministrationChannel) -> None:
        """A connection is gone."""
        self._channels.discard(channel)
        self._room.leave(channel)

    @property
    def is_full(self) -> bool:
        """Whether the bodies that have come have more bytes than all may have."""
        return sum(each.body_bytes for each in self._channels) > MOST_BODIES_BYTES

    def end(self) -> None:
        """Ends all connections, those that wait for an answer too."""
        for channel in list(self._channels):
            channel.end()

    async def serve(self, request: AdministrationRequest) -> None:
        """Answers a request; nothing that goes wrong with it gets out of here."""
        try:
            answer = await self._answer(request)
            if answer is None:
                request.drop()
            else:
                request.tell(answer)
        except Exception:
            self._log.failure("a defect of the web server")
            request.drop()

    async def _answer(self, request: AdministrationRequest) -> Answer | None:
        """What is answered; None for nothing."""
        try:
            method, target = request.method.decode("ascii"), request.uri.decode("ascii")
        except UnicodeDecodeError:
            return BAD_REQUEST
        found = self.routes.find(method, target, request.content.getvalue())
        if not isinstance(found, Found):
            return found
        if self._guard is not None and not found.route.is_open:
            if (refused := self._refused(request, found.route, self._guard)) is not None:
                return refused
            if not await self._has_turn(request):
                return None
            if not self._guard.admits(request.header("Authorization")):
                return self._unknown(request)
        return await self._call(found.route, evolve(found.call, header=request.header))

    def _refused(self, request: AdministrationRequest, route: Route, guard: Guard) -> Answer | None:
        """Why a request is not looked at, whoever it is from."""
        host = request.header("Host")
        if not guard.is_called(host):
            return text_answer(
                HTTPStatus.FORBIDDEN,
                "without a password this server is asked for by its address or as localhost only; "
                "set webServer.password to use other names",
            )
        if not route.is_safe and guard.is_foreign(
            host, request.header("Origin"), request.header("Sec-Fetch-Site")
        ):
            return text_answer(HTTPStatus.FORBIDDEN, "pages of other servers may change nothing here")
        if route.is_private and not guard.asks:
            return text_answer(
                HTTPStatus.FORBIDDEN,
                "without a password everybody on this machine could do this, which is for the owner of its "
                "secrets; set webServer.password",
            )
        return None

    async def _has_turn(self, request: AdministrationRequest) -> bool:
        """Waits until a password may be looked at; whether it may be."""
        if not request.header("Authorization"):
            return True
        delay = self._delays.turn(_source_of(request.client), self.clock.seconds())
        if delay:
            await deferLater(self.clock, delay)
        return delay is not None

    def _unknown(self, request: AdministrationRequest) -> Answer:
        """Asks for the password; has who gave a wrong one wait with the next, and tells the log."""
        if request.header("Authorization"):
            host = getattr(request.client, "host", "")
            self._log.warn(
                "the web server was given a wrong user or password from {host}",
                host=told(host) or "an unknown address",
                stranger=host,
                ended=Ended.REFUSED.value,
                problem="web-password",
            )
            self._delays.failed(_source_of(request.client), self.clock.seconds())
        return text_answer(HTTPStatus.UNAUTHORIZED, "Unauthorized", _ASK)

    async def _call(self, route: Route, call: Call) -> Answer:
        try:
            result = route.handler(call)
            return await result if inspect.isawaitable(result) else result
        except CallFailed as error:
            return route.failed(error.status, str(error))
        except Exception:
            self._log.failure(
                "a defect in the answer to {method} {path}", method=route.method, path=route.path
            )
            return route.failed(HTTPStatus.INTERNAL_SERVER_ERROR, "a defect; the log has more of it")


def _source_of(address: IAddress | None) -> Source:
    return source_of_host(getattr(address, "host", ""))
