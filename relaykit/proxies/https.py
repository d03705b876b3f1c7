"""The proxy type ``https``: services with TLS of their own behind one port, told apart by the server name.

The server reads the ClientHello and passes everything on as it comes: it has no certificate for the service,
and sees nothing of what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import IGroupableProxyType, IOneLineProxyType
from relaykit.options import Effect, ListeningPort, OneLine, doc, effect, file_key
from relaykit.proxies.domains import DomainOptions, FirstBytesIngress, SubDomainKeys
from relaykit.proxies.tcp import LocalServiceBackend
from relaykit.sansio.hostnames import host_key
from relaykit.sansio.parsers.client_hello import TLS_OPENING, UNRECOGNIZED_NAME, ClientHelloParser
from relaykit.sansio.parsers.recognizing import Opening
from relaykit.sansio.routes import Route

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IServerHost, IStreamLeg
    from relaykit.sansio.parsers.client_hello import ClientHello
    from relaykit.values import Origin

__all__ = ["HttpsIngress", "HttpsKeys", "HttpsOptions", "proxy_type"]

_UNSEEN = "proxies of type https pass TLS through unopened: the server sees no HTTP in it"


class HttpsOptions(DomainOptions, frozen=True, kw_only=True):
    """The own keys of an ``https`` proxy."""

    without_effect: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "locations",
            "httpUser",
            "httpPassword",
            "hostHeaderRewrite",
            "requestHeaders",
            "responseHeaders",
            "routeByHTTPUser",
        ),
        _UNSEEN,
    )


class HttpsKeys(SubDomainKeys, frozen=True, kw_only=True):
    """The server's keys of ``https``."""

    vhost_https_port: Annotated[
        ListeningPort,
        effect(Effect.AT_ONCE),
        file_key("vhostHTTPSPort"),
        doc("Port that the proxies of type https share, which may be bindPort; 0: off."),
    ] = 0


class HttpsIngress(FirstBytesIngress):
    """Routes users by the server name that they ask TLS for.

    Names that proxies have, not only by wildcards, are theirs before anybody ends TLS for them here.
    """

    port_key = "vhostHTTPSPort"
    recognizer = Opening(TLS_OPENING)
    off_text = "type [https] not supported when vhost https port is not set"
    parser = ClientHelloParser()

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._host.pass_through(lambda host: self.routes.get(Route(host)) is not None)

    def port_of(self, options: HttpsKeys) -> int:
        return options.vhost_https_port

    def route(self, said: ClientHello, leg: IStreamLeg, origin: Origin) -> None:
        proxy = self.routes.find(host_key(said.server_name))
        if proxy is not None:
            proxy.serve(leg, origin)
            return
        self.log.debug("{origin} wants {host!r}, which nobody has", origin=origin, host=said.server_name)
        leg.write(UNRECOGNIZED_NAME)
        leg.close()


@implementer(IGroupableProxyType, IOneLineProxyType)
@frozen
class _HttpsType:
    name = "https"
    summary = "a service with TLS of its own, by its host name at a port that many share"
    proxy_options = HttpsOptions
    ingress_options = HttpsKeys
    one_lines = (
        OneLine(
            command="https",
            summary="Publish a service with TLS of its own by a host name",
            flags={"customDomains": "domain"},
            scheme="https",
        ),
    )

    def group_terms(self, options: HttpsOptions) -> Mapping[str, object]:
        return {"group params invalid": (frozenset(options.custom_domains), options.subdomain)}

    def make_ingress(self, options: HttpsKeys, host: IServerHost) -> HttpsIngress:
        return HttpsIngress(options, host)

    def make_backend(self, options: HttpsOptions, host: IClientHost) -> LocalServiceBackend:
        return LocalServiceBackend(host)


proxy_type = _HttpsType()
