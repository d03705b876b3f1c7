"""The ways in which a visitor gets a direct path to the proxy's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relaykit.errors import RefusalCode, VisitRefusedError
from relaykit.escaping import told
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

    async def path(self) -> IStreamPath:
        """A path of streams to the proxy's client, which the caller owns.

        :raises VisitRefusedError: the server says no.
        :raises RelaykitError: there is none this time.
        """


class FrpWay:
    """frp's: the server tells both ends how to punch a hole, through which QUIC or KCP goes."""

    is_open = True

    def __init__(self, options: XtcpVisitorOptions, host: IVisitorHost, transactions: Transactions) -> None:
        self._options = options
        self._host = host
        self._transactions = transactions

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
        return await open_path(host, streams, datagrams, PeerRole.INITIATOR, options.secret_key, NoGuests())


def _check(response: NatHoleResp) -> None:
    """Goes on if the server says yes.

    :raises VisitRefusedError: it says no.
    """
    if response.error:
        raise VisitRefusedError(RefusalCode.OTHER, told(response.error))
