"""Two ends of a hole punching session in memory, with a rendezvous between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from relaykit.interfaces import IDirectPath
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.paths import UdpPath
from relaykit.nat.session import HolePunchingFailedError, HolePunchingSession
from relaykit.sansio.nat.behavior import NatBehavior, PortAllocation, Ports
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.punching import FailureReason
from relaykit.testing.natlab import Lab
from tests.nat.memory import MemoryNetwork
from tests.sansio.nat.pairs import GRID, KEY, Kind

__all__ = ["RENDEZVOUS_S", "End", "TwoEnds", "is_public"]

RENDEZVOUS_S = 0.03
"""How long candidates take to the other end."""


def is_public(host: str) -> bool:
    """What is the Internet in the lab."""
    return host.startswith("198.")


class End:
    """One end: its machine, its session, what came of it."""

    def __init__(self, lab: Lab, kind: Kind, number: int, role: PeerRole, key: bytes, most: int) -> None:
        self.nat = lab.nat(
            f"198.51.100.{number}",
            kind.mapping,
            kind.filtering,
            kind.allocation,
            blocks_udp=kind.blocks_udp,
            keeps_unsolicited=kind.keeps_unsolicited,
        )
        self.network = MemoryNetwork(lab.machine(f"192.168.{number}.100", behind=self.nat), most)
        self.lab = lab
        self.role = role
        self.key = key
        self.sent: list[dict[str, Any]] = []
        self.network_info = NetworkInfo(
            network=self.network,
            stun_servers=GRID,
            behavior=NatBehavior(
                udp_works=True,
                filtering=kind.filtering,
                ports=Ports(kind.allocation, low=kind.block[0], high=kind.block[1])
                if kind.allocation is PortAllocation.BLOCK
                else Ports(kind.allocation, step=int(kind.allocation is PortAllocation.STEPPED)),
            ),
            opening_ttl=2,
            internet=is_public,
            entropy=lab.chance.randbytes,
            seconds=lambda: lab.now,
        )
        self.ended_at = 0.0
        self.path: UdpPath | None = None
        self.error: Failure | None = None

    def start(self, send: Callable[[dict[str, object]], None]) -> None:
        """Begins."""
        reactor: Any = self.lab.reactor
        self.session = HolePunchingSession(reactor, self.network_info, self.role, self.key, send)
        self.result = self.session.start()
        self.result.addCallbacks(self._worked, self._failed)

    def _worked(self, path: IDirectPath) -> None:
        assert isinstance(path, UdpPath)
        self.path = path

    def _failed(self, why: Failure) -> None:
        self.error = why
        self.ended_at = self.lab.now

    @property
    def reason(self) -> FailureReason | None:
        """Why it failed."""
        assert self.error is not None
        assert isinstance(self.error.value, HolePunchingFailedError), self.error
        return self.error.value.reason

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self.path is not None or self.error is not None


class TwoEnds:
    """Two ends and the rendezvous between them."""

    def __init__(
        self,
        initiator: Kind,
        responder: Kind,
        seed: int = 1,
        loss: float = 0.0,
        keys: tuple[bytes, bytes] = (KEY, KEY),
        most: int = 1000,
    ) -> None:
        self.lab = Lab(seed, delay_s=0.02, loss=loss)
        self.lab.stun_server(GRID)
        self.initiator = End(self.lab, initiator, 1, PeerRole.INITIATOR, keys[0], most)
        self.responder = End(self.lab, responder, 2, PeerRole.RESPONDER, keys[1], most)
        self.is_deaf = False
        self.seen_at = ""
        """Where the responder is told that the initiator is seen."""

    def start(self) -> None:
        """Both begin."""
        self.responder.start(lambda candidates: self._carry(candidates, self.responder, self.initiator))
        self.initiator.start(lambda candidates: self._carry(candidates, self.initiator, self.responder))

    def run(self, seconds: float = 60.0) -> TwoEnds:
        """Lets both work until both have ended."""
        self.start()
        self.lab.run(seconds, until=lambda: self.initiator.ended and self.responder.ended)
        return self

    def run_until_offered(self) -> None:
        """Lets time pass until the initiator has sent its candidates."""
        self.lab.run(5.0, until=lambda: bool(self.initiator.sent))

    def _carry(self, candidates: dict[str, object], sender: End, receiver: End) -> None:
        wire = json.loads(json.dumps(candidates))
        sender.sent.append(wire)
        if not self.is_deaf:
            seen_at = self.seen_at if receiver is self.responder else ""
            self.lab.call_later(RENDEZVOUS_S, lambda: receiver.session.candidates_received(wire, seen_at))
