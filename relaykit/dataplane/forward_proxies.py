"""Connections through a forward proxy: dials it, and lets a conversation open the tunnel."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, TimeoutError

from relaykit.dataplane.dialing import DIAL_TIMEOUT_S, dial
from relaykit.dataplane.tls import client_context, start_tls
from relaykit.errors import (
    ConnectionFailed,
    ForwardProxyError,
    OutOfDescriptors,
    RemoteProtocolError,
    TransportSecurityError,
)
from relaykit.sansio.forward_proxies.http_connect import connect_by_http
from relaykit.sansio.forward_proxies.socks5 import connect_by_socks5
from relaykit.sansio.forward_proxies.urls import ForwardProxy, Scheme

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.forward_proxies.conversation import Conversation
    from relaykit.values import Address

__all__ = ["dial_through", "open_tunnel"]


def dial_through(
    poller: Poller,
    proxy: ForwardProxy,
    target: Address,
    timeout_s: float = DIAL_TIMEOUT_S,
    source: str = "",
    prepare: Callable[[socket.socket], None] | None = None,
) -> Deferred[IStreamLeg]:
    """A leg to a TCP port of a host by way of a proxy, which resolves the host's name.

    ``source`` and ``prepare`` are for the connection to the proxy, as :func:`relaykit.dataplane.dialing.dial`
    has them; ``timeout_s`` is for each step: to connect to it, TLS with it, each of its answers.
    Fails with :class:`relaykit.errors.ConnectionFailed`, which names the proxy, mostly with
    :class:`relaykit.errors.ForwardProxyError`.  Cancelling gives up.
    """
    return Deferred.fromCoroutine(_dial_through(poller, proxy, target, timeout_s, source, prepare))


async def _dial_through(
    poller: Poller,
    proxy: ForwardProxy,
    target: Address,
    timeout_s: float,
    source: str,
    prepare: Callable[[socket.socket], None] | None,
) -> IStreamLeg:
    conversation = _conversation(proxy, target)
    try:
        leg = await dial(poller, proxy.address.host, proxy.address.port, timeout_s, source, prepare)
    except OutOfDescriptors:
        raise
    except ConnectionFailed as error:
        raise ForwardProxyError(
            f"the proxy that {proxy.named_by} names cannot be reached: {error}", problem="proxy-unusable"
        ) from error
    if proxy.scheme is Scheme.HTTPS:
        leg = await _secured(poller, leg, proxy, timeout_s)
    await open_tunnel(leg, proxy, conversation, timeout_s, poller.reactor)
    return leg


async def open_tunnel(
    leg: IStreamLeg, proxy: ForwardProxy, conversation: Conversation, timeout_s: float, clock: IReactorTime
) -> None:
    """Leads a conversation over a connection to a proxy, whose bytes are the target's afterwards.

    Drops the connection where it fails, with :class:`relaykit.errors.ForwardProxyError`.
    """
    answer: Any = None
    try:
        while True:
            try:
                step = conversation.send(answer)
            except StopIteration:
                return
            if step.request:
                leg.write(step.request)
            answer = await _within(timeout_s, leg.take(step.answer), clock)
    except TimeoutError:
        leg.abort()
        raise ForwardProxyError(
            f"the proxy {proxy} did not answer within {timeout_s:g} seconds", problem="proxy-unusable"
        ) from None
    except RemoteProtocolError as error:
        leg.abort()
        raise ForwardProxyError(
            f"the proxy {proxy} does not answer as such a proxy does: {error}; look at scheme and port in "
            f"{proxy.named_by}",
            problem="proxy-unusable",
        ) from error
    except ForwardProxyError:
        leg.abort()
        raise
    except ConnectionFailed as error:
        leg.abort()
        raise ForwardProxyError(
            f"the proxy {proxy} ended the connection before it had answered", problem="proxy-unusable"
        ) from error
    except BaseException:
        leg.abort()
        raise


def _within(timeout_s: float, answer: Deferred[Any], clock: IReactorTime) -> Deferred[Any]:
    return answer.addTimeout(timeout_s, clock)


def _conversation(proxy: ForwardProxy, target: Address) -> Conversation:
    if proxy.scheme is Scheme.SOCKS5:
        return connect_by_socks5(proxy, target)
    if proxy.scheme is not Scheme.NTLM:
        return connect_by_http(proxy, target)
    # Few proxies want it, and it takes a library.
    from relaykit.dataplane.ntlm import ntlm_maker

    return connect_by_http(proxy, target, ntlm_maker(proxy))


async def _secured(poller: Poller, leg: IStreamLeg, proxy: ForwardProxy, timeout_s: float) -> IStreamLeg:
    host = proxy.address.host
    context = client_context(server_name=host, system_authorities=True)
    try:
        secured: IStreamLeg = await start_tls(poller, leg, context, server_side=False, timeout_s=timeout_s)
    except TransportSecurityError as error:
        why = f"its certificate is not for {host}" if error.problem in _NAMES else str(error)
        raise ForwardProxyError(
            f"TLS with the proxy {proxy} failed: {why}; it is verified by the authorities that this system "
            "trusts, or those in the file that SSL_CERT_FILE names",
            problem="proxy-unusable",
        ) from error
    return secured


_NAMES = frozenset({"certificate-name", "certificate-without-names"})
