"""Health checks over HTTP: whether a local service answers a request as one that is well."""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import (
    URI,
    Agent,
    RedirectAgent,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.error import InfiniteRedirection, RedirectWithNoLocation
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from relaykit.client.announcing import announce
from relaykit.errors import CheckFailedError
from relaykit.values import Address, Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IProtocolFactory
    from twisted.python.failure import Failure

    from relaykit.client.hosts import HostedClient
    from relaykit.interfaces import IStreamLeg
    from relaykit.options import ProxyCommon

__all__ = ["MOST_ANSWER_BYTES", "MOST_REDIRECTS", "HttpCheck"]

MOST_ANSWER_BYTES = 1024 * 1024
"""Bytes of an answer that are read, its head included: pages for checks are far smaller."""

MOST_REDIRECTS = 10
"""Redirects that are followed; frp's figure."""

_NAMELESS = "localhost"
"""What the service is called in a request where an endpoint string leads to it and no header names it."""


class HttpCheck:
    """Asks for a path, and wants an answer of the 2xx kind, whole.

    Redirects are followed as long as they lead to the service itself, under the name that it was asked by or
    its address: what others answer says nothing of it, and they need not know the configured headers.  A
    service that is told of its users by the PROXY protocol is told that this is none.
    """

    def __init__(self, client: HostedClient, common: ProxyCommon) -> None:
        self._client = client
        self._endpoint = common.local_endpoint
        self._announced_by = common.transport.proxy_protocol_version
        options = common.health_check
        given = {each.name.lower(): each.value for each in options.http_headers}
        address = _NAMELESS if common.local else str(Address(common.local_ip, common.local_port))
        name = given.pop("host", "").lower() or address
        self._headers = Headers({"user-agent": ["relaykit"]})
        for key, value in given.items():
            self._headers.setRawHeaders(key, [value])
        path = quote(options.path, safe=string.punctuation)
        self._uri = f"http://{name}/{path.removeprefix('/')}".encode()
        self._places = {_place(URI.fromBytes(f"http://{each}/".encode())) for each in (name, address)}

    async def __call__(self) -> None:
        service = _Service(self._endpoint_of)
        agent = Agent.usingEndpointFactory(self._client.clock, service)
        try:
            code = await _code_of(RedirectAgent(agent, MOST_REDIRECTS), self._uri, self._headers, service)
        except (ResponseFailed, RequestTransmissionFailed, ValueError) as error:
            service.abort()
            raise CheckFailedError(_why(error, service)) from error
        except BaseException:
            service.abort()
            raise
        service.close()
        if not 200 <= code < 300:
            raise CheckFailedError(f"it answers with status {code}")

    def _endpoint_of(self, uri: URI) -> IStreamClientEndpoint:
        if _place(uri) not in self._places:
            where = uri.toBytes().decode("ascii", "replace")
            raise CheckFailedError(f"it redirects to {where}, which is elsewhere")
        return self._client.data_plane.endpoint(self._connect)

    def _connect(self) -> Deferred[IStreamLeg]:
        tell = partial(announce, version=self._announced_by, origin=Origin())
        return self._client.dial(self._endpoint, announce=tell).addCallback(tell)


async def _code_of(agent: RedirectAgent, uri: bytes, headers: Headers, service: _Service) -> int:
    """The status of the last answer; its body was read if that is a good one."""
    response = await agent.request(b"GET", uri, headers)
    if 200 <= response.code < 300:
        body = _Body(service)
        response.deliverBody(body)
        await body.ended
    return int(response.code)


def _place(uri: URI) -> tuple[bytes, bytes, int]:
    return uri.scheme.lower(), uri.host.lower(), uri.port


def _why(error: Exception, service: _Service) -> str:
    if service.said_too_much:
        return f"the head of its answer is longer than {MOST_ANSWER_BYTES} bytes"
    reasons = [failure.value for failure in getattr(error, "reasons", ())]
    if any(isinstance(each, InfiniteRedirection) for each in reasons):
        return f"it redirects more than {MOST_REDIRECTS} times"
    if any(isinstance(each, RedirectWithNoLocation) for each in reasons):
        return "it redirects without saying where to"
    if any(isinstance(each, ConnectionClosed) for each in reasons):
        return "it ended the connection before its answer was whole"
    return "its answer is not what HTTP allows"


@implementer(IAgentEndpointFactory)
class _Service:
    """The connections of one check, none of which outlives it."""

    def __init__(self, endpoint: Callable[[URI], IStreamClientEndpoint]) -> None:
        self._endpoint = endpoint
        self._made: list[_Connections] = []
        self._received = 0

    @property
    def said_too_much(self) -> bool:
        """Whether more came than is read."""
        return self._received > MOST_ANSWER_BYTES

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return _CountedEndpoint(self, self._endpoint(uri))

    def connect(self, endpoint: IStreamClientEndpoint, factory: IProtocolFactory) -> Deferred[Any]:
        """One more of them."""
        connections = _Connections(factory, self)
        self._made.append(connections)
        connecting: Deferred[Any] = endpoint.connect(connections)
        return connecting.addCallback(_Connection.handed_over)

    def received(self, count: int) -> bool:
        """So many bytes came; whether they may be read."""
        self._received += count
        return not self.said_too_much

    def close(self) -> None:
        """Ends what is still there."""
        for connections in self._made:
            for each in list(connections.protocols):
                each.loseConnection()

    def abort(self) -> None:
        """Drops what is still there."""
        for connections in self._made:
            for each in list(connections.protocols):
                each.abortConnection()


@implementer(IStreamClientEndpoint)
@frozen
class _CountedEndpoint:
    """An endpoint whose connections are those of a check."""

    _service: _Service
    _endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._service.connect(self._endpoint, protocolFactory)


class _Connection(ProtocolWrapper):
    """Counts what a protocol receives, and ends what is too much."""

    factory: _Connections

    def __init__(self, factory: _Connections, wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self._spoken: IProtocol | None = wrapped

    def handed_over(self) -> IProtocol | None:
        """The protocol, also where the connection is lost already; asked for once."""
        spoken, self._spoken = self._spoken, None
        return spoken

    def dataReceived(self, data: bytes) -> None:
        if self.factory.service.received(len(data)):
            super().dataReceived(data)
        else:
            self.abortConnection()


class _Connections(WrappingFactory[_Connection]):
    """Makes such connections, and knows those that there are."""

    protocol = _Connection
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, service: _Service) -> None:
        super().__init__(wrapped)
        self.service = service


class _Body(Protocol):
    """Reads a body, and keeps nothing of it."""

    def __init__(self, service: _Service) -> None:
        self._service = service
        self.ended: Deferred[None] = Deferred()
        """Fires once there has been enough of it; fails if it is cut short."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # A body without a length ends with its connection: it may be whole, and nobody can tell.
        whole = reason.check(ResponseDone, PotentialDataLoss) or self._service.said_too_much
        if not self.ended.called:
            self.ended.callback(None) if whole else self.ended.errback(reason)
