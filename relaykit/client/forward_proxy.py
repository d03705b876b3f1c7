"""Which forward proxy a client goes through to its server: what its file says, else the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.logger import Logger

from relaykit.errors import ForwardProxyError
from relaykit.sansio.forward_proxies.environment import proxy_of_environment
from relaykit.sansio.forward_proxies.urls import DIRECT, PROXY_KEY, ForwardProxy, Scheme, parse_proxy_url

if TYPE_CHECKING:
    from relaykit.config.schema import ClientConfig

__all__ = ["choose_proxy"]

_log = Logger(namespace=__name__)


def choose_proxy(config: ClientConfig, environ: Mapping[str, str]) -> ForwardProxy | None:
    """The proxy to the server; None if the server is dialed directly.

    One that the environment names is told of in the log, as it is no word of who wrote the file.

    :raises ForwardProxyError: what is named is no proxy that can be used.
    """
    if configured := config.transport.proxy_url.reveal():
        return None if configured == DIRECT else _parse(configured, PROXY_KEY, "")
    found = proxy_of_environment(environ, config.server_addr, config.server_port)
    if found is None:
        return None
    variable, url = found
    proxy = _parse(url.reveal(), f"the environment variable {variable}", Scheme.HTTP.value)
    _log.info(
        "the server is dialed through the proxy {proxy}, since {variable} names it; {key} = "
        '"direct" does without',
        proxy=proxy,
        variable=proxy.named_by,
        key=PROXY_KEY,
    )
    return proxy


def _parse(url: str, named_by: str, usual_scheme: str) -> ForwardProxy:
    try:
        return parse_proxy_url(url, named_by, usual_scheme)
    except ValueError as error:
        raise ForwardProxyError(
            f'{named_by} names no proxy that can be used: it {error}; {PROXY_KEY} = "{DIRECT}" does without',
            problem="proxy-unusable",
        ) from error
