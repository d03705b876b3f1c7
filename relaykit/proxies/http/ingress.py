"""The server half of ``http``: the port that all its proxies share, and who gets which request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import IReconfiguration, ISecureLeg
from relaykit.proxies.domains import FirstBytesIngress, with_port
from relaykit.proxies.http.certificates import Certificates
from relaykit.proxies.http.secure_sites import RedirectedSites, SecureSites
from relaykit.proxies.http.secure_users import SecureUsers
from relaykit.proxies.http.users import HttpUser
from relaykit.sansio.hostnames import host_key
from relaykit.sansio.http.answers import not_found
from relaykit.sansio.http.connection import Timeouts
from relaykit.sansio.http.credentials import unauthorized, user_of
from relaykit.sansio.parsers.http_opening import HTTP_OPENING, HttpVersion, HttpVersionParser
from relaykit.sansio.routes import Route

if TYPE_CHECKING:
    from relaykit.interfaces import IRegisteredProxy, IServerHost, IStreamLeg
    from relaykit.proxies.http.http2_users import Http2User
    from relaykit.proxies.http.options import HttpKeys, HttpOptions
    from relaykit.proxies.http.users import Sites
    from relaykit.sansio.http.answers import Answer
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.sansio.http.rewriting import Rules
    from relaykit.values import Origin

__all__ = ["HttpIngress"]

MOST_TIMEOUT_S = 86_400.0
"""Seconds that an answer is waited for where the file sets no limit: who asked is long gone after a day."""

MOST_PAGE_BYTES = 1024 * 1024
"""Most bytes of a page for hosts that nobody has; it is read whole."""


@implementer(IReconfiguration)
@frozen
class _HttpMove:
    """Other options, the port that goes with them, and who is given TLS then."""

    _ingress: HttpIngress
    _options: HttpKeys
    _port: IReconfiguration
    _secure: SecureUsers | None

    def commit(self) -> None:
        self._port.commit()
        self._ingress.secure(self._secure)
        self._ingress.adopt(self._options)

    def abandon(self) -> None:
        self._port.abandon()
        if self._secure is not None and self._secure is not self._ingress.secured:
            self._secure.close()


class HttpIngress(FirstBytesIngress):
    """Routes requests by host, path and user.

    :ivar secured: the users within TLS; None where it does not end here.
    """

    port_key = "vhostHTTPPort"
    recognizer = HTTP_OPENING
    takes_rest = True
    off_text = "type [http] not supported when vhost http port is not set"
    parser = HttpVersionParser()

    def __init__(self, options: HttpKeys, host: IServerHost) -> None:
        super().__init__(options, host)
        self.reactor = host.reactor
        self.timeouts: Timeouts
        self._page: Path | None
        self._is_page_missed = False
        """Whether the log says that the page cannot be read; once for all who ask until it can be."""
        self._rules: WeakKeyDictionary[IRegisteredProxy, Rules] = WeakKeyDictionary()
        self._http2_users: WeakSet[Http2User] = WeakSet()
        self._date = (0, b"")
        self.secured = self._secure_users(options)
        self._secure_sites = SecureSites(self, host.passes_through)
        self._plain_sites: Sites
        self._redirects: bool
        self.adopt(options)

    def privilegedStartService(self) -> None:
        """Opens the ports, that of TLS where there are certificates, or takes part in them.

        :raises TransportSecurityError: a certificate cannot be used; the server does not start then.
        """
        try:
            if self.secured is not None:
                self.secured.open()
            super().privilegedStartService()
        except Exception:
            self.stopService()
            raise

    def stopService(self) -> None:
        super().stopService()
        if self.secured is not None:
            self.secured.close()
        for user in list(self._http2_users):
            user.leave()

    @property
    def is_open(self) -> bool:
        return super().is_open or self.secured is not None

    def port_of(self, options: HttpKeys) -> int:
        return options.vhost_http_port

    def prepare(self, options: HttpKeys) -> IReconfiguration:
        port = super().prepare(options)
        secured = self.secured
        if _of_tls(options) != _of_tls(self._options):
            secured = self._secure_users(options)
        prepared = _HttpMove(self, options, port, secured)
        try:
            if secured is not None and secured is not self.secured:
                secured.open()
        except Exception:
            prepared.abandon()
            raise
        return prepared

    def secure(self, secured: SecureUsers | None) -> None:
        """Gives users TLS there from now on; the former ones stay."""
        former, self.secured = self.secured, secured
        if former is not None and former is not secured:
            former.leave()

    def adopt(self, options: HttpKeys) -> None:
        """Goes on with what the options say beside ports and certificates."""
        limit_s = options.vhost_http_timeout
        self.timeouts = Timeouts(response_s=MOST_TIMEOUT_S if limit_s < 0 else min(limit_s, MOST_TIMEOUT_S))
        self._page = Path(options.custom_404_page) if options.custom_404_page else None
        self._redirects = options.vhost_https_redirect
        self._plain_sites = self
        if self.secured is not None and self._redirects:
            self._plain_sites = RedirectedSites(self, self.secured.are_for, options.vhost_https_port)

    def address_of(self, domain: str) -> str:
        """Where users find a domain; a URL where they cannot stay without TLS."""
        port = None if self.secured is None else self.secured.port
        if self.secured is None or port is None:
            return super().address_of(domain)
        needs_tls = self.port is None or (self._redirects and self.secured.are_for(domain))
        return f"https://{with_port(domain, port)}" if needs_tls else super().address_of(domain)

    def routes_of(self, domain: str, options: HttpOptions) -> Iterator[Route]:
        for location in dict.fromkeys(options.locations or ("",)):
            yield Route(domain, location, options.route_by_http_user)

    def route(self, said: HttpVersion, leg: IStreamLeg, origin: Origin) -> None:
        is_secure = ISecureLeg.providedBy(leg)
        scheme, sites = (b"https", self._secure_sites) if is_secure else (b"http", self._plain_sites)
        if said is HttpVersion.ONE:
            HttpUser(leg, origin, sites, scheme).start()
            return
        # What it needs costs every server megabytes, and few have users of HTTP/2.
        from relaykit.proxies.http.http2_users import Http2User

        user = Http2User(leg, origin, sites, scheme)
        self._http2_users.add(user)
        user.start()

    # --- what users are given

    def date(self) -> bytes:
        second = int(time.time())  # noqa: TID251  # answers carry the time of day
        if second != self._date[0]:
            self._date = second, formatdate(second, usegmt=True).encode()
        return self._date[1]

    @property
    def version(self) -> int:
        return self.routes.version

    def find(self, head: RequestHead) -> IRegisteredProxy | Answer:
        said = head.said
        names_user = said.authorization is not None or said.proxy_authorization is not None
        path = head.path if self.routes.has_locations else ""
        proxy = self.routes.find(host_key(head.host), path, user_of(head) if names_user else "")
        if proxy is None:
            return not_found(self._read_page())
        expected = proxy.options.credentials
        refused = None if expected is None else unauthorized(head, expected)
        return proxy if refused is None else refused

    def rules_of(self, proxy: IRegisteredProxy) -> Rules:
        rules = self._rules.get(proxy)
        if rules is None:
            rules = self._rules[proxy] = proxy.options.rules
        return rules

    def _secure_users(self, options: HttpKeys) -> SecureUsers | None:
        if not options.vhost_https_certificates:
            return None
        host = self._host
        certificates = Certificates(options.vhost_https_certificates, host.data_plane, host.reactor)
        return SecureUsers(options.vhost_https_port, certificates, host, self.leg_accepted)

    def _read_page(self) -> bytes | None:
        """The page of the file, as it is now; None for ours."""
        if self._page is None:
            return None
        try:
            with self._page.open("rb") as file:
                page = file.read(MOST_PAGE_BYTES)
        except OSError as error:
            if not self._is_page_missed:
                self._is_page_missed = True
                self.log.warn(
                    "custom404Page: {path} cannot be read, and the built-in page is shown: {reason}",
                    path=str(self._page),
                    reason=error.strerror,
                    problem="unreadable-page",
                )
            return None
        self._is_page_missed = False
        return page


def _of_tls(options: HttpKeys) -> tuple[object, ...]:
    """What the options say of TLS."""
    return options.vhost_https_port, options.vhost_https_certificates
