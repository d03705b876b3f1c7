"""Requests to a provider: over TLS, through a proxy where one is named, bounded in size and time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from relaykit.dataplane.dialing import dial
from relaykit.dataplane.forward_proxies import dial_through
from relaykit.dataplane.http_client import BoundedEndpoint, WholeBody, failed_by, read_whole
from relaykit.dataplane.poller import ReactorPoller
from relaykit.dataplane.protocols import LegEndpoint
from relaykit.dataplane.tls import TlsContext, client_context, start_tls
from relaykit.errors import CredentialError, RelaykitError
from relaykit.sansio.forward_proxies.environment import proxy_of_environment
from relaykit.sansio.forward_proxies.urls import ForwardProxy, Scheme, parse_proxy_url
from relaykit.values import NO_SECRET, Address, Secret

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg

__all__ = ["ANSWER_TIMEOUT_S", "MOST_ANSWER_BYTES", "Asking", "ProviderPath"]

ANSWER_TIMEOUT_S = 3.5
"""Seconds until an answer is whole: two of them fit into the time that a proof may take."""

MOST_ANSWER_BYTES = 512 * 1024
"""Bytes of an answer, its head included: the largest documents and sets of keys have some 20 KiB."""

_PROXY_KEY = "auth.oidc.proxyURL"


@frozen(kw_only=True)
class ProviderPath:
    """How a provider is reached.

    :ivar authorities: path of a file (PEM) with those that its certificate may be from; empty for those of
        the system.
    :ivar insecure: whether nothing of its certificate is verified.
    :ivar proxy: URL of a proxy to it.
    :ivar environ: names a proxy where nothing of the above is given.
    """

    authorities: str = ""
    insecure: bool = False
    proxy: Secret = NO_SECRET
    environ: Mapping[str, str] = field(factory=dict, repr=False)

    def proxy_to(self, host: str, port: int) -> ForwardProxy | None:
        """The proxy to a host; None for none.

        :raises CredentialError: what is named is none.
        """
        named_by, url, usual = _PROXY_KEY, self.proxy, ""
        if not self.proxy:
            if self.authorities or self.insecure:
                return None
            found = proxy_of_environment(self.environ, host, port)
            if found is None:
                return None
            named_by, url, usual = f"the environment variable {found[0]}", found[1], Scheme.HTTP.value
        try:
            return parse_proxy_url(url.reveal(), named_by, usual)
        except ValueError as error:
            raise CredentialError(f"{named_by} names no proxy that can be used: it {error}") from error

    def context(self, host: str) -> TlsContext:
        """What TLS with a host needs; the file is read again each time, so that it may be replaced.

        :raises CredentialError: the file cannot be read.
        :raises TransportSecurityError: it does not hold certificates.
        """
        if self.insecure:
            return client_context(server_name=host)
        if not self.authorities:
            return client_context(server_name=host, system_authorities=True)
        try:
            pem = Path(self.authorities).read_bytes()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise CredentialError(
                f"auth.oidc.trustedCaFile: {self.authorities} cannot be read: {why}"
            ) from error
        return client_context(server_name=host, authorities=pem)


class Asking:
    """Asks a provider; every request has its own connection, which does not outlive it.

    :param reactor: dials.
    """

    def __init__(self, reactor: Any, path: ProviderPath) -> None:
        self._reactor = reactor
        self._path = path

    def get(self, url: str) -> Deferred[bytes]:
        """A document.  Fails with :class:`relaykit.errors.CredentialError`, which names the URL."""

        async def get() -> bytes:
            status, body = await self._ask(b"GET", url, Headers(), b"")
            if status != 200:
                raise CredentialError(f"{_place(url)} answers with status {status}")
            return body

        return Deferred.fromCoroutine(get())

    def post(self, url: str, form: bytes, authorization: str = "") -> Deferred[tuple[int, bytes]]:
        """The status and the body of the answer to a form.  Fails as :meth:`get`."""
        headers = Headers({"content-type": ["application/x-www-form-urlencoded"]})
        if authorization:
            headers.setRawHeaders("authorization", [authorization])
        return Deferred.fromCoroutine(self._ask(b"POST", url, headers, form))

    async def _ask(self, method: bytes, url: str, headers: Headers, body: bytes) -> tuple[int, bytes]:
        headers.setRawHeaders("accept", ["application/json"])
        headers.setRawHeaders("user-agent", ["relaykit"])
        exchange = Deferred.fromCoroutine(self._exchange(method, url, headers, body))
        try:
            return await exchange.addTimeout(ANSWER_TIMEOUT_S, self._reactor, partial(_too_late, url))
        except (CancelledError, CredentialError):
            raise
        except RelaykitError as error:
            raise CredentialError(f"{_place(url)} cannot be asked: {error}") from error
        except Exception as error:
            # Twisted's client fails in a dozen ways, whose texts are lists of failures.
            if failed_by(error, CancelledError):
                raise CancelledError from error
            is_too_large = failed_by(error, ConnectionAborted)
            why = "too large" if is_too_large else "cut short, or not what HTTP allows"
            raise CredentialError(f"the answer of {_place(url)} is {why}") from error

    async def _exchange(self, method: bytes, url: str, headers: Headers, body: bytes) -> tuple[int, bytes]:
        agent = Agent.usingEndpointFactory(self._reactor, _Endpoints(self._reactor, self._path))
        producer = WholeBody(body) if body else None
        response = await agent.request(method, url.encode("ascii"), headers, producer)
        return int(response.code), await read_whole(response)


def _too_late(url: str, result: Any, seconds: float) -> NoReturn:
    raise CredentialError(f"{_place(url)} did not answer within {seconds:g} seconds")


def _place(url: str) -> str:
    """A URL as it is told: what may be secret in it is left out."""
    uri = URI.fromBytes(url.encode("ascii", "replace"))
    host = uri.netloc.rpartition(b"@")[2]
    place: bytes = uri.scheme + b"://" + host + uri.path.partition(b"?")[0]
    return place.decode("ascii", "replace")


@implementer(IAgentEndpointFactory)
@frozen
class _Endpoints:
    """The ways to a provider."""

    _reactor: Any
    _path: ProviderPath

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        poller = ReactorPoller(self._reactor)
        legs = LegEndpoint(poller, lambda: Deferred.fromCoroutine(self._leg(poller, uri)))
        return BoundedEndpoint(legs, MOST_ANSWER_BYTES)

    async def _leg(self, poller: ReactorPoller, uri: URI) -> IStreamLeg:
        host = uri.host.decode("ascii").removeprefix("[").removesuffix("]")
        context = self._path.context(host) if uri.scheme == b"https" else None
        proxy = self._path.proxy_to(host, uri.port)
        if proxy is None:
            leg = await dial(poller, host, uri.port, ANSWER_TIMEOUT_S)
        else:
            leg = await dial_through(poller, proxy, Address(host, uri.port), ANSWER_TIMEOUT_S)
        if context is None:
            return leg
        secured: IStreamLeg = await start_tls(
            poller, leg, context, server_side=False, timeout_s=ANSWER_TIMEOUT_S
        )
        return secured
