"""The keys of ``http``: of a proxy, and of the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import msgspec

from relaykit.options import (
    Effect,
    FileUse,
    ListeningPort,
    Options,
    Problem,
    SecondsOrOff,
    doc,
    effect,
    file,
    file_key,
    wire,
)
from relaykit.proxies.domains import HttpUserOptions, SubDomainKeys
from relaykit.sansio.http.rewriting import HeaderRules, Rules, host_problem, unsettable
from relaykit.sansio.routes import location_problem

__all__ = ["CertificateFiles", "HttpKeys", "HttpOptions", "RequestHeaders", "ResponseHeaders"]

DEFAULT_TIMEOUT_S = 60
"""Seconds that a service has for the head of its answer; frp's figure."""


def _unsettable(headers: Mapping[str, str]) -> Iterable[Problem]:
    """For who writes a configuration; of those who have one of frp's, the server leaves them out."""
    return (Problem("set", why) for why in unsettable(headers))


class RequestHeaders(Options, frozen=True, kw_only=True):
    """Changes to the fields of requests."""

    set: Annotated[dict[str, str], wire("headers"), doc("Header fields that replace those of the user.")] = (
        msgspec.field(default_factory=dict)
    )

    def problems(self) -> Iterable[Problem]:
        return _unsettable(self.set)


class ResponseHeaders(Options, frozen=True, kw_only=True):
    """Changes to the fields of responses."""

    set: Annotated[
        dict[str, str], wire("response_headers"), doc("Header fields that replace those of the service.")
    ] = msgspec.field(default_factory=dict)

    def problems(self) -> Iterable[Problem]:
        return _unsettable(self.set)


class HttpOptions(HttpUserOptions, frozen=True, kw_only=True):
    """The own keys of an ``http`` proxy."""

    shown: ClassVar[Mapping[str, bool]] = {
        **HttpUserOptions.shown,
        "locations": True,
        "hostHeaderRewrite": True,
    }

    locations: Annotated[
        tuple[str, ...],
        wire("locations"),
        doc("Beginnings of the paths that lead to the proxy; none for all paths."),
    ] = ()
    host_header_rewrite: Annotated[
        str, wire("host_header_rewrite"), doc("Host that the service is asked for, in place of the user's.")
    ] = ""
    request_headers: Annotated[RequestHeaders, doc("Changes to what the service is told.")] = RequestHeaders()
    response_headers: Annotated[ResponseHeaders, doc("Changes to what the user is told.")] = ResponseHeaders()

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        for location in self.locations:
            if why := location_problem(location):
                yield Problem("locations", why)
        if why := host_problem(self.host_header_rewrite):
            yield Problem("hostHeaderRewrite", why)
        for key, headers in (
            ("requestHeaders.set", self.request_headers.set),
            ("responseHeaders.set", self.response_headers.set),
        ):
            try:
                HeaderRules.of(headers)
            except ValueError as error:
                yield Problem(key, str(error))

    @property
    def rules(self) -> Rules:
        """What is changed in the messages of the proxy; made anew each time."""
        return Rules(
            self.host_header_rewrite.encode(),
            HeaderRules.of(self.request_headers.set),
            HeaderRules.of(self.response_headers.set),
        )


class CertificateFiles(Options, frozen=True, kw_only=True):
    """A certificate by which the server itself does TLS for sites."""

    cert_file: Annotated[
        str, file(FileUse.CERTIFICATE), doc("Certificate chain (PEM), the own certificate first.")
    ] = ""
    key_file: Annotated[str, file(FileUse.KEY), doc("Private key (PEM).")] = ""

    def problems(self) -> Iterable[Problem]:
        for key, value in (("certFile", self.cert_file), ("keyFile", self.key_file)):
            if not value:
                yield Problem(key, "must be given")


class HttpKeys(SubDomainKeys, frozen=True, kw_only=True):
    """The server's keys of ``http``."""

    vhost_http_port: Annotated[
        ListeningPort,
        effect(Effect.AT_ONCE),
        file_key("vhostHTTPPort"),
        doc("Port that the proxies of type http share, which may be bindPort; 0: off."),
    ] = 0
    vhost_https_port: Annotated[
        ListeningPort,
        effect(Effect.AT_ONCE),
        file_key("vhostHTTPSPort"),
        doc("Port at which they are served over TLS, too, to who asks for a name of a certificate."),
    ] = 0
    vhost_https_certificates: Annotated[
        tuple[CertificateFiles, ...],
        effect(Effect.AT_ONCE),
        file_key("vhostHTTPSCertificates"),
        doc("Certificates (certFile and keyFile of each) by which sites are served over TLS."),
    ] = ()
    vhost_https_redirect: Annotated[
        bool,
        effect(Effect.AT_ONCE),
        file_key("vhostHTTPSRedirect"),
        doc("Has users without TLS ask again, over TLS, for the names of the certificates."),
    ] = False
    vhost_http_timeout: Annotated[
        SecondsOrOff,
        effect(Effect.AT_ONCE),
        file_key("vhostHTTPTimeout"),
        doc("Seconds that services have to begin an answer."),
    ] = DEFAULT_TIMEOUT_S
    custom_404_page: Annotated[
        str,
        effect(Effect.AT_ONCE),
        file(FileUse.READ),
        file_key("custom404Page"),
        doc("File with the page for hosts that nobody has."),
    ] = ""

    def problems(self) -> Iterable[Problem]:
        if self.vhost_https_certificates and not self.vhost_https_port:
            yield Problem("vhostHTTPSCertificates", "vhostHTTPSPort must be given, the port of TLS")
        if self.vhost_https_redirect and not self.vhost_https_certificates:
            yield Problem("vhostHTTPSRedirect", "leads nowhere without vhostHTTPSCertificates")
