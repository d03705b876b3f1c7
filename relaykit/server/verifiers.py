"""What decides whom a server lets in, by the method that its file names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from relaykit.authentication import TokenVerifier
from relaykit.sansio.control.credentials import Scope

if TYPE_CHECKING:
    from relaykit.config.schema.auth import ServerAuth
    from relaykit.interfaces import IVerifier
    from relaykit.values import Secret

__all__ = ["make_verifier"]


def make_verifier(auth: ServerAuth, token: Secret, reactor: Any) -> IVerifier:
    """The verifier of a configuration; ``token`` is what ``auth.token`` amounts to.

    One that needs a provider's keys asks for them when the reactor runs, and waits for no answer.
    """
    return _MAKERS[auth.method](auth, token, reactor)


def _by_token(auth: ServerAuth, token: Secret, reactor: Any) -> IVerifier:
    return TokenVerifier(token, [Scope(each) for each in auth.additional_scopes])


def _by_oidc(auth: ServerAuth, token: Secret, reactor: Any) -> IVerifier:
    # Few servers need it, and it takes libraries.
    from relaykit.oidc.asking import Asking, ProviderPath
    from relaykit.oidc.verifying import OidcVerifier, ProviderKeys
    from relaykit.sansio.oidc.tokens import TokenRules

    oidc = auth.oidc
    keys = ProviderKeys(Asking(reactor, ProviderPath(environ=os.environ)), oidc.issuer, reactor)
    rules = TokenRules(
        issuer=oidc.issuer,
        audience=oidc.audience,
        skip_expiry_check=oidc.skip_expiry_check,
        skip_issuer_check=oidc.skip_issuer_check,
    )
    reactor.callWhenRunning(keys.refresh)
    unix_time = time.time  # noqa: TID251  # tokens carry the time of day
    return OidcVerifier(keys, rules, unix_time, [Scope(each) for each in auth.additional_scopes])


_MAKERS: Mapping[str, Callable[[ServerAuth, Secret, Any], IVerifier]] = {
    "token": _by_token,
    "oidc": _by_oidc,
}
