"""A UDP port in memory, to which clients send from addresses that may change, with QUIC on both sides."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from relaykit.carriers.quic.accepting import QuicAcceptor
from relaykit.carriers.quic.adapter import Library
from relaykit.carriers.quic.dialing import QuicDialer
from relaykit.carriers.quic.port import QuicPort
from relaykit.certificates.own import self_signed
from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.dataplane.tls import TlsContext, client_context, server_context
from relaykit.interfaces import IDatagramAcceptor, IDialHost, IListeningPort
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address, Ended, Origin
from tests.carriers.quic.test_path import Echo
from tests.certificates.test_own import NOW

__all__ = ["PAIR", "SERVER", "Dialing", "Net", "QuicOptions", "Stranger"]

PAIR = self_signed(NOW)
SERVER = Address("192.0.2.9", 7000)
DELAY_S = 0.005
_MOST_STEPS = 100_000


@frozen
class QuicOptions:
    """What ``transport.quic`` has."""

    keepalive_period: int = 10
    max_idle_timeout: int = 30
    max_incoming_streams: int = 100_000


class _Leg(DatagramLeg):
    """One source at the port."""

    def __init__(self, net: Net, source: Address) -> None:
        super().__init__(net.network, source, SERVER)
        self.net = net
        self.arrive = self._arrived

    def send(self, data: Any) -> bool:
        if self._closed or self.peer is None:
            return False
        self.net.answer(self.peer, bytes(data))
        return True

    def close(self) -> None:
        if self.peer is not None:
            self.net.legs.pop(self.peer, None)
        self._silence()
        self._lose_soon(Ended.FINISHED)


class Stranger(DatagramLeg):
    """Who sends to the port from an address of his own, and is answered there."""

    def __init__(self, net: Net, address: Address) -> None:
        super().__init__(net.network, SERVER, address)
        self.net = net
        self.address = address
        self.sent_bytes = self.got_bytes = 0
        self.got: list[bytes] = []
        self.arrive = self._arrived

    def send(self, data: Any) -> bool:
        if not self._closed:
            self.net.carry(self, self.address, bytes(data))
        return not self._closed

    def move(self, address: Address) -> None:
        """Is elsewhere from now on; nobody tells the port."""
        self.net.clients.pop(self.address, None)
        self.address = address
        self.net.clients[address] = self

    def close(self) -> None:
        self._silence()
        self._lose_soon(Ended.FINISHED)


@implementer(IListeningPort)
class Net:
    """The port, what a carrier's halves may use, and what has come of it."""

    def __init__(
        self,
        library: Library,
        options: Any = None,
        server: TlsContext | None = None,
        client: TlsContext | None = None,
    ) -> None:
        self.network = self.turns = MemoryNetwork()
        self.reactor: Any = self.network.clock
        self.address = self.server = SERVER
        self.legs: dict[Address, _Leg] = {}
        self.clients: dict[Address, Stranger] = {}
        self.paths: list[Any] = []
        self.echoing = True
        self.unread: list[Any] = []
        """Legs that came while nothing is echoed."""
        self.is_open = False
        self.stranger_host = "198.51.100.7"
        self.options = options or QuicOptions()
        self._acceptor: Any = None
        self._server_terms = server or server_context(PAIR.certificate, PAIR.key)
        self.client_terms = client or client_context()
        self._numbers = iter(range(40000, 60000))
        self._random = iter(range(1, 1_000_000))
        self.service = QuicAcceptor(self.options, 7000, self, library)  # type: ignore[arg-type]  # as much as it needs

    # --- what a host has ------------------------------------------------------------------------

    def entropy(self, count: int) -> bytes:
        """Never the same twice."""
        return next(self._random).to_bytes(count, "big")

    def tls_terms(self) -> TlsContext:
        """The server's."""
        return self._server_terms

    def listen_datagrams(self, port: int, acceptor: IDatagramAcceptor) -> Net:
        """Opens the port."""
        self._acceptor = acceptor
        self.is_open = True
        return self

    def close(self) -> None:
        """Closes it."""
        self.is_open = False
        for leg in list(self.legs.values()):
            leg.close()

    def path_accepted(self, path: Any, origin: Origin, secured: Any) -> None:
        """Takes a connection, and echoes."""
        self.paths.append(path)
        path.accept_legs(self)
        path.lift()
        path.start()

    def leg_accepted(self, leg: Any, origin: Origin) -> None:
        """A stream."""
        if self.echoing:
            Echo(leg)
        else:
            self.unread.append(leg)

    # --- the network ----------------------------------------------------------------------------

    @property
    def port(self) -> QuicPort:
        """Who takes the sources."""
        port: QuicPort = self._acceptor
        return port

    def stranger(self) -> Stranger:
        """Somebody at an address that nobody has had."""
        address = Address(self.stranger_host, next(self._numbers))
        stranger = self.clients[address] = Stranger(self, address)
        return stranger

    def carry(self, stranger: Stranger, source: Address, data: bytes) -> None:
        """Lets a datagram arrive at the port."""
        stranger.sent_bytes += len(data)
        self.reactor.callLater(DELAY_S, self._arrive, source, data)

    def answer(self, to: Address, data: bytes) -> None:
        """Lets a datagram arrive at who is there, if anybody is."""
        self.reactor.callLater(DELAY_S, self._arrive_back, to, data)

    def dial(self, library: Library, host: Any = None) -> Deferred[Any]:
        """A client's path, which comes."""
        return QuicDialer(self.options, host or Dialing(self), library).open_path()

    def until(self, condition: Any, most_s: float = 60.0) -> None:
        """Lets time pass until the condition holds."""
        end = self.reactor.seconds() + most_s
        for _ in range(_MOST_STEPS):
            self.network.flush()
            if condition():
                return
            calls = [call.getTime() for call in self.reactor.getDelayedCalls()]
            if not calls or min(calls) > end:
                break
            self.reactor.advance(max(0.0, min(calls) - self.reactor.seconds()))
        raise AssertionError("what was waited for has not come")

    def rest(self, seconds: float) -> None:
        """Lets time pass."""
        self.network.advance(seconds)

    def _arrive(self, source: Address, data: bytes) -> None:
        if not self.is_open:
            return
        leg = self.legs.get(source)
        if leg is None:
            leg = self.legs[source] = _Leg(self, source)
            leg.arrive(data)
            self._acceptor.leg_accepted(leg, Origin(source, SERVER))
        else:
            leg.arrive(data)

    def _arrive_back(self, to: Address, data: bytes) -> None:
        stranger = self.clients.get(to)
        if stranger is not None:
            stranger.got_bytes += len(data)
            stranger.got.append(data)
            stranger.arrive(data)


@implementer(IDialHost)
class Dialing:
    """What one client's half may use."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.turns = net.turns
        self.reactor = net.reactor
        self.server = SERVER
        self.server_name = SERVER.host
        self.entropy = net.entropy
        self.legs: list[Stranger] = []

    def tls_terms(self) -> TlsContext:
        """The client's."""
        return self.net.client_terms

    def dial_datagrams(self) -> Deferred[Any]:
        """A leg to the port."""
        self.legs.append(self.net.stranger())
        return succeed(self.legs[-1])

    def dial(self) -> Deferred[Any]:
        """Nothing to do with it."""
        raise NotImplementedError

    def dial_endpoint(self, endpoint: Any) -> Deferred[Any]:
        """Nor with endpoints."""
        raise NotImplementedError

    def secure(self, leg: Any) -> Deferred[Any]:
        """Nor this."""
        raise NotImplementedError

    def secure_outside(self, leg: Any, verified: bool) -> Deferred[Any]:
        """Nor this."""
        raise NotImplementedError
