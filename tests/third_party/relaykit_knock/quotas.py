"""The policy ``quotas``: users with tokens, so many proxies for each, and a file of what they did."""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from attrs import define, field, frozen
from relaykit.errors import RefusedByPolicy
from relaykit.interfaces import IJudge, IPolicy
from relaykit.options import FileUse, Options, Problem, doc, file
from relaykit.policy_requests import LoginRequest, ProxyClosed, ProxyRequest, UserRequest
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.policy_requests import Request

__all__ = ["QuotaOptions", "policy"]


class QuotaOptions(Options, frozen=True, kw_only=True):
    """The server's table ``[policies.quotas]``."""

    tokens_file: Annotated[
        str,
        file(FileUse.SECRET),
        doc("JSON object: the token of each user, as metadatas.token."),
    ]
    most_proxies: Annotated[int, doc("Most proxies that one user may have.")] = 2
    audit_file: Annotated[
        str, file(FileUse.WRITTEN), doc("File with a line for each thing that was asked for.")
    ]

    def problems(self) -> Iterable[Problem]:
        if self.most_proxies < 1:
            yield Problem("mostProxies", f"must be at least 1, not {self.most_proxies}")


@implementer(IJudge)
@define(eq=False)
class Quotas:
    """Keeps count of the proxies of each user."""

    _options: QuotaOptions
    _proxies: Counter[str] = field(factory=Counter)

    decides = frozenset({LoginRequest, ProxyRequest, ProxyClosed, UserRequest})

    def judge(self, request: Request) -> None:
        self._note(request)
        if isinstance(request, LoginRequest):
            self._check_token(request)
        elif isinstance(request, ProxyRequest):
            self._take(request.client.user)
        elif isinstance(request, ProxyClosed):
            self._proxies[request.client.user] -= 1

    def _check_token(self, request: LoginRequest) -> None:
        with open(self._options.tokens_file, encoding="utf-8") as tokens:
            expected = json.load(tokens).get(request.user)
        given = request.metas.get("token", "")
        if expected is None or not hmac.compare_digest(expected.encode(), given.encode()):
            raise RefusedByPolicy(f"user {request.user} is not known with that token: see metadatas.token")

    def _take(self, user: str) -> None:
        if self._proxies[user] >= self._options.most_proxies:
            raise RefusedByPolicy(f"user {user} may have {self._options.most_proxies} proxies")
        self._proxies[user] += 1

    def _note(self, request: Request) -> None:
        line = {"what": type(request).__name__, "user": request.client.user}
        with open(self._options.audit_file, "a", encoding="utf-8") as audit:
            audit.write(json.dumps(line) + "\n")


@implementer(IPolicy)
@frozen
class _QuotaPolicy:
    name = "quotas"
    options = QuotaOptions

    def make_judge(self, options: QuotaOptions, reactor: Any) -> Quotas:
        return Quotas(options)


policy = _QuotaPolicy()
