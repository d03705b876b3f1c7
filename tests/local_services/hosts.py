"""A local service in memory: users on one side of it, what it reaches on the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from zope.interface import implementer

from relaykit.certificates.own import KeyPair, self_signed
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.pairs import PairLeg, leg_pair
from relaykit.dataplane.protocols import ProtocolAcceptor
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.dataplane.virtual_network import VirtualNetwork
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IFlow, ILocalHost, ILocalService, ISecureLeg, IStreamLeg
from relaykit.sansio.packets.headers import parse_interface
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Origin
from tests.dataplane.fakes import FakeTun

__all__ = ["ALICE", "LocalScene"]

ALICE = Origin(Address("198.51.100.7", 40001), Address("203.0.113.1", 6000))
"""Who uses the services."""


OWN = self_signed(datetime.now(UTC))
"""What services show that speak TLS."""


def succeeded(secured: Deferred[ISecureLeg]) -> Any:
    """What is within TLS that has been agreed."""
    found: list[Any] = []
    secured.addBoth(found.append)
    [leg] = found
    return leg


@implementer(ILocalHost)
class LocalScene:
    """What a service uses, and its users.

    ``dialed`` are the services that it reached, as the far ends of its connections, by host and port;
    ``failure`` is what dialing comes to, if it is not None, and ``waiting`` what it waits for.
    """

    def __init__(self, service: ILocalService | None = None) -> None:
        self.service = service
        self.network = MemoryNetwork()
        self.device = FakeTun()
        self.virtual_network = VirtualNetwork(self.network, lambda poller, own: cast(Any, self.device))
        self.dialed: list[tuple[str, MemoryLeg]] = []
        self.announced: list[IStreamLeg] = []
        self.failure: ConnectionFailed | None = None
        self.waiting: Deferred[Any] | None = None
        self.answers: Callable[[MemoryLeg], object] = lambda leg: None
        """What a service that is reached does with its leg."""

    @property
    def reactor(self) -> IReactorTime:
        """The clock of the scene."""
        return self.network.clock

    def connect(self, data: bytes = b"") -> tuple[PairLeg, RecordingReceiver]:
        """A user of the service, who sends this first, and what it gets."""
        near = self.open()
        got = RecordingReceiver(near)
        if data:
            near.write(data)
        self.network.flush()
        return near, got

    def secure(self, name: str = "") -> tuple[PairLeg, Any]:
        """A user who asks for this name, as it is and within TLS, once the handshake is over."""
        near = self.open()
        secured = start_tls(self.network, near, client_context(server_name=name), server_side=False)
        self.network.flush()
        return near, succeeded(secured)

    def reached_by_tls(self, pair: KeyPair | None = None, at: int = -1) -> Any:
        """A service that was reached, within TLS, for which it shows this certificate, or one of its own."""
        pair = pair or OWN
        context = server_context(pair.certificate, pair.key)
        secured = start_tls(self.network, self.dialed[at][1], context, server_side=True)
        self.network.flush()
        return succeeded(secured)

    def open(self) -> PairLeg:
        """A user of the service that nothing is said of yet."""
        near, far = leg_pair(self.network, ALICE)
        assert self.service is not None
        self.service.serve(far, ALICE, self)
        return near

    def open_device(self, own: str) -> FakeTun:
        """Has the client have a virtual network; answers its device."""
        self.virtual_network.open(parse_interface(own))
        return self.device

    def received(self, at: int = -1) -> RecordingReceiver:
        """What a service gets that was reached."""
        got = RecordingReceiver(self.dialed[at][1])
        self.network.flush()
        return got

    def dial(self, host: str, port: int) -> Deferred[IStreamLeg]:
        return self.dial_local(f"{host}:{port}")

    def dial_local(self, endpoint: str) -> Deferred[IStreamLeg]:
        if self.waiting is not None:
            return self.waiting
        if self.failure is not None:
            return fail(self.failure)
        near, far = self.network.pair()
        self.dialed.append((endpoint, far))
        self.answers(far)
        return succeed(near)

    def announce(self, leg: IStreamLeg) -> None:
        self.announced.append(leg)

    def forward(self, near: IStreamLeg, far: IStreamLeg) -> IFlow:
        return CopyForwarder(self.network.clock.seconds).forward(near, far, True)

    def speak(self, leg: IStreamLeg, factory: IProtocolFactory) -> None:
        ProtocolAcceptor(self.network, factory).leg_accepted(leg, ALICE)

    def tls_context(self, certificate: bytes, key: bytes, protocols: Sequence[bytes] = ()) -> Any:
        return server_context(certificate, key, protocols=protocols)

    def secured(self, leg: IStreamLeg, context: Any) -> Deferred[ISecureLeg]:
        return start_tls(self.network, leg, context, server_side=True)

    def tls_context_to(self, name: str, authorities: bytes | None = None) -> Any:
        return client_context(authorities=authorities, server_name=name)

    def secured_to(self, leg: IStreamLeg, context: Any) -> Deferred[ISecureLeg]:
        return start_tls(self.network, leg, context, server_side=False)
