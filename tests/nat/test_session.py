"""Tests of whole traversals in memory: two machines, a rendezvous between them, all kinds of NAT."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.nat.paths import PunchedPath
from relaykit.nat.session import (
    ATTEMPTS,
    MAPPING_WAIT_S,
    RENDEZVOUS_TIMEOUT_S,
    SIX_WAIT_S,
    HolePunchingFailedError,
    HolePunchingSession,
    NetworkInfo,
)
from relaykit.sansio.nat.behavior import NatBehavior, PortAllocation, Ports
from relaykit.sansio.nat.candidates import CandidateKind, Interface
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.pairing import NatView, Strategy
from relaykit.sansio.nat.punching import SILENT_S, FailureReason
from relaykit.testing.natlab import Lab
from relaykit.values import Address, Ended
from tests.nat.memory import MemoryNetwork
from tests.sansio.nat.pairs import GRID, KEY, KINDS, Kind

RENDEZVOUS_S = 0.03


def is_public(host: str) -> bool:
    """What is the Internet in the lab."""
    return host.startswith("198.")


class _End:
    """One end: its machine, its traversal, what came of it."""

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
                else Ports(PortAllocation.RANDOM),
            ),
            opening_ttl=2,
            internet=is_public,
            entropy=lab.chance.randbytes,
            seconds=lambda: lab.now,
        )
        self.path: PunchedPath | None = None
        self.error: Failure | None = None

    def start(self, send: Callable[[dict[str, object]], None]) -> None:
        """Begins."""
        reactor: Any = self.lab.reactor
        self.traversal = HolePunchingSession(reactor, self.network_info, self.role, self.key, send)
        self.result = self.traversal.start()
        self.result.addCallbacks(self._worked, self._failed)

    def _worked(self, path: PunchedPath) -> None:
        self.path = path

    def _failed(self, why: Failure) -> None:
        self.error = why

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


class _Rendezvous:
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
        self.initiator = _End(self.lab, initiator, 1, PeerRole.INITIATOR, keys[0], most)
        self.responder = _End(self.lab, responder, 2, PeerRole.RESPONDER, keys[1], most)
        self.is_deaf = False
        self.seen_at = ""
        """Where the responder is told that the initiator is seen."""

    def start(self) -> None:
        """Both begin."""
        self.responder.start(lambda candidates: self._carry(candidates, self.responder, self.initiator))
        self.initiator.start(lambda candidates: self._carry(candidates, self.initiator, self.responder))

    def run(self, seconds: float = 60.0) -> _Rendezvous:
        """Lets both work until both have ended."""
        self.start()
        self.lab.run(seconds, until=lambda: self.initiator.ended and self.responder.ended)
        return self

    def run_until_offered(self) -> None:
        """Lets time pass until the initiator has sent its candidates."""
        self.lab.run(5.0, until=lambda: bool(self.initiator.sent))

    def _carry(self, candidates: dict[str, object], sender: _End, receiver: _End) -> None:
        wire = json.loads(json.dumps(candidates))
        sender.sent.append(wire)
        if not self.is_deaf:
            seen_at = self.seen_at if receiver is self.responder else ""
            self.lab.call_later(RENDEZVOUS_S, lambda: receiver.traversal.candidates_received(wire, seen_at))


class HolePunchingSessionTests(SynchronousTestCase):
    """Both ends of a session."""

    def test_paths(self) -> None:
        """Steady, stepped and random NATs are punched, with one socket left open at each end."""
        for a, b, strategy in (
            ("port", "port", Strategy.CHECK),
            ("full", "symrnd", Strategy.CHECK),
            ("port", "symseq", Strategy.PREDICT),
            ("port", "symrnd", Strategy.GUESS),
        ):
            rendezvous = _Rendezvous(KINDS[a], KINDS[b]).run()
            for end in (rendezvous.initiator, rendezvous.responder):
                assert end.path is not None, (a, b, end.error)
                self.assertEqual(end.network.open, 1)
                self.assertIs(end.path.role, end.role)
            assert rendezvous.initiator.path is not None
            self.assertIs(rendezvous.initiator.path.result.strategy, strategy)

    def test_datagrams(self) -> None:
        """Datagrams go both ways over the path, and none of the punch's own is seen."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"]).run()
        initiator, responder = rendezvous.initiator.path, rendezvous.responder.path
        assert initiator is not None and responder is not None
        heard: list[tuple[str, bytes]] = []
        responder.attach(lambda data, source, arrived_at: heard.append(("responder", data)))
        initiator.send(b"one")
        responder.send(b"two")
        rendezvous.lab.run(1.0)
        initiator.attach(lambda data, source, arrived_at: heard.append(("initiator", data)))
        rendezvous.lab.run(10.0)
        self.assertEqual(sorted(heard), [("initiator", b"two"), ("responder", b"one")])
        initiator.close()
        responder.close()
        self.assertEqual((rendezvous.initiator.network.open, rendezvous.responder.network.open), (0, 0))

    def test_kept(self) -> None:
        """A path that nobody uses outlives what NATs remember, and is lost once they let nothing through."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["symrnd"])
        for end in (rendezvous.initiator, rendezvous.responder):
            end.nat._lifetime_s = 30.0
        rendezvous.run()
        initiator, responder = rendezvous.initiator.path, rendezvous.responder.path
        assert initiator is not None and responder is not None
        lost = [initiator.when_lost(), responder.when_lost()]
        rendezvous.lab.run(600.0)
        heard: list[bytes] = []
        responder.attach(lambda data, source, arrived_at: heard.append(data))
        initiator.send(b"still there")
        rendezvous.lab.run(1.0)
        self.assertEqual(heard, [b"still there"])
        for end in (rendezvous.initiator, rendezvous.responder):
            end.nat._blocks_udp = True
        rendezvous.lab.run(SILENT_S + 1.0)
        self.assertEqual([self.successResultOf(each) for each in lost], [Ended.TIMEOUT] * 2)

    def test_time(self) -> None:
        """A plain punch takes a few round trips from the beginning to the path at both ends."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["portshift"])
        began = rendezvous.lab.now
        rendezvous.run()
        self.assertLess(rendezvous.lab.now - began, 0.3)

    def test_responder_is_prepared(self) -> None:
        """The responder finds out how it is seen before the candidates come, and sends its own only then."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
        rendezvous.responder.start(
            lambda candidates: rendezvous._carry(candidates, rendezvous.responder, rendezvous.initiator)
        )
        rendezvous.lab.run(1.0)
        self.assertEqual(rendezvous.responder.sent, [])
        rendezvous.initiator.start(
            lambda candidates: rendezvous._carry(candidates, rendezvous.initiator, rendezvous.responder)
        )
        rendezvous.lab.run(1.0, until=lambda: len(rendezvous.initiator.sent) == 1)
        at = rendezvous.lab.now
        rendezvous.lab.run(1.0, until=lambda: len(rendezvous.responder.sent) == 1)
        self.assertAlmostEqual(rendezvous.lab.now - at, RENDEZVOUS_S)

    def test_seen_elsewhere(self) -> None:
        """A peer whose datagrams come from elsewhere is punched all the same; that is noted."""
        for seen_at, noted in (("198.51.100.1", 0), ("198.51.100.99", 1), ("2001:db8::1", 0), ("", 0)):
            rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
            rendezvous.seen_at = seen_at
            with capturedLogs() as logged:
                rendezvous.run()
            self.assertIsNotNone(rendezvous.responder.path)
            self.assertEqual(sum("seen_at" in each for each in logged), noted)

    def test_impossible(self) -> None:
        """What cannot work is told at once, and all sockets are closed."""
        for a, b in (("symrnd", "symrnd"), ("port", "udpblock")):
            rendezvous = _Rendezvous(KINDS[a], KINDS[b])
            began = rendezvous.lab.now
            rendezvous.run()
            self.assertEqual(
                (rendezvous.initiator.reason, rendezvous.responder.reason), (FailureReason.IMPOSSIBLE,) * 2
            )
            self.assertLess(rendezvous.lab.now - began, 5.0)
            self.assertEqual((rendezvous.initiator.network.open, rendezvous.responder.network.open), (0, 0))

    def test_second_attempt(self) -> None:
        """After a silent attempt the initiator begins anew with another port, and the responder follows."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
        rendezvous.start()
        rendezvous.lab.run(0.15, until=lambda: len(rendezvous.responder.sent) == 1)
        rendezvous.initiator.nat.forget()
        rendezvous.responder.nat.forget()
        for port in list(rendezvous.initiator.network.machine._sockets):
            rendezvous.initiator.network.machine._sockets[port] = lambda data, source: None
        rendezvous.lab.run(40.0, until=lambda: rendezvous.initiator.ended and rendezvous.responder.ended)
        self.assertEqual([candidates["generation"] for candidates in rendezvous.initiator.sent], [0, 1])
        self.assertIsNotNone(rendezvous.initiator.path)
        self.assertIsNotNone(rendezvous.responder.path)
        ports = [candidates["udp"][0]["address"]["port"] for candidates in rendezvous.initiator.sent]
        self.assertEqual(len(set(ports)), 2)

    def test_attempts_are_bounded(self) -> None:
        """Two ends that never hear each other give up, each having tried so often."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"], keys=(KEY, bytes(32))).run(120.0)
        self.assertEqual(
            (rendezvous.initiator.reason, rendezvous.responder.reason), (FailureReason.SILENCE,) * 2
        )
        self.assertEqual(
            (len(rendezvous.initiator.sent), len(rendezvous.responder.sent)), (ATTEMPTS, ATTEMPTS)
        )

    def test_no_answer(self) -> None:
        """An initiator whose candidates nobody answers gives up."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
        rendezvous.is_deaf = True
        began = rendezvous.lab.now
        rendezvous.start()
        rendezvous.lab.run(60.0, until=lambda: rendezvous.initiator.ended)
        self.assertIsNone(rendezvous.initiator.reason)
        self.assertLess(rendezvous.lab.now - began, RENDEZVOUS_TIMEOUT_S + 1.0)

    def test_cancel(self) -> None:
        """Whoever cancels leaves nothing open and no timer that does anything."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["symrnd"])
        rendezvous.start()
        rendezvous.lab.run(0.3)
        for end in (rendezvous.initiator, rendezvous.responder):
            end.result.cancel()
            assert end.error is not None
            self.assertIsNotNone(end.error.check(CancelledError))
            self.assertEqual(end.network.open, 0)
        rendezvous.lab.run(60.0)

    def test_junk_candidates(self) -> None:
        """Candidates that is none is the peer's error, and does no harm."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
        rendezvous.start()
        self.assertRaises(RemoteProtocolError, rendezvous.responder.traversal.candidates_received, {"nat": 5})
        rendezvous.lab.run(60.0, until=lambda: rendezvous.initiator.ended and rendezvous.responder.ended)
        self.assertIsNotNone(rendezvous.initiator.path)
        rendezvous.initiator.traversal.candidates_received({"anything": "after the end is ignored"})

    def test_candidates_of_another_generation(self) -> None:
        """The initiator takes only the answer to its latest candidates; the responder takes no old ones."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
        rendezvous.start()
        stale = Candidates(NatView(), (), 3).to_wire()
        rendezvous.initiator.traversal.candidates_received(stale)
        rendezvous.lab.run(60.0, until=lambda: rendezvous.initiator.ended and rendezvous.responder.ended)
        self.assertIsNotNone(rendezvous.initiator.path)
        self.assertEqual(len(rendezvous.responder.sent), 1)

    def test_too_few_sockets(self) -> None:
        """With fewer sockets than wanted a random NAT is punched with those; with none it fails."""
        for most, works in ((40, True), (0, False)):
            rendezvous = _Rendezvous(KINDS["symblk"], KINDS["port"], most=most).run(40.0)
            self.assertEqual(rendezvous.initiator.path is not None, works)

    def test_no_servers(self) -> None:
        """Without STUN servers only the own network is left."""
        rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
        rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, stun_servers=())
        rendezvous.run()
        self.assertEqual(rendezvous.initiator.reason, FailureReason.IMPOSSIBLE)
        self.assertEqual([c["kind"] for c in rendezvous.initiator.sent[0]["udp"]], ["host"])

    def test_servers_over_ipv6(self) -> None:
        """STUN over IPv6 that answers nothing holds the candidates up a little; alone it decides."""
        nowhere = Address("2001:db8::9", 3478)
        six = Interface("eth0", "2001:db8::100", 64)
        for servers, worked in (([*GRID, nowhere], True), ([nowhere], False)):
            rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
            around = rendezvous.initiator.network_info
            interfaces = [*around.network.interfaces(), six]
            self.patch(around.network, "interfaces", partial(list, interfaces))
            rendezvous.initiator.network_info = evolve(around, stun_servers=servers)
            began = rendezvous.lab.now
            rendezvous.start()
            rendezvous.run_until_offered()
            self.assertEqual(rendezvous.initiator.sent[0]["nat"]["udp_works"], worked)
            if worked:
                self.assertLess(rendezvous.lab.now - began, 0.1 + SIX_WAIT_S)
            rendezvous.lab.run(60.0)
            self.assertEqual(rendezvous.initiator.path is not None, worked)

    def test_mapped_ports(self) -> None:
        """Ports that the router maps are candidates; a router that answers late is not waited for."""
        mapped = Address("198.51.100.1", 7777)
        silent: Deferred[list[Address]] = Deferred()
        for answer, expected in ((succeed([mapped]), 1), (silent, 0), (fail(ValueError("no router")), 0)):
            rendezvous = _Rendezvous(KINDS["port"], KINDS["port"])
            mapper = _Mapper(answer)
            rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, mapper=mapper)
            began = rendezvous.lab.now
            rendezvous.run()
            assert rendezvous.initiator.path is not None
            self.assertLess(rendezvous.lab.now - began, 0.3 + MAPPING_WAIT_S)
            kinds = [each["kind"] for each in rendezvous.initiator.sent[0]["udp"]]
            self.assertEqual(kinds.count(CandidateKind.MAPPED.value), expected)
            self.assertEqual(mapper.wanted, [rendezvous.initiator.path.socket.address.port])
            self.assertEqual(mapper.released, [])
            rendezvous.initiator.path.close()
            rendezvous.initiator.path.close()
            self.assertEqual(mapper.released, mapper.wanted)

    def test_mapped_port_that_is_not_used(self) -> None:
        """A mapped port is given back when another socket wins, and when the session fails."""
        for other in ("port", "symrnd"):
            rendezvous = _Rendezvous(KINDS["symrnd"], KINDS[other])
            mapper = _Mapper(succeed([]))
            rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, mapper=mapper)
            rendezvous.run()
            self.assertEqual(mapper.released, mapper.wanted)


class _Mapper:
    """A router that answers what a test wants."""

    def __init__(self, answer: Deferred[list[Address]]) -> None:
        self.answer: Any = answer
        self.wanted: list[int] = []
        self.released: list[int] = []

    def map(self, port: int) -> Any:
        """Maps."""
        self.wanted.append(port)
        return self.answer

    def release(self, port: int) -> None:
        """Gives back."""
        self.released.append(port)
