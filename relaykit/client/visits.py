"""The visitors of this client, and the visits that they open through the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit.client.hosts import VisitorHost
from relaykit.client.offers import wire_name
from relaykit.client.starting import GuardedServices
from relaykit.client.status import VisitorStatus
from relaykit.dataplane.transforms import transformed
from relaykit.errors import BrokenProxyType, RefusalCode, VisitRefusedError
from relaykit.interfaces import ISessionFollower, IVisitableProxyType
from relaykit.sansio.control.binding import Purpose
from relaykit.sansio.control.offering import VISIT_TIMEOUT_S, Refusal, open_visit, visit_answer
from relaykit.sansio.wire.cipher import derive_key

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.client.hosts import CurrentSession
    from relaykit.client.session import Session
    from relaykit.config.load import ConfiguredVisitor
    from relaykit.interfaces import IDataPlane, ILegAcceptor, IListeningPort, IStreamLeg, IVisitor
    from relaykit.options import VisitorCommon
    from relaykit.plugins import ProxyTypes

__all__ = ["Visitors", "visit"]


class Visitors(GuardedServices):
    """The configured visitors, by name."""

    log = Logger()

    def __init__(
        self,
        visitors: Sequence[ConfiguredVisitor],
        user: str,
        types: ProxyTypes,
        session: CurrentSession,
        data_plane: IDataPlane,
        listen: Callable[[str, int, ILegAcceptor], IListeningPort],
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._visitors: dict[str, tuple[IVisitor, VisitorHost]] = {}
        for configured in visitors:
            common = configured.common
            proxy_type = types.get(configured.type_name)
            if not IVisitableProxyType.providedBy(proxy_type):
                raise BrokenProxyType(
                    f'visitor "{common.name}": proxy type "{configured.type_name}" has no visitors'
                )
            name = wire_name(common.server_user or user, common.server_name)
            host = VisitorHost(clock, data_plane, session, common, name, listen)
            visitor = proxy_type.make_visitor(configured.options, host)
            self._visitors[common.name] = (visitor, host)
            self.adopt(visitor, common.name)

    @property
    def names(self) -> list[str]:
        """The names of all visitors, sorted."""
        return sorted(self._visitors)

    def status(self) -> tuple[VisitorStatus, ...]:
        """How each visitor stands, in the order of the configuration."""
        return tuple(
            VisitorStatus(name=name, listening=host.listening) for name, (_, host) in self._visitors.items()
        )

    def session_started(self) -> None:
        """Tells those who follow the session that there is one."""
        for name, follower in self._followers():
            self._tell(name, follower.session_started)

    def session_ended(self) -> None:
        """Tells them that there is none any more."""
        for name, follower in self._followers():
            self._tell(name, follower.session_ended)

    def _followers(self) -> Iterator[tuple[str, ISessionFollower]]:
        for name, (visitor, _) in self._visitors.items():
            if ISessionFollower.providedBy(visitor):
                yield name, visitor

    def _tell(self, name: str, told: Callable[[], None]) -> None:
        try:
            told()
        except Exception:
            # The visitor may be somebody else's.
            self.log.failure("[{visitor}] a defect while it was told of the session", visitor=name)

    def find(self, name: str) -> tuple[IVisitor, VisitorHost] | None:
        """A visitor and what it may use."""
        return self._visitors.get(name)


async def visit(
    session: Session,
    common: VisitorCommon,
    proxy_name: str,
    clock: IReactorTime,
    unix_time: Callable[[], float],
    entropy: Callable[[int], bytes],
) -> IStreamLeg:
    """Opens a visit of a session and answers its leg, transforms included.

    :raises VisitRefusedError: the server said no.
    :raises ConnectionFailed: the connection ended, or the answer took too long.
    """
    transport = common.transport
    leg, binding = await session.open_leg(Purpose.VISIT)
    try:
        leg.write(
            open_visit(
                session.framing,
                session.run_id,
                proxy_name,
                common.secret_key,
                unix_time(),
                use_encryption=transport.use_encryption,
                use_compression=transport.use_compression,
                binding=binding,
            )
        )
        answer = await leg.take(visit_answer(session.framing)).addTimeout(VISIT_TIMEOUT_S, clock)
    except DeadlinePassed:
        leg.close()
        raise VisitRefusedError(
            RefusalCode.OTHER, f"the server did not answer within {VISIT_TIMEOUT_S:g} s"
        ) from None
    except Exception:
        leg.close()
        raise
    if isinstance(answer, Refusal):
        leg.close()
        raise VisitRefusedError(RefusalCode.OTHER, answer.text)
    key = derive_key(common.secret_key.to_bytes()) if transport.use_encryption else None
    return transformed(leg, key, transport.use_compression, entropy)
