"""The local service ``socks5``: connects users to whatever the client's machine reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import ILocalService
from relaykit.sansio.forward_proxies.socks5_users import SocksRefused, connected, refusal_of, serve_socks5
from relaykit.sansio.http.credentials import Credentials
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.values import Address, Origin

__all__ = ["STEP_S", "Socks5", "local_service"]

STEP_S: Final = 60.0
"""Seconds for each thing that a user has to say before it is connected; frp waits for ever."""


@implementer(ILocalService)
@frozen
class Socks5:
    """A SOCKS 5 proxy; ``expected`` are the credentials that users need, if any."""

    expected: Credentials | None = field(default=None, repr=False)

    log = Logger()

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        Deferred.fromCoroutine(self._serve(leg, host)).addErrback(self._failed, leg, origin)

    async def _serve(self, leg: IStreamLeg, host: ILocalHost) -> None:
        target = await self._target(leg, host)
        dialing = host.dial(target.host, target.port)
        leg.when_gone(dialing.cancel)
        try:
            far: IStreamLeg = await dialing
        except ConnectionFailed as error:
            raise SocksRefused(refusal_of(error.problem), str(error)) from error
        leg.write(connected(far.host))
        host.forward(leg, far)

    async def _target(self, leg: IStreamLeg, host: ILocalHost) -> Address:
        requesting = serve_socks5(self.expected)
        said: Any = None
        while True:
            try:
                step = requesting.send(said)
            except StopIteration as end:
                target: Address = end.value
                return target
            if step.request:
                leg.write(step.request)
            taking: Deferred[Any] = leg.take(step.answer)
            said = await taking.addTimeout(STEP_S, host.reactor)

    def _failed(self, failure: Failure, leg: IStreamLeg, origin: Origin) -> None:
        """A user is not served."""
        refused: Any = failure.value
        if failure.check(SocksRefused):
            leg.write(refused.answer)
            leg.close()
        elif failure.check(RemoteProtocolError, ConnectionFailed, TimeoutError, CancelledError):
            leg.close()
        else:
            self.log.failure("a defect while a user of SOCKS 5 was served", failure)
            leg.abort()
            return
        self.log.debug(
            "socks5: {origin} is not served: {reason}",
            origin=origin,
            reason=str(refused) or type(refused).__name__,
            stranger=host_of(origin.source),
            ended=Ended.REFUSED.value,
        )


def local_service(username: str = "", password: str = "") -> Socks5:
    """A SOCKS 5 proxy; for everybody, if neither is given."""
    if not (username or password):
        return Socks5()
    return Socks5(Credentials(username.encode(), password.encode()))
