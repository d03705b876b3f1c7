"""The proxy type ``http``: sites behind one port, told apart by the host, the path and the user of a request.

The server is a reverse proxy: it reads each request, gives it to whom it is for over a work connection, and
passes on the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import IGroupableProxyType, IOneLineProxyType
from relaykit.options import OneLine
from relaykit.proxies.http.backend import HttpBackend
from relaykit.proxies.http.ingress import HttpIngress
from relaykit.proxies.http.options import HttpKeys, HttpOptions

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IServerHost

__all__ = ["proxy_type"]


@implementer(IGroupableProxyType, IOneLineProxyType)
@frozen
class _HttpType:
    name = "http"
    summary = "a site by its host name, and parts of it by their paths, at a port that many share"
    proxy_options = HttpOptions
    ingress_options = HttpKeys
    one_lines = (
        OneLine(
            command="http",
            summary="Publish a site by a host name",
            flags={"customDomains": "domain", "locations": "location"},
            scheme="http",
            paths="locations",
        ),
    )

    def group_terms(self, options: HttpOptions) -> Mapping[str, object]:
        alike = (
            *(frozenset(options.custom_domains), options.subdomain, frozenset(options.locations)),
            *(options.route_by_http_user, options.http_user, options.http_password),
        )
        return {"group params invalid": alike}

    def make_ingress(self, options: HttpKeys, host: IServerHost) -> HttpIngress:
        return HttpIngress(options, host)

    def make_backend(self, options: HttpOptions, host: IClientHost) -> HttpBackend:
        return HttpBackend(host, options)


proxy_type = _HttpType()
