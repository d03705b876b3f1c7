"""What proxy types have in common whose users say by the name of a host which proxy they want.

Their proxies share one port of the server, and have routes there.  A type says how its users name the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from attrs import define, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.descriptors import for_strangers
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode, RemoteProtocolError
from relaykit.interfaces import IExposure, IIngress, ILegAcceptor, IReconfigurable, IReconfiguration
from relaykit.options import Domains, Effect, Host, Options, Problem, doc, effect, file_key, secret, wire
from relaykit.sansio.hostnames import domain_key
from relaykit.sansio.http.credentials import Credentials
from relaykit.sansio.routes import Route, RouteTable
from relaykit.sansio.sources import source_of
from relaykit.timer import Waits
from relaykit.values import NO_SECRET, Address, Secret

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.interfaces import IListeningPort, IRegisteredProxy, IServerHost, IStreamLeg
    from relaykit.sansio.contract import PrefixParser, Recognizer
    from relaykit.values import Origin

__all__ = [
    "DomainIngress",
    "DomainOptions",
    "FirstBytesIngress",
    "HttpUserOptions",
    "SubDomainKeys",
    "with_port",
]

MOST_SHOWN = 4096
"""Most characters of the addresses that a client is told; one of frp's reads answers of 10 KiB at most."""

FIRST_BYTES_S = 30.0
"""Seconds that a user has to say which host it wants; frp's figure."""

MOST_UNROUTED = 4096
"""Users of one port who have not said yet which host they want; where there are more, whoever has most of
them loses the one that has been silent for longest, so that who floods the port with silence keeps nobody
out."""

_PORTS_OF_THE_WEB = (80, 443)
"""Ports that nobody writes in an address."""


class DomainOptions(Options, frozen=True, kw_only=True):
    """The keys of proxies that are told apart by host names."""

    shown: ClassVar[Mapping[str, bool]] = {"customDomains": False, "subdomain": False}

    custom_domains: Annotated[
        Domains,
        wire("custom_domains"),
        doc("Host names that lead to the proxy; *.example.com stands for all below it, * for all."),
    ] = ()
    subdomain: Annotated[
        str, wire("subdomain"), doc("Name put before the server's subDomainHost, to make one more of them.")
    ] = ""

    def problems(self) -> Iterable[Problem]:
        if not self.custom_domains and not self.subdomain:
            yield Problem("customDomains", "customDomains or subdomain must be given")


class HttpUserOptions(DomainOptions, frozen=True, kw_only=True):
    """What is added where users name themselves, too, as in HTTP."""

    http_user: Annotated[str, wire("http_user"), doc("User name that users must give; empty for none.")] = ""
    http_password: Annotated[
        Secret,
        wire("http_pwd"),
        secret(needed_with="http_user", may_be_empty=True),
        doc("Password that they must give."),
    ] = NO_SECRET
    route_by_http_user: Annotated[
        str,
        wire("route_by_http_user"),
        doc("User name whose users lead to the proxy, of all that ask for the host; empty for the rest."),
    ] = msgspec.field(default="", name="routeByHTTPUser")

    @property
    def credentials(self) -> Credentials | None:
        """What users must give; None for nothing."""
        if not self.http_user and not self.http_password:
            return None
        return Credentials(self.http_user.encode("utf-8", "surrogateescape"), self.http_password.to_bytes())


class SubDomainKeys(Options, frozen=True, kw_only=True):
    """The server's key for proxies that are told apart by host names."""

    sub_domain_host: Annotated[
        Host,
        effect(Effect.AT_LOGIN),
        file_key("subDomainHost"),
        doc("Domain that the key subdomain of proxies is put before."),
    ] = ""


@implementer(IExposure)
@define(eq=False)
class _Routed:
    """One proxy, or a group of them: the routes that lead to it."""

    _table: RouteTable[IRegisteredProxy]
    _routes: tuple[Route, ...]
    address: str

    async def withdraw(self) -> None:
        routes, self._routes = self._routes, ()
        for route in routes:
            self._table.remove(route)


@implementer(IReconfiguration)
@frozen
class _Move:
    """Other options, and the port that goes with them."""

    _ingress: DomainIngress
    _options: Any
    _port: IListeningPort | None

    def commit(self) -> None:
        self._ingress.move(self._options, self._port)

    def abandon(self) -> None:
        if self._port is not None and self._port is not self._ingress.port:
            self._port.close()


@implementer(IIngress, IReconfigurable, ILegAcceptor)
class DomainIngress(Service):
    """The port that the proxies of a type share, and their routes; a subclass takes the users.

    Another port is opened before the former one is closed, whose users stay; clients hear of it when they
    register their proxies again.

    :cvar port_key: the configuration key that names the port.
    :cvar recognizer: what tells the users of this type from those of others who share the port.
    :cvar takes_rest: whether it takes what nobody recognizes, too, where nobody else does.
    :cvar off_text: what a client is told while the server has no such port.
    :ivar port: where users come in; None while there is none.
    """

    port_key: str
    recognizer: Recognizer
    takes_rest = False
    off_text: str

    log = Logger()

    def __init__(self, options: Any, host: IServerHost) -> None:
        self._options = options
        self._host = host
        self.port: IListeningPort | None = None
        self.routes: RouteTable[IRegisteredProxy] = RouteTable()

    def privilegedStartService(self) -> None:
        """Opens the port, or takes part in it.

        :raises ListenFailed: it cannot be opened; the server does not start then.
        """
        self.port = self._opened(self._options)

    def stopService(self) -> None:
        self.move(self._options, None)

    @property
    def is_open(self) -> bool:
        """Whether there is a port for users."""
        return self.port is not None

    def port_of(self, options: Any) -> int:
        """The port that the options name; 0 for none."""
        raise NotImplementedError

    def prepare(self, options: Any) -> IReconfiguration:
        is_same = self.port_of(options) == self.port_of(self._options)
        return _Move(self, options, self.port if is_same else self._opened(options))

    def move(self, options: Any, port: IListeningPort | None) -> None:
        """Goes on with these options at this port, and closes the former one, if it is another."""
        former, self.port, self._options = self.port, port, options
        if former is not None and former is not port:
            former.close()

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        raise NotImplementedError

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        if not self.is_open:
            raise ProxyRefusedError(RefusalCode.NOT_AVAILABLE, self.off_text)
        domains = tuple(dict.fromkeys(self._domains_of(proxy.options)))
        routes = tuple(route for domain in domains for route in self.routes_of(domain, proxy.options))
        for route in routes:
            await self._make_free(route, proxy)
        # Nothing is waited for between here and the end.
        if any(self.routes.get(route) is not None for route in routes):
            raise ProxyRefusedError(RefusalCode.ROUTE_IN_USE, "router config conflict")
        for route in routes:
            self.routes.add(route, proxy)
            self.log.info(
                "[{run}] [{proxy}] {type} proxy listen for host [{host}]",
                run=proxy.identity.run_id,
                proxy=proxy.name,
                type=proxy.type,
                host=route.domain,
            )
        return _Routed(self.routes, routes, _fitting(self.address_of(route.domain) for route in routes))

    def routes_of(self, domain: str, options: Any) -> Iterator[Route]:
        """The routes that a proxy has for one of its domains."""
        yield Route(domain)

    def address_of(self, domain: str) -> str:
        """Where users find a domain, as a client is told."""
        assert self.port is not None
        return with_port(domain, self.port)

    def _opened(self, options: Any) -> IListeningPort | None:
        wanted = self.port_of(options)
        if not wanted:
            return None
        port: IListeningPort = self._host.ports.share_stream(
            wanted, self, self.port_key, self.recognizer, takes_rest=self.takes_rest
        )
        return port

    async def _make_free(self, route: Route, proxy: IRegisteredProxy) -> None:
        """Has nobody refused on account of a client that is dead."""
        run_id = proxy.identity.run_id
        while (holder := self.routes.get(route)) is not None:
            held_by = holder.identity.run_id
            if held_by == run_id or not await self._host.release_if_dead(holder):
                return
            if held_by == holder.identity.run_id and self.routes.get(route) is holder:
                return

    def _domains_of(self, options: DomainOptions) -> Iterator[str]:
        """The domains that a proxy asks for.

        :raises ProxyRefusedError: it may not have one of them; the texts are frp's.
        """
        named = self._options.sub_domain_host
        parent = domain_key(named) if named else ""
        for each in filter(None, options.custom_domains):
            domain = _checked(each)
            if parent and domain.endswith(f".{parent}"):
                text = f"custom domain [{each}] should not belong to subdomain host [{parent}]"
                raise ProxyRefusedError(RefusalCode.BAD_OPTIONS, text)
            yield domain
        if options.subdomain:
            if not parent:
                text = "subdomain is not supported because this feature is not enabled in server"
                raise ProxyRefusedError(RefusalCode.BAD_OPTIONS, text)
            if "." in options.subdomain or "*" in options.subdomain:
                raise ProxyRefusedError(RefusalCode.BAD_OPTIONS, "'.' and '*' are not supported in subdomain")
            yield _checked(f"{options.subdomain}.{parent}")


class FirstBytesIngress(DomainIngress):
    """One whose users name the host in their first bytes, which a parser reads.

    :cvar parser: what reads them.
    :ivar passes_first_bytes: whether the service gets them, too.
    """

    parser: PrefixParser
    passes_first_bytes = True

    def __init__(self, options: Any, host: IServerHost) -> None:
        super().__init__(options, host)
        self._unrouted = Waits(host.reactor, FIRST_BYTES_S, for_strangers(MOST_UNROUTED))

    def stopService(self) -> None:
        super().stopService()
        self._unrouted.cancel_all()

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        ask = leg.peek if self.passes_first_bytes else leg.take
        asked = self._unrouted.add(ask(self.parser), source_of(origin))
        asked.addCallbacks(
            self.route, self._not_understood, callbackArgs=(leg, origin), errbackArgs=(leg, origin)
        )
        asked.addErrback(self._defect, leg, origin)

    def route(self, said: Any, leg: IStreamLeg, origin: Origin) -> None:
        """Gives a user, who said this, what it wants."""
        raise NotImplementedError

    def _not_understood(self, failure: Failure, leg: IStreamLeg, origin: Origin) -> None:
        if failure.check(CancelledError):
            why = f"it did not say within {FIRST_BYTES_S:g} seconds what it wants, or others had to have room"
        else:
            failure.trap(ConnectionFailed, RemoteProtocolError)
            why = failure.getErrorMessage()
        self.log.debug(
            "{origin} at {key} is not understood: {reason}", origin=origin, key=self.port_key, reason=why
        )
        leg.close()

    def _defect(self, failure: Failure, leg: IStreamLeg, origin: Origin) -> None:
        self.log.failure("a defect while {origin} was routed; it is dropped", failure, origin=origin)
        leg.abort()


def _checked(domain: str) -> str:
    try:
        return domain_key(domain)
    except ValueError as error:
        raise ProxyRefusedError(RefusalCode.BAD_OPTIONS, f"custom domain [{domain}]: {error}") from error


def with_port(domain: str, port: IListeningPort) -> str:
    """A domain with its port, unless that is one that nobody writes."""
    number = port.address.port
    if number in _PORTS_OF_THE_WEB:
        return f"[{domain}]" if ":" in domain else domain
    return str(Address(domain, number))


def _fitting(addresses: Iterable[str]) -> str:
    """Addresses, or as many of them as fit, as a client is told."""
    told = ",".join(addresses)
    return told if len(told) <= MOST_SHOWN else told[: told.rindex(",", 0, MOST_SHOWN)]
