"""The ports of the server that proxies may open: allowed ranges, quotas, names that get theirs back."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from relaykit.dataplane.listening import ListenFailed
from relaykit.errors import ProxyRefusedError, RefusalCode
from relaykit.interfaces import IListeningPort, IPorts
from relaykit.sansio.parsers.recognizing import Rank
from relaykit.values import HIGHEST_PORT

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IDatagramAcceptor, ILegAcceptor, IPortHolder
    from relaykit.sansio.contract import Recognizer
    from relaykit.values import Address

__all__ = ["PortProtocol", "ServerPorts"]

REMEMBERED_NAMES = 10_000
"""Names whose last picked port is remembered; the oldest are forgotten first.  Some 10 MB at most: a name has
255 characters."""

REMEMBERED_S = 24 * 3600.0
"""How long a name has a claim on the port it last had; frp's figure."""

PICK_ATTEMPTS = 5
"""Ports tried before "no available port"; frp's figure."""

ANY_PORT = (range(1, HIGHEST_PORT + 1),)


class PortProtocol(enum.Enum):
    """What a port is one of: tcp 6000 and udp 6000 are two ports."""

    TCP = "tcp"
    UDP = "udp"


_REFUSAL = {PortProtocol.TCP: "{reason}", PortProtocol.UDP: "acquire port {port} error: {reason}"}
"""What a client is told that does not get the port it asked for.  Source: frp's server/proxy."""


@implementer(IListeningPort)
@define(eq=False)
class _HeldPort:
    """A port of one proxy; closing it gives it back to the others."""

    _ports: ServerPorts
    _port: IListeningPort
    _protocol: PortProtocol
    _holder: IPortHolder
    _open: bool = field(default=True, init=False)

    @property
    def address(self) -> Address:
        address: Address = self._port.address
        return address

    def close(self) -> None:
        if self._open:
            self._open = False
            number = self.address.port
            self._port.close()
            self._ports.released(self._protocol, number, self._holder.name)


@implementer(IPorts)
class ServerPorts:
    """Opens ports on one address, within the allowed ranges and each client's quota.

    The ranges hold for each protocol, the quota for all ports of a client together, as at frp.

    ``listen[protocol](port, acceptor)`` opens a port and raises
    :class:`relaykit.dataplane.listening.ListenFailed`; ``share`` likewise opens or shares one that belongs to
    no proxy, see :meth:`relaykit.dataplane.shared_ports.SharedPorts.claim`, its address left out.
    ``pick(n)`` answers a random number below ``n``.  ``most`` is that of all clients together, None for any.
    ``release(run_id)`` takes from a client that gives no sign of life all that it holds, and answers whether
    it did.
    """

    def __init__(
        self,
        listen: Mapping[PortProtocol, Callable[[int, Any], IListeningPort]],
        clock: IReactorTime,
        pick: Callable[[int], int],
        allowed: Sequence[range] = (),
        most_per_client: int = 0,
        most: int | None = None,
        release: Callable[[str], Deferred[bool]] = lambda run_id: succeed(False),
        share: Callable[[int, ILegAcceptor, str, Recognizer | None, bool, Rank], IListeningPort]
        | None = None,
    ) -> None:
        self._listen = listen
        self._share = share
        self._release = release
        self._clock = clock
        self._pick = pick
        self.restrict(allowed, most_per_client)
        self._most = most
        self._held: dict[tuple[PortProtocol, int], IPortHolder] = {}
        """Ports that proxies have; whose client one belongs to may change."""
        self._last_port: OrderedDict[tuple[PortProtocol, str], tuple[int, float]] = OrderedDict()

    def restrict(self, allowed: Sequence[range], most_per_client: int) -> None:
        """Allows these ports, and so many to a client, from now on; what is open stays open."""
        self._allowed = tuple(allowed) or ANY_PORT
        self._most_per_client = most_per_client

    def listen_stream(
        self, port: int, acceptor: ILegAcceptor, holder: IPortHolder
    ) -> Deferred[IListeningPort]:
        return self._listen_for(PortProtocol.TCP, port, acceptor, holder)

    def listen_datagrams(
        self, port: int, acceptor: IDatagramAcceptor, holder: IPortHolder
    ) -> Deferred[IListeningPort]:
        return self._listen_for(PortProtocol.UDP, port, acceptor, holder)

    def share_stream(
        self,
        port: int,
        acceptor: ILegAcceptor,
        key: str,
        recognizer: Recognizer | None = None,
        takes_rest: bool = False,
        rank: Rank = Rank.SHARED,
    ) -> IListeningPort:
        if self._share is None:
            raise ListenFailed(f"{key}: nobody shares ports here")
        return self._share(port, acceptor, key, recognizer, takes_rest, rank)

    def released(self, protocol: PortProtocol, number: int, name: str) -> None:
        """A proxy gave its port back; its name keeps a claim on it for a while."""
        self._held.pop((protocol, number), None)
        last = protocol, name
        self._last_port[last] = (number, self._clock.seconds() + REMEMBERED_S)
        self._last_port.move_to_end(last)
        while len(self._last_port) > REMEMBERED_NAMES:
            self._last_port.popitem(last=False)

    def _listen_for(
        self, protocol: PortProtocol, port: int, acceptor: object, holder: IPortHolder
    ) -> Deferred[IListeningPort]:
        request = _Request(protocol, port, acceptor, holder)
        return Deferred.fromCoroutine(self._open_released(request))

    async def _open_released(self, request: _Request) -> IListeningPort:
        """Opens a port, if need be after having taken it from a client that is silent."""
        run_id = request.holder.identity.run_id
        while (present := self._held.get((request.protocol, request.port))) is not None:
            held_by = present.identity.run_id
            if held_by == run_id or not await self._release(held_by) or held_by == present.identity.run_id:
                break
        return self._open(request)

    def _open(self, request: _Request) -> IListeningPort:
        if 0 < self._most_per_client <= self._ports_of(request.holder.identity.run_id):
            raise ProxyRefusedError(RefusalCode.TOO_MANY_PORTS, "exceed the max_ports_per_client")
        if self._most is not None and len(self._held) >= self._most:
            reason = f"{self._most} ports are open for proxies, half of the files that the server may open"
            raise request.refused(RefusalCode.TOO_MANY_PORTS, f"{reason}; raise its limit (LimitNOFILE=)")
        opened = self._open_given(request) if request.port else self._open_any(request)
        self._held[request.protocol, opened.address.port] = request.holder
        return _HeldPort(self, opened, request.protocol, request.holder)

    def _ports_of(self, run_id: str) -> int:
        return sum(holder.identity.run_id == run_id for holder in self._held.values())

    def _open_given(self, request: _Request) -> IListeningPort:
        if (request.protocol, request.port) in self._held:
            raise request.refused(RefusalCode.PORT_IN_USE, "port already used")
        if not any(request.port in each for each in self._allowed):
            raise request.refused(RefusalCode.PORT_NOT_ALLOWED, "port not allowed")
        try:
            return self._listen[request.protocol](request.port, request.acceptor)
        except ListenFailed as error:
            raise request.refused(RefusalCode.PORT_UNAVAILABLE, "port unavailable", error) from error

    def _open_any(self, request: _Request) -> IListeningPort:
        failed: ListenFailed | None = None
        for port in self._candidates(request.protocol, request.holder.name):
            try:
                return self._listen[request.protocol](port, request.acceptor)
            except ListenFailed as error:
                failed = error
        raise request.refused(RefusalCode.PORT_UNAVAILABLE, "no available port", failed)

    def _candidates(self, protocol: PortProtocol, name: str) -> Iterator[int]:
        last = self._last_port.get((protocol, name))
        if last is not None and last[1] > self._clock.seconds() and self._is_free(protocol, last[0]):
            yield last[0]
        total = sum(len(each) for each in self._allowed)
        for _ in range(PICK_ATTEMPTS if total else 0):
            port = self._nth(self._pick(total))
            if self._is_free(protocol, port):
                yield port
        if total <= PICK_ATTEMPTS:
            yield from (port for port in map(self._nth, range(total)) if self._is_free(protocol, port))

    def _is_free(self, protocol: PortProtocol, port: int) -> bool:
        return (protocol, port) not in self._held and any(port in each for each in self._allowed)

    def _nth(self, index: int) -> int:
        for each in self._allowed:
            if index < len(each):
                return each[index]
            index -= len(each)
        raise IndexError(index)


@frozen
class _Request:
    """What a proxy asks for."""

    protocol: PortProtocol
    port: int
    acceptor: Any
    holder: IPortHolder

    def refused(
        self, code: RefusalCode, reason: str, failed: ListenFailed | None = None
    ) -> ProxyRefusedError:
        """The refusal, in frp's words; then what the system said, without the server's address."""
        if failed is not None and failed.why:
            reason = f"{reason} (at the server: {failed.why})"
        return ProxyRefusedError(code, _REFUSAL[self.protocol].format(port=self.port, reason=reason))
