"""The ways in which a visitor gets a direct path to the proxy's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger

from relaykit.errors import RefusalCode, VisitRefusedError
from relaykit.escaping import told
from relaykit.proxies.peers import Peers
from relaykit.proxies.xtcp.transactions import PRE_CHECK_S, Transactions
from relaykit.proxies.xtcp.tunnels import NoGuests, frp_streams, open_path
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nathole.messages import NatHoleResp, NatHoleVisitor

if TYPE_CHECKING:
    from relaykit.interfaces import IHoleSocket, IStreamPath, IVisitorHost
    from relaykit.proxies.xtcp.options import XtcpVisitorOptions

__all__ = ["FrpWay", "Way"]


class Way(Protocol):
    """One way to a direct path."""

    @property
    def is_open(self) -> bool:
        """Whether it is worth a try in this session."""

    def prepare(self) -> None:
        """Gets ready for users, who come at any moment: what takes a while is not left for the first."""

    async def path(self) -> IStreamPath:
        """A path of streams to the proxy's client, which the caller owns.

        :raises VisitRefusedError: the server says no.
        :raises RelaykitError: there is none this time.
        """


class FrpWay:
    """frp's: the server tells both ends how to punch a hole, through which QUIC or KCP goes."""

    log = Logger()

    def __init__(self, options: XtcpVisitorOptions, host: IVisitorHost, transactions: Transactions) -> None:
        self._options = options
        self._host = host
        self._transactions = transactions
        self._has_warned = False

    @property
    def is_open(self) -> bool:
        """Whether frp's ends may take part: with them nobody on the way is found out."""
        return Peers(self._options.peers).admits_frp(self._host.takes_signals)

    def prepare(self) -> None:
        self._host.holes.prepare(self._options.protocol, PeerRole.INITIATOR)

    async def path(self) -> IStreamPath:
        options, host = self._options, self._host
        streams = frp_streams(host, options.protocol)
        _check(await self._transactions.ask(NatHoleVisitor, PRE_CHECK_S, pre_check=True))
        socket: IHoleSocket = await host.holes.open_socket(not options.nat_traversal.disable_assisted_addrs)
        try:
            sign_key, timestamp = host.sign(options.secret_key)
            told = await self._transactions.ask(
                NatHoleVisitor,
                protocol=options.protocol,
                sign_key=sign_key,
                timestamp=timestamp,
                mapped_addrs=tuple(map(str, socket.mapped)),
                assisted_addrs=tuple(map(str, socket.interfaces)),
            )
            _check(told)
        except BaseException:
            socket.close()
            raise
        datagrams = await socket.punch(told, options.secret_key)
        self._warn()
        host.way = f"a direct path with {datagrams.peer}, as frp has it"
        return await open_path(host, streams, datagrams, PeerRole.INITIATOR, options.secret_key, NoGuests())

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            self.log.warn(
                "[{visitor}] a direct path as frp has it: neither end proves itself to the other, so whoever "
                "runs the server can take the place of either",
                visitor=self._host.name,
                problem="server-knows-secret",
            )


def _check(response: NatHoleResp) -> None:
    """Goes on if the server says yes.

    :raises VisitRefusedError: it says no.
    """
    if response.error:
        raise VisitRefusedError(RefusalCode.OTHER, told(response.error))
