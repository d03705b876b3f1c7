"""The proxy type ``tcpmux``: services behind one port that users reach by HTTP CONNECT, as through a proxy.

The server reads the request for a tunnel, and what follows is the service's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import IGroupableProxyType
from relaykit.options import Effect, ListeningPort, Problem, choice, doc, effect, file_key, wire
from relaykit.proxies.domains import FirstBytesIngress, HttpUserOptions, SubDomainKeys
from relaykit.proxies.tcp import LocalServiceBackend
from relaykit.sansio.hostnames import host_key
from relaykit.sansio.parsers.connect_head import CONNECT_OPENING, ConnectHeadParser
from relaykit.sansio.parsers.recognizing import Opening
from relaykit.sansio.routes import Route

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IServerHost, IStreamLeg
    from relaykit.sansio.parsers.connect_head import ConnectHead
    from relaykit.values import Origin

__all__ = ["TcpmuxIngress", "TcpmuxKeys", "TcpmuxOptions", "proxy_type"]

MULTIPLEXER = "httpconnect"
"""The only way to share the port that there is."""

_PAGE = b"<!DOCTYPE html>\n<title>Not Found</title>\n<h1>Not Found</h1>\n<p>There is no such host here.</p>\n"

CONNECTED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
"""The tunnel begins; in frp's bytes."""

NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    % len(_PAGE)
    + _PAGE
)
"""Nobody has this host."""

UNAUTHORIZED = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="Restricted"\r\nContent-Length: 0\r\n\r\n'
)
"""The user has to name itself.  Source: RFC 9110 section 11.7.1; the realm is frp's."""

_UNREAD = "proxies of type tcpmux pass on what follows CONNECT unread: the server sees no HTTP in it"


class TcpmuxOptions(HttpUserOptions, frozen=True, kw_only=True):
    """The own keys of a ``tcpmux`` proxy."""

    shown: ClassVar[Mapping[str, bool]] = {
        **HttpUserOptions.shown,
        "multiplexer": True,
        "routeByHTTPUser": True,
    }

    without_effect: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("locations", "hostHeaderRewrite", "requestHeaders", "responseHeaders"), _UNREAD
    )

    multiplexer: Annotated[
        str, wire("multiplexer"), choice(MULTIPLEXER), doc("httpconnect, which must be given.")
    ] = ""

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.multiplexer != MULTIPLEXER:
            what = f'"{self.multiplexer}" is not' if self.multiplexer else "must be given, and be"
            yield Problem("multiplexer", f"{what} one of {MULTIPLEXER}")


class TcpmuxKeys(SubDomainKeys, frozen=True, kw_only=True):
    """The server's keys of ``tcpmux``."""

    http_connect_port: Annotated[
        ListeningPort,
        effect(Effect.AT_ONCE),
        file_key("tcpmuxHTTPConnectPort"),
        doc("Port that the proxies of type tcpmux share, which may be bindPort; 0: off."),
    ] = 0
    passthrough: Annotated[
        bool,
        file_key("tcpmuxPassthrough"),
        doc("Lets the service answer to CONNECT: it gets the request, and users no answer of the server's."),
    ] = False


class TcpmuxIngress(FirstBytesIngress):
    """Routes users by the target of their CONNECT, and by the user that they name there."""

    port_key = "tcpmuxHTTPConnectPort"
    recognizer = Opening(CONNECT_OPENING)
    off_text = (
        "tcpmux with multiplexer httpconnect not supported because this feature is not enabled in server"
    )
    parser = ConnectHeadParser()

    def __init__(self, options: TcpmuxKeys, host: IServerHost) -> None:
        super().__init__(options, host)
        self.passes_first_bytes = options.passthrough

    def port_of(self, options: TcpmuxKeys) -> int:
        return options.http_connect_port

    def routes_of(self, domain: str, options: TcpmuxOptions) -> Iterator[Route]:
        yield Route(domain, user=options.route_by_http_user)

    def route(self, said: ConnectHead, leg: IStreamLeg, origin: Origin) -> None:
        user = said.credentials.user.decode("utf-8", "surrogateescape")
        proxy = self.routes.find(host_key(said.host), user=user)
        if proxy is None:
            self.log.debug("{origin} wants {host!r}, which nobody has", origin=origin, host=said.host)
            self._refuse(leg, NOT_FOUND)
            return
        expected = proxy.options.credentials
        if expected is not None and not said.credentials.match(expected):
            self.log.debug("[{proxy}] {origin} has other credentials", proxy=proxy.name, origin=origin)
            self._refuse(leg, UNAUTHORIZED)
            return
        if not self.passes_first_bytes:
            leg.write(CONNECTED)
        proxy.serve(leg, origin)

    def _refuse(self, leg: IStreamLeg, answer: bytes) -> None:
        leg.write(answer)
        leg.close()


@implementer(IGroupableProxyType)
@frozen
class _TcpmuxType:
    name = "tcpmux"
    summary = "a service at a port that many share, for users who ask for it by HTTP CONNECT"
    proxy_options = TcpmuxOptions
    ingress_options = TcpmuxKeys

    def group_terms(self, options: TcpmuxOptions) -> Mapping[str, object]:
        alike: tuple[Any, ...] = (
            *(frozenset(options.custom_domains), options.subdomain, options.route_by_http_user),
            *(options.http_user, options.http_password),
        )
        return {"group params invalid": alike}

    def make_ingress(self, options: TcpmuxKeys, host: IServerHost) -> TcpmuxIngress:
        return TcpmuxIngress(options, host)

    def make_backend(self, options: TcpmuxOptions, host: IClientHost) -> LocalServiceBackend:
        return LocalServiceBackend(host)


proxy_type = _TcpmuxType()
