"""A conversation with a forward proxy: what is sent, and what is read before the next word."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

from relaykit.errors import ForwardProxyError
from relaykit.sansio.contract import PrefixParser
from relaykit.sansio.forward_proxies.urls import ForwardProxy
from relaykit.values import Address

__all__ = ["Conversation", "NtlmClient", "NtlmMaker", "Step", "login_refused", "refused", "unreachable"]


@frozen
class Step:
    """Bytes to send, then an answer to read; what follows the answer is not for this step."""

    request: bytes = field(repr=False)
    answer: PrefixParser


Conversation: TypeAlias = Generator[Step, Any, None]
"""A core as a generator: it yields steps, is sent what their parsers answer, and ends with an open tunnel.

It raises :class:`relaykit.errors.ForwardProxyError` where the proxy says no."""


class NtlmClient(Protocol):
    """One proof by NTLM."""

    def step(self, challenge: bytes | None) -> bytes:
        """The first message, or (with the proxy's challenge) the second and last one.

        :raises ForwardProxyError: the challenge makes no sense.
        """


NtlmMaker: TypeAlias = Callable[[], NtlmClient]


def login_refused(proxy: ForwardProxy, what: str) -> ForwardProxyError:
    """The error where it is about who asks: ``what`` continues "the proxy X"."""
    return ForwardProxyError(f"the proxy {proxy} {what}", problem="proxy-login")


def refused(proxy: ForwardProxy, target: Address, why: str) -> ForwardProxyError:
    """The error where the proxy does not want to connect there."""
    return ForwardProxyError(
        f"the proxy {proxy} does not let this client connect to {target}: {why}", problem="proxy-refused"
    )


def unreachable(proxy: ForwardProxy, target: Address, why: str) -> ForwardProxyError:
    """The error where the proxy would, and cannot."""
    return ForwardProxyError(
        f"the proxy {proxy} cannot connect to {target}: {why}", problem="proxy-cannot-connect"
    )
