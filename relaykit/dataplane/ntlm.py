"""Proofs by NTLM, made by pyspnego: the extra ``ntlm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from relaykit.errors import ForwardProxyError

if TYPE_CHECKING:
    from spnego import ContextProxy

    from relaykit.sansio.forward_proxies.conversation import NtlmMaker
    from relaykit.sansio.forward_proxies.urls import ForwardProxy

__all__ = ["ntlm_maker"]


def ntlm_maker(proxy: ForwardProxy) -> NtlmMaker:
    """Makes proofs for a proxy, to whose user a domain may belong, as in ``user@domain``.

    :raises ForwardProxyError: the library is not installed.
    """
    try:
        from spnego import NegotiateOptions, client
    except ImportError as error:
        raise ForwardProxyError(
            f"the proxy {proxy} is asked by NTLM, which needs pyspnego: pip install 'relaykit[ntlm]'",
            problem="no-ntlm",
        ) from error
    assert proxy.credentials is not None, "a URL with ntlm:// has credentials"
    user, password = (
        each.decode("utf-8", "surrogateescape")
        for each in (proxy.credentials.user, proxy.credentials.password)
    )

    def make() -> _Proof:
        # Not what the machine itself is logged in as, and not the library that the system may have.
        context = client(
            user,
            password,
            hostname=proxy.address.host,
            service="HTTP",
            protocol="ntlm",
            options=NegotiateOptions.use_ntlm,
        )
        return _Proof(context, proxy)

    return make


@frozen
class _Proof:
    """One proof; see :class:`relaykit.sansio.forward_proxies.conversation.NtlmClient`."""

    _context: ContextProxy
    _proxy: ForwardProxy

    def step(self, challenge: bytes | None) -> bytes:
        """The next message."""
        try:
            return self._context.step(challenge) or b""
        except Exception as error:
            # Whatever the library makes of bytes of a stranger.
            raise ForwardProxyError(
                f"the proxy {self._proxy} sent what is no challenge of NTLM", problem="proxy-unusable"
            ) from error
