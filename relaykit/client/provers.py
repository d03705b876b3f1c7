"""What proves who a client is, by the method that its file names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from relaykit.authentication import TokenProver
from relaykit.config.tokens import read_token
from relaykit.sansio.control.credentials import Scope

if TYPE_CHECKING:
    from relaykit.config.schema.auth import ClientAuth, ClientOidc
    from relaykit.interfaces import IProver
    from relaykit.oidc.proving import Tokens
    from relaykit.values import Secret

__all__ = ["make_prover"]


def make_prover(auth: ClientAuth, token: Secret, reactor: Any, unix_time: Callable[[], float]) -> IProver:
    """The prover of a configuration; ``token`` is what ``auth.token`` amounts to."""
    return _MAKERS[auth.method](auth, token, reactor, unix_time)


def _by_token(auth: ClientAuth, token: Secret, reactor: Any, unix_time: Callable[[], float]) -> IProver:
    return TokenProver(token, unix_time, [Scope(each) for each in auth.additional_scopes])


def _by_oidc(auth: ClientAuth, token: Secret, reactor: Any, unix_time: Callable[[], float]) -> IProver:
    # Few clients need it, and it takes libraries.
    from relaykit.oidc.proving import OidcProver

    scopes = [Scope(each) for each in auth.additional_scopes]
    return OidcProver(_oidc_tokens(auth.oidc, reactor), unix_time, scopes)


def _oidc_tokens(oidc: ClientOidc, reactor: Any) -> Tokens:
    from relaykit.oidc.asking import Asking, ProviderPath
    from relaykit.oidc.proving import GrantedTokens, ReadTokens
    from relaykit.sansio.oidc.answers import TokenRequest

    source = oidc.token_source
    if source is not None:
        return ReadTokens.by(reactor, lambda: read_token(source, "auth.oidc.tokenSource"))
    path = ProviderPath(
        authorities=oidc.trusted_ca_file,
        insecure=oidc.insecure_skip_verify,
        proxy=oidc.proxy_url,
        environ=os.environ,
    )
    request = TokenRequest(
        client_id=oidc.client_id,
        client_secret=oidc.client_secret,
        scope=oidc.scope,
        audience=oidc.audience,
        further=oidc.additional_endpoint_params,
    )
    return GrantedTokens(Asking(reactor, path), oidc.token_endpoint_url, request, reactor)


_MAKERS: Mapping[str, Callable[[ClientAuth, Secret, Any, Callable[[], float]], IProver]] = {
    "token": _by_token,
    "oidc": _by_oidc,
}
