"""The visitors of this client, and the visits that they open through the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import TimeoutError as DeadlinePassed

from relaykit.client.hosts import VisitorHost
from relaykit.client.registrar import wire_name
from relaykit.client.standing_visits import StandingVisit
from relaykit.client.starting import GuardedServices, differing, naming, planned
from relaykit.client.status import VisitorStatus
from relaykit.dataplane.transforms import transformed
from relaykit.errors import BrokenProxyType, RefusalCode, UnknownVisitorError, VisitRefusedError
from relaykit.escaping import masked_endpoint
from relaykit.interfaces import ILegAcceptor, ISessionFollower, IVisitableProxyType
from relaykit.options import is_led_back
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.client_opening import VISIT_TIMEOUT_S, Refusal, open_visit, visit_answer

if TYPE_CHECKING:
    from relaykit.client.hosts import HostedClient
    from relaykit.client.session import Session
    from relaykit.config.load import ConfiguredVisitor
    from relaykit.interfaces import IStreamLeg, IVisitor
    from relaykit.options import Options, VisitorCommon
    from relaykit.plugins import ProxyTypes
    from relaykit.values import Origin, Secret

__all__ = ["LocalVisitor", "Visitors", "visit", "visited_type_of"]


def visited_type_of(types: ProxyTypes, configured: ConfiguredVisitor) -> IVisitableProxyType:
    """The type of a visitor.

    :raises PluginError: it cannot be used, or has no visitors; the text names the visitor.
    """
    with naming(f'visitor "{configured.common.name}"'):
        found = types.get(configured.type_name)
        if not IVisitableProxyType.providedBy(found):
            raise BrokenProxyType(f'proxy type "{configured.type_name}" has no visitors')
        return found


@frozen(eq=False)
class LocalVisitor:
    """A configured visitor, and what it may use."""

    configured: ConfiguredVisitor
    visitor: IVisitor
    host: VisitorHost
    standing: StandingVisit | None = None

    def end_standing(self) -> None:
        """Ends its standing visit, if it has one."""
        if self.standing is not None:
            self.standing.disownServiceParent()

    @property
    def followers(self) -> Iterator[ISessionFollower]:
        """What of it follows the session."""
        parts: tuple[object, ...] = (self.visitor, self.standing)
        return (each for each in parts if ISessionFollower.providedBy(each))


class Visitors(GuardedServices):
    """The visitors of this client, by name."""

    def __init__(self, client: HostedClient, types: ProxyTypes, user: str) -> None:
        super().__init__()
        self._client = client
        self._types = types
        self._user = user
        self._visitors: dict[str, LocalVisitor] = {}
        self._online = False

    def planned(self, visitors: Sequence[ConfiguredVisitor]) -> dict[str, LocalVisitor]:
        """What :meth:`update` makes of a configuration: new visitors, and what is there as it is.

        :raises PluginError: a visitor cannot be made; the text names it.
        """
        return planned(self._visitors, [(each.common.name, each) for each in visitors], self._make)

    def update(self, plan: Mapping[str, LocalVisitor]) -> tuple[list[str], list[str]]:
        """Replaces the visitors; answers the names that went and those that came, sorted.

        What is in the plan already stays as it is.  The ports of what is not are closed; the flows that
        run go on, as with frp's reload.
        """
        gone, came = differing(self._visitors, plan), differing(plan, self._visitors)
        for name in gone:
            self._visitors[name].end_standing()
            self.dismiss(self._visitors[name].visitor)
            self._visitors[name].host.close()
        self._visitors = dict(plan)
        for name in came:
            self.adopt(plan[name].visitor, name)
            if (standing := plan[name].standing) is not None:
                standing.setServiceParent(self)
        if self._online:
            for name, follower in self._followers(came):
                self._tell(name, follower.session_started)
        return sorted(gone), sorted(came)

    def _make(self, configured: ConfiguredVisitor, name: str) -> LocalVisitor:
        common = configured.common
        visited = wire_name(common.server_user or self._user, common.server_name)
        host = VisitorHost(self._client, common, visited)
        proxy_type = visited_type_of(self._types, configured)
        self._client.messages.use(proxy_type)
        try:
            visitor = proxy_type.make_visitor(configured.options, host)
        except Exception as error:
            raise BrokenProxyType(f'visitor "{name}": it cannot be made: {error}') from error
        if not common.local:
            return LocalVisitor(configured, visitor, host)
        if not ILegAcceptor.providedBy(visitor):
            raise BrokenProxyType(
                f'visitor "{name}": it takes no streams, which the local service has that it is to connect'
            )
        return LocalVisitor(configured, visitor, host, StandingVisit(self._client, host, visitor))

    @property
    def names(self) -> list[str]:
        """The names of all visitors, sorted."""
        return sorted(self._visitors)

    def of_type(self, name: str) -> Iterator[tuple[IVisitor, VisitorHost]]:
        """The visitors of a proxy type, and what each may use."""
        return (
            (each.visitor, each.host) for each in self._visitors.values() if each.configured.type_name == name
        )

    def hosts(self) -> Iterator[VisitorHost]:
        """What the visitors may use."""
        return (each.host for each in self._visitors.values())

    def status(self) -> tuple[VisitorStatus, ...]:
        """How each visitor stands, in the order of the configuration."""
        return tuple(
            VisitorStatus(
                name=name,
                listening=each.host.listening,
                reason=self.failed.get(name) or each.host.reason,
                next_try=each.host.next_try,
                users=len(each.host.flows),
                way=each.host.way,
                since=each.host.since,
                last=each.host.last,
                local=masked_endpoint(each.host.common.local),
            )
            for name, each in self._visitors.items()
        )

    def session_started(self) -> None:
        """Tells those who follow the session that there is one."""
        self._online = True
        for name, follower in self._followers(self._visitors):
            self._tell(name, follower.session_started)

    def session_ended(self) -> None:
        """Tells them that there is none any more."""
        self._online = False
        for name, follower in self._followers(self._visitors):
            self._tell(name, follower.session_ended)

    def find(self, name: str) -> tuple[IVisitor, VisitorHost] | None:
        """A visitor and what it may use."""
        found = self._visitors.get(name)
        return None if found is None else (found.visitor, found.host)

    def taker(self, name: str, instead_of: str) -> ILegAcceptor:
        """The visitor that takes a user from another one.

        :raises UnknownVisitorError: it is not there, takes no streams, or would hand the user back.
        """
        found = self._visitors.get(name)
        if found is None:
            raise UnknownVisitorError(f'there is no visitor "{name}" to take users of "{instead_of}"')
        if not ILegAcceptor.providedBy(found.visitor):
            raise UnknownVisitorError(
                f'the visitor "{name}" takes no streams, as users of "{instead_of}" send'
            )
        if is_led_back(instead_of, name, self._options_of):
            raise UnknownVisitorError(f'the visitor "{name}" hands its users to "{instead_of}" itself')
        return found.visitor

    def _options_of(self, name: str) -> Options | None:
        found = self._visitors.get(name)
        return None if found is None else found.configured.options

    def _followers(self, names: Iterable[str]) -> Iterator[tuple[str, ISessionFollower]]:
        for name in names:
            for follower in self._visitors[name].followers:
                yield name, follower

    def _tell(self, name: str, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            # The visitor may be somebody else's.
            self.log.failure("[{visitor}] a defect while it was told of the session", visitor=name)


async def visit(
    session: Session,
    common: VisitorCommon,
    proxy_name: str,
    secret: Secret,
    origin: Origin,
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
                secret,
                unix_time(),
                use_encryption=transport.use_encryption,
                use_compression=transport.use_compression,
                binding=binding,
                user=origin.source if session.takes_visitor_users else None,
            )
        )
        answer = await leg.take(visit_answer(session.framing)).addTimeout(VISIT_TIMEOUT_S, session.clock)
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
    return transformed(leg, transport, secret, entropy)
