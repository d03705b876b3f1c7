"""The local service ``http_proxy``: a forward proxy to whatever the client's machine reaches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen
from zope.interface import implementer

from relaykit.dataplane.kept_legs import KeptLegs
from relaykit.interfaces import ILocalService
from relaykit.local_services.http_targets import HttpTarget, HttpTargets, TargetLeg, TunnelLeg
from relaykit.local_services.targets import parse_target
from relaykit.proxies.http.users import HttpUser
from relaykit.sansio.http.answers import PROXY_UNAUTHORIZED, Answer, refusal
from relaykit.sansio.http.credentials import Credentials, parse_basic
from relaykit.sansio.http.rewriting import Rules

if TYPE_CHECKING:
    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.values import Origin

__all__ = ["WRONG_PASSWORD_S", "HttpProxy", "local_service"]

WRONG_PASSWORD_S: Final = 0.2
"""Seconds that a user waits who gave a wrong user or password, so that it cannot try many; frp's figure."""

_HTTP_PORT = 80

_WRONG_PASSWORD = evolve(PROXY_UNAUTHORIZED, after_s=WRONG_PASSWORD_S)
_NOT_FOR_A_PROXY = refusal(
    400, "this is a forward proxy: ask for a whole URL, as http://example.com/, or for a tunnel by CONNECT"
)
_NOT_BY_TLS = refusal(400, "a forward proxy asks for no https:// itself: ask for a tunnel by CONNECT")


@implementer(ILocalService)
@frozen
class HttpProxy:
    """A forward proxy; ``expected`` are the credentials that users need, if any."""

    expected: Credentials | None = field(default=None, repr=False)

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        targets = _Targets(host, self.expected)
        leg.when_gone(targets.leave)
        HttpUser(leg, origin, targets).start()


class _Targets(HttpTargets):
    """Whatever one user asks for; one connection is kept for its next request."""

    rules = Rules(to_origin=True, tells_user=False, hidden=frozenset())

    def __init__(self, host: ILocalHost, expected: Credentials | None) -> None:
        super().__init__(host)
        self._expected = expected
        self._last: tuple[bytes, HttpTarget] | None = None

    def find(self, head: RequestHead) -> Any:
        if self._expected is not None:
            given = parse_basic(head.said.proxy_authorization)
            if given is None:
                return PROXY_UNAUTHORIZED
            if not given.match(self._expected):
                return _WRONG_PASSWORD
        if not head.is_for_proxy:
            return _NOT_FOR_A_PROXY
        if head.scheme.lower() == b"https":
            return _NOT_BY_TLS
        return self._target(head)

    def _target(self, head: RequestHead) -> HttpTarget | Answer:
        """The same as before for the same address, so that its connection can serve again."""
        is_tunnel = head.method == b"CONNECT"
        if self._last is not None and self._last[0] == head.authority and not is_tunnel:
            return self._last[1]
        try:
            address = parse_target(head.host, 0 if is_tunnel else _HTTP_PORT)
        except ValueError as error:
            return refusal(400, str(error))
        self.leave()
        dial = partial(self.host.dial, address.host, address.port)
        make_leg = TunnelLeg if is_tunnel else TargetLeg
        target = HttpTarget(self.host, dial, KeptLegs(self.reactor, 1), make_leg)
        self._last = None if is_tunnel else (head.authority, target)
        return target

    def leave(self) -> None:
        """Ends the connection to the server that was asked last, once that has answered."""
        last, self._last = self._last, None
        if last is not None:
            last[1].kept.close()


def local_service(httpUser: str = "", httpPassword: str = "") -> HttpProxy:
    """A forward proxy; for everybody, if neither is given."""
    if not (httpUser or httpPassword):
        return HttpProxy()
    return HttpProxy(Credentials(httpUser.encode(), httpPassword.encode()))
