"""The tables ``[proxies.plugin]`` and ``[visitors.plugin]``: local services that frp has built in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from relaykit.options import Options, Problem, doc, secret
from relaykit.sansio.http.rewriting import HeaderRules, host_problem, unsettable
from relaykit.sansio.packets.headers import parse_destination, parse_interface
from relaykit.values import NO_SECRET, Secret

if TYPE_CHECKING:
    from relaykit.config.schema.client import ClientConfig

__all__ = ["PROXY_PLUGINS", "VISITOR_PLUGINS", "HeaderChanges", "LocalPlugin"]


class LocalPlugin(Options, frozen=True, kw_only=True):
    """A table ``[proxies.plugin]`` without its key ``type``."""

    @property
    def endpoint(self) -> str:
        """The endpoint string that does the same."""
        raise NotImplementedError

    def idle(self, config: ClientConfig) -> Iterable[Problem]:
        """What of it has no effect beside the client's own keys."""
        return ()


class HeaderChanges(Options, frozen=True, kw_only=True):
    """Changes to the headers of HTTP messages."""

    set: Annotated[dict[str, str], doc("Headers that replace those of the same name.")] = msgspec.field(
        default_factory=dict
    )


class UnixSocketPlugin(LocalPlugin, frozen=True, kw_only=True):
    """The local service listens on a unix socket."""

    unix_path: Annotated[str, doc("Path of the socket.")] = ""

    @property
    def endpoint(self) -> str:
        return endpoint_string("unix", self.unix_path)

    def problems(self) -> Iterable[Problem]:
        return _required("unixPath", self.unix_path)


class HttpProxyPlugin(LocalPlugin, frozen=True, kw_only=True):
    """An HTTP proxy in place of a local service."""

    http_user: Annotated[str, doc("User name that must be given.")] = ""
    http_password: Annotated[
        Secret,
        secret(needed_with="http_user", may_be_empty=True),
        doc("Password that must be given."),
    ] = NO_SECRET

    @property
    def endpoint(self) -> str:
        return endpoint_string(
            "http_proxy", httpUser=self.http_user, httpPassword=self.http_password.reveal()
        )


class Socks5Plugin(LocalPlugin, frozen=True, kw_only=True):
    """A SOCKS5 proxy in place of a local service."""

    username: Annotated[str, doc("User name that must be given.")] = ""
    password: Annotated[
        Secret,
        secret(needed_with="username", may_be_empty=True),
        doc("Password that must be given."),
    ] = NO_SECRET

    @property
    def endpoint(self) -> str:
        return endpoint_string("socks5", username=self.username, password=self.password.reveal())


class StaticFilePlugin(LocalPlugin, frozen=True, kw_only=True):
    """Files in place of a local service."""

    local_path: Annotated[str, doc("Directory that is served.")] = ""
    strip_prefix: Annotated[str, doc("Beginning of the URL path that is left out.")] = ""
    http_user: Annotated[str, doc("User name that must be given.")] = ""
    http_password: Annotated[
        Secret,
        secret(needed_with="http_user", may_be_empty=True),
        doc("Password that must be given."),
    ] = NO_SECRET

    @property
    def endpoint(self) -> str:
        return endpoint_string(
            "static_file",
            localPath=self.local_path,
            stripPrefix=self.strip_prefix,
            httpUser=self.http_user,
            httpPassword=self.http_password.reveal(),
        )

    def problems(self) -> Iterable[Problem]:
        return _required("localPath", self.local_path)


_TRUSTED = "Authorities (PEM) that must have signed the service's certificate; without, it is not verified."


class ReverseProxyPlugin(LocalPlugin, frozen=True, kw_only=True):
    """Hands requests on to a web service, with other headers."""

    local_addr: Annotated[str, doc("The service, host:port.")] = ""
    host_header_rewrite: Annotated[str, doc("Host header that the service sees.")] = ""
    request_headers: HeaderChanges = HeaderChanges()

    def problems(self) -> Iterable[Problem]:
        if why := host_problem(self.host_header_rewrite):
            yield Problem("hostHeaderRewrite", why)
        headers = self.request_headers.set
        try:
            HeaderRules.of(headers)
        except ValueError as error:
            yield Problem("requestHeaders.set", str(error))
        for why in unsettable(headers):
            yield Problem("requestHeaders.set", why)

    def endpoint_of(self, kind: str, **more: str) -> str:
        """The endpoint string of a reverse proxy with these keys, and more."""
        # What is empty would be left out, and around the value of a header a space means nothing.
        changes = self.request_headers.set
        headers = {f"requestHeaders.set.{name}": value or " " for name, value in changes.items()}
        return endpoint_string(
            kind, localAddr=self.local_addr, hostHeaderRewrite=self.host_header_rewrite, **more, **headers
        )


class HttpToHttpPlugin(ReverseProxyPlugin, frozen=True, kw_only=True):
    """Hands HTTP on to an HTTP service."""

    @property
    def endpoint(self) -> str:
        return self.endpoint_of("http2http")


class HttpToHttpsPlugin(ReverseProxyPlugin, frozen=True, kw_only=True):
    """Hands HTTP on to an HTTPS service."""

    trusted_ca_file: Annotated[str, doc(_TRUSTED)] = ""

    @property
    def endpoint(self) -> str:
        return self.endpoint_of("http2https", trustedCaFile=self.trusted_ca_file)

    def problems(self) -> Iterable[Problem]:
        yield from _required("localAddr", self.local_addr)
        yield from super().problems()


class HttpsToHttpPlugin(ReverseProxyPlugin, frozen=True, kw_only=True):
    """Ends HTTPS and hands HTTP on."""

    enable_http2: Annotated[bool, doc("Offers HTTP/2.")] = msgspec.field(default=True, name="enableHTTP2")
    crt_path: Annotated[str, doc("Certificate chain (PEM); without it, one is made.")] = ""
    key_path: Annotated[str, doc("Private key (PEM).")] = ""

    @property
    def endpoint(self) -> str:
        return self.endpoint_of("https2http")

    def problems(self) -> Iterable[Problem]:
        yield from _required("localAddr", self.local_addr)
        yield from super().problems()

    def endpoint_of(self, kind: str, **more: str) -> str:
        return super().endpoint_of(
            kind,
            crtPath=self.crt_path,
            keyPath=self.key_path,
            enableHTTP2="" if self.enable_http2 else "false",
            **more,
        )


class HttpsToHttpsPlugin(HttpsToHttpPlugin, frozen=True, kw_only=True):
    """Ends HTTPS and hands HTTPS on."""

    trusted_ca_file: Annotated[str, doc(_TRUSTED)] = ""

    @property
    def endpoint(self) -> str:
        return self.endpoint_of("https2https", trustedCaFile=self.trusted_ca_file)


class TlsToRawPlugin(LocalPlugin, frozen=True, kw_only=True):
    """Ends TLS and hands the plain stream on."""

    local_addr: Annotated[str, doc("The service, host:port.")] = ""
    crt_path: Annotated[str, doc("Certificate chain (PEM); without it, one is made.")] = ""
    key_path: Annotated[str, doc("Private key (PEM).")] = ""

    @property
    def endpoint(self) -> str:
        return endpoint_string(
            "tls2raw", localAddr=self.local_addr, crtPath=self.crt_path, keyPath=self.key_path
        )

    def problems(self) -> Iterable[Problem]:
        return _required("localAddr", self.local_addr)


class VirtualNetPlugin(LocalPlugin, frozen=True, kw_only=True):
    """The virtual network in place of a local service."""

    @property
    def endpoint(self) -> str:
        return endpoint_string("virtual_net")

    def idle(self, config: ClientConfig) -> Iterable[Problem]:
        return _idle_without_address(config)


class VirtualNetVisitorPlugin(LocalPlugin, frozen=True, kw_only=True):
    """The virtual network in place of a visitor's port."""

    destination_ip: Annotated[str, doc("Address whose traffic goes to the proxy.")] = msgspec.field(
        default="", name="destinationIP"
    )

    @property
    def endpoint(self) -> str:
        return endpoint_string("virtual_net", destinationIP=self.destination_ip)

    def problems(self) -> Iterable[Problem]:
        try:
            parse_destination(self.destination_ip)
        except ValueError as error:
            yield Problem("destinationIP", str(error))

    def idle(self, config: ClientConfig) -> Iterable[Problem]:
        yield from _idle_without_address(config)
        try:
            own, destination = (
                parse_interface(config.virtual_net.address),
                parse_destination(self.destination_ip),
            )
        except ValueError:
            return
        if destination == own.ip:
            yield Problem("destinationIP", "is the address of this client itself: it leads nowhere")
        elif destination.version != own.version:
            reason = f"virtualNet.address is of IPv{own.version}, this is not: it leads nowhere"
            yield Problem("destinationIP", reason)


_QUOTED = str.maketrans({letter: f"\\{letter}" for letter in "\\:="})


def endpoint_string(kind: str, *values: str, **arguments: str) -> str:
    """An endpoint string of these arguments; those by name that are empty are left out."""
    parts = [value.translate(_QUOTED) for value in values]
    parts += [f"{name}={value.translate(_QUOTED)}" for name, value in arguments.items() if value]
    return f"{kind}:{':'.join(parts)}"


def _required(key: str, value: str) -> Iterable[Problem]:
    return () if value else (Problem(key, "must be given"),)


def _idle_without_address(config: ClientConfig) -> Iterable[Problem]:
    if not config.virtual_net.address:
        yield Problem("type", "there is no virtual network without virtualNet.address: it leads nowhere")


PROXY_PLUGINS: Mapping[str, type[LocalPlugin]] = {
    "unix_domain_socket": UnixSocketPlugin,
    "http_proxy": HttpProxyPlugin,
    "socks5": Socks5Plugin,
    "static_file": StaticFilePlugin,
    "http2https": HttpToHttpsPlugin,
    "http2http": HttpToHttpPlugin,
    "https2http": HttpsToHttpPlugin,
    "https2https": HttpsToHttpsPlugin,
    "tls2raw": TlsToRawPlugin,
    "virtual_net": VirtualNetPlugin,
}
"""What ``plugin.type`` of a proxy may be, and the further keys of the table."""

VISITOR_PLUGINS: Mapping[str, type[LocalPlugin]] = {"virtual_net": VirtualNetVisitorPlugin}
"""What ``plugin.type`` of a visitor may be, and the further keys of the table."""
