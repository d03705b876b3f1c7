"""The ports of the server that proxies may open: allowed ranges, quotas, names that get theirs back."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from relaykit.dataplane.listening import ListenFailed
from relaykit.errors import ProxyRefusedError, RefusalCode
from relaykit.interfaces import IListeningPort, IPorts

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import ILegAcceptor, IRegisteredProxy
    from relaykit.values import Address

__all__ = ["ServerPorts"]

REMEMBERED_NAMES = 10_000
"""Names whose last picked port is remembered; the oldest are forgotten first.  A few MB at most."""

REMEMBERED_S = 24 * 3600.0
"""How long a name has a claim on the port it last had; frp's figure."""

PICK_ATTEMPTS = 5
"""Ports tried before "no available port"; frp's figure."""

HIGHEST_PORT = 65535


ANY_PORT = (range(1, HIGHEST_PORT + 1),)


@implementer(IListeningPort)
@define(eq=False)
class _HeldPort:
    """A port of one proxy; closing it gives it back to the others."""

    _ports: ServerPorts
    _port: IListeningPort
    _name: str
    _run_id: str
    _number: int
    _open: bool = field(default=True, init=False)

    @property
    def address(self) -> Address:
        address: Address = self._port.address
        return address

    def close(self) -> None:
        if self._open:
            self._open = False
            self._port.close()
            self._ports.released(self._number, self._name, self._run_id)


@implementer(IPorts)
class ServerPorts:
    """Opens ports on one address, within the allowed ranges and each client's quota.

    ``listen(port, acceptor)`` opens a TCP port and raises
    :class:`relaykit.dataplane.listening.ListenFailed`; ``pick(n)`` answers a random number below ``n``.
    ``release(run_id)`` takes from a client that gives no sign of life all that it holds, and answers
    whether it did.
    """

    def __init__(
        self,
        listen: Callable[[int, ILegAcceptor], IListeningPort],
        clock: IReactorTime,
        pick: Callable[[int], int],
        allowed: Sequence[range] = (),
        most_per_client: int = 0,
        release: Callable[[str], Deferred[bool]] = lambda run_id: succeed(False),
    ) -> None:
        self._listen = listen
        self._release = release
        self._clock = clock
        self._pick = pick
        self._allowed = tuple(allowed) or ANY_PORT
        self._most_per_client = most_per_client
        self._held: dict[int, str] = {}
        """Ports that proxies have, each with the run id of the client."""
        self._per_client: Counter[str] = Counter()
        self._last_port: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def listen_stream(
        self, port: int, acceptor: ILegAcceptor, holder: IRegisteredProxy
    ) -> Deferred[IListeningPort]:
        return Deferred.fromCoroutine(self._open_released(port, acceptor, holder))

    def released(self, number: int, name: str, run_id: str) -> None:
        """A proxy gave its port back; its name keeps a claim on it for a while."""
        self._held.pop(number, None)
        self._per_client[run_id] -= 1
        if self._per_client[run_id] <= 0:
            del self._per_client[run_id]
        self._last_port[name] = (number, self._clock.seconds() + REMEMBERED_S)
        self._last_port.move_to_end(name)
        while len(self._last_port) > REMEMBERED_NAMES:
            self._last_port.popitem(last=False)

    async def _open_released(
        self, port: int, acceptor: ILegAcceptor, holder: IRegisteredProxy
    ) -> IListeningPort:
        """Opens a port, if need be after having taken it from a client that is silent."""
        present = self._held.get(port)
        if present is not None and present != holder.identity.run_id:
            await self._release(present)
        return self._open(port, acceptor, holder)

    def _open(self, port: int, acceptor: ILegAcceptor, holder: IRegisteredProxy) -> IListeningPort:
        run_id = holder.identity.run_id
        if self._most_per_client and self._per_client[run_id] >= self._most_per_client:
            raise ProxyRefusedError(RefusalCode.TOO_MANY_PORTS, "exceed the max_ports_per_client")
        opened = self._open_given(port, acceptor) if port else self._open_any(holder.name, acceptor)
        number = opened.address.port
        self._held[number] = run_id
        self._per_client[run_id] += 1
        return _HeldPort(self, opened, holder.name, run_id, number)

    def _open_given(self, port: int, acceptor: ILegAcceptor) -> IListeningPort:
        if port in self._held:
            raise ProxyRefusedError(RefusalCode.PORT_IN_USE, "port already used")
        if not any(port in each for each in self._allowed):
            raise ProxyRefusedError(RefusalCode.PORT_NOT_ALLOWED, "port not allowed")
        try:
            return self._listen(port, acceptor)
        except ListenFailed as error:
            raise ProxyRefusedError(RefusalCode.PORT_UNAVAILABLE, "port unavailable") from error

    def _open_any(self, name: str, acceptor: ILegAcceptor) -> IListeningPort:
        for port in self._candidates(name):
            try:
                return self._listen(port, acceptor)
            except ListenFailed:
                continue
        raise ProxyRefusedError(RefusalCode.PORT_UNAVAILABLE, "no available port")

    def _candidates(self, name: str) -> Iterator[int]:
        last = self._last_port.pop(name, None)
        if last is not None and last[1] > self._clock.seconds() and self._is_free(last[0]):
            yield last[0]
        total = sum(len(each) for each in self._allowed)
        for _ in range(PICK_ATTEMPTS if total else 0):
            port = self._nth(self._pick(total))
            if self._is_free(port):
                yield port
        if total <= PICK_ATTEMPTS:
            yield from (port for port in map(self._nth, range(total)) if self._is_free(port))

    def _is_free(self, port: int) -> bool:
        return port not in self._held and any(port in each for each in self._allowed)

    def _nth(self, index: int) -> int:
        for each in self._allowed:
            if index < len(each):
                return each[index]
            index -= len(each)
        raise IndexError(index)
