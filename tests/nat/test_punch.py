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
from relaykit.nat.punch import (
    ATTEMPTS,
    MAPPING_WAIT_S,
    RENDEZVOUS_TIMEOUT_S,
    SIX_WAIT_S,
    Surroundings,
    Traversal,
    TraversalFailed,
)
from relaykit.sansio.nat.behavior import NatBehavior, PortAllocation, Ports
from relaykit.sansio.nat.candidates import CandidateKind, Interface
from relaykit.sansio.nat.knocks import Role
from relaykit.sansio.nat.offers import Offer
from relaykit.sansio.nat.pairing import NatView, Part
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

    def __init__(self, lab: Lab, kind: Kind, number: int, role: Role, key: bytes, most: int) -> None:
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
        self.offers: list[dict[str, Any]] = []
        self.surroundings = Surroundings(
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
        self.traversal = Traversal(reactor, self.surroundings, self.role, self.key, send)
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
        assert isinstance(self.error.value, TraversalFailed), self.error
        return self.error.value.reason

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self.path is not None or self.error is not None


class _Meeting:
    """Two ends and the rendezvous between them."""

    def __init__(
        self,
        caller: Kind,
        callee: Kind,
        seed: int = 1,
        loss: float = 0.0,
        keys: tuple[bytes, bytes] = (KEY, KEY),
        most: int = 1000,
    ) -> None:
        self.lab = Lab(seed, delay_s=0.02, loss=loss)
        self.lab.stun_server(GRID)
        self.caller = _End(self.lab, caller, 1, Role.CALLER, keys[0], most)
        self.callee = _End(self.lab, callee, 2, Role.CALLEE, keys[1], most)
        self.is_deaf = False
        self.seen_at = ""
        """Where the callee is told that the caller is seen."""

    def start(self) -> None:
        """Both begin."""
        self.callee.start(lambda offer: self._carry(offer, self.callee, self.caller))
        self.caller.start(lambda offer: self._carry(offer, self.caller, self.callee))

    def run(self, seconds: float = 60.0) -> _Meeting:
        """Lets both work until both have ended."""
        self.start()
        self.lab.run(seconds, until=lambda: self.caller.ended and self.callee.ended)
        return self

    def run_until_offered(self) -> None:
        """Lets time pass until the caller has offered."""
        self.lab.run(5.0, until=lambda: bool(self.caller.offers))

    def _carry(self, offer: dict[str, object], sender: _End, receiver: _End) -> None:
        wire = json.loads(json.dumps(offer))
        sender.offers.append(wire)
        if not self.is_deaf:
            seen_at = self.seen_at if receiver is self.callee else ""
            self.lab.call_later(RENDEZVOUS_S, lambda: receiver.traversal.offer_received(wire, seen_at))


class TraversalTests(SynchronousTestCase):
    """Both ends of a session."""

    def test_paths(self) -> None:
        """Steady, stepped and random NATs are punched, with one socket left open at each end."""
        for a, b, part in (
            ("port", "port", Part.KNOCK),
            ("full", "symrnd", Part.KNOCK),
            ("port", "symseq", Part.PREDICT),
            ("port", "symrnd", Part.GUESS),
        ):
            meeting = _Meeting(KINDS[a], KINDS[b]).run()
            for end in (meeting.caller, meeting.callee):
                assert end.path is not None, (a, b, end.error)
                self.assertEqual(end.network.open, 1)
                self.assertIs(end.path.role, end.role)
            assert meeting.caller.path is not None
            self.assertIs(meeting.caller.path.result.part, part)

    def test_datagrams(self) -> None:
        """Datagrams go both ways over the path, and none of the punch's own is seen."""
        meeting = _Meeting(KINDS["port"], KINDS["port"]).run()
        caller, callee = meeting.caller.path, meeting.callee.path
        assert caller is not None and callee is not None
        heard: list[tuple[str, bytes]] = []
        callee.attach(lambda data, source, arrived_at: heard.append(("callee", data)))
        caller.send(b"one")
        callee.send(b"two")
        meeting.lab.run(1.0)
        caller.attach(lambda data, source, arrived_at: heard.append(("caller", data)))
        meeting.lab.run(10.0)
        self.assertEqual(sorted(heard), [("callee", b"one"), ("caller", b"two")])
        caller.close()
        callee.close()
        self.assertEqual((meeting.caller.network.open, meeting.callee.network.open), (0, 0))

    def test_kept(self) -> None:
        """A path that nobody uses outlives what NATs remember, and is lost once they let nothing through."""
        meeting = _Meeting(KINDS["port"], KINDS["symrnd"])
        for end in (meeting.caller, meeting.callee):
            end.nat._lifetime_s = 30.0
        meeting.run()
        caller, callee = meeting.caller.path, meeting.callee.path
        assert caller is not None and callee is not None
        lost = [caller.when_lost(), callee.when_lost()]
        meeting.lab.run(600.0)
        heard: list[bytes] = []
        callee.attach(lambda data, source, arrived_at: heard.append(data))
        caller.send(b"still there")
        meeting.lab.run(1.0)
        self.assertEqual(heard, [b"still there"])
        for end in (meeting.caller, meeting.callee):
            end.nat._blocks_udp = True
        meeting.lab.run(SILENT_S + 1.0)
        self.assertEqual([self.successResultOf(each) for each in lost], [Ended.TIMEOUT] * 2)

    def test_time(self) -> None:
        """A plain punch takes a few round trips from the beginning to the path at both ends."""
        meeting = _Meeting(KINDS["port"], KINDS["portshift"])
        began = meeting.lab.now
        meeting.run()
        self.assertLess(meeting.lab.now - began, 0.3)

    def test_callee_is_prepared(self) -> None:
        """The callee finds out how it is seen before the offer comes, and offers only then."""
        meeting = _Meeting(KINDS["port"], KINDS["port"])
        meeting.callee.start(lambda offer: meeting._carry(offer, meeting.callee, meeting.caller))
        meeting.lab.run(1.0)
        self.assertEqual(meeting.callee.offers, [])
        meeting.caller.start(lambda offer: meeting._carry(offer, meeting.caller, meeting.callee))
        meeting.lab.run(1.0, until=lambda: len(meeting.caller.offers) == 1)
        at = meeting.lab.now
        meeting.lab.run(1.0, until=lambda: len(meeting.callee.offers) == 1)
        self.assertAlmostEqual(meeting.lab.now - at, RENDEZVOUS_S)

    def test_seen_elsewhere(self) -> None:
        """A peer whose datagrams come from elsewhere is punched all the same; that is noted."""
        for seen_at, noted in (("198.51.100.1", 0), ("198.51.100.99", 1), ("2001:db8::1", 0), ("", 0)):
            meeting = _Meeting(KINDS["port"], KINDS["port"])
            meeting.seen_at = seen_at
            with capturedLogs() as logged:
                meeting.run()
            self.assertIsNotNone(meeting.callee.path)
            self.assertEqual(sum("seen_at" in each for each in logged), noted)

    def test_impossible(self) -> None:
        """What cannot work is told at once, and all sockets are closed."""
        for a, b in (("symrnd", "symrnd"), ("port", "udpblock")):
            meeting = _Meeting(KINDS[a], KINDS[b])
            began = meeting.lab.now
            meeting.run()
            self.assertEqual((meeting.caller.reason, meeting.callee.reason), (FailureReason.IMPOSSIBLE,) * 2)
            self.assertLess(meeting.lab.now - began, 5.0)
            self.assertEqual((meeting.caller.network.open, meeting.callee.network.open), (0, 0))

    def test_second_attempt(self) -> None:
        """After a silent attempt the caller begins anew with another port, and the callee follows."""
        meeting = _Meeting(KINDS["port"], KINDS["port"])
        meeting.start()
        meeting.lab.run(0.15, until=lambda: len(meeting.callee.offers) == 1)
        meeting.caller.nat.forget()
        meeting.callee.nat.forget()
        for port in list(meeting.caller.network.machine._sockets):
            meeting.caller.network.machine._sockets[port] = lambda data, source: None
        meeting.lab.run(40.0, until=lambda: meeting.caller.ended and meeting.callee.ended)
        self.assertEqual([offer["generation"] for offer in meeting.caller.offers], [0, 1])
        self.assertIsNotNone(meeting.caller.path)
        self.assertIsNotNone(meeting.callee.path)
        ports = [offer["candidates"][0]["address"]["port"] for offer in meeting.caller.offers]
        self.assertEqual(len(set(ports)), 2)

    def test_attempts_are_bounded(self) -> None:
        """Two ends that never hear each other give up, each having tried so often."""
        meeting = _Meeting(KINDS["port"], KINDS["port"], keys=(KEY, bytes(32))).run(120.0)
        self.assertEqual((meeting.caller.reason, meeting.callee.reason), (FailureReason.SILENCE,) * 2)
        self.assertEqual((len(meeting.caller.offers), len(meeting.callee.offers)), (ATTEMPTS, ATTEMPTS))

    def test_no_answer(self) -> None:
        """A caller whose offer nobody answers gives up."""
        meeting = _Meeting(KINDS["port"], KINDS["port"])
        meeting.is_deaf = True
        began = meeting.lab.now
        meeting.start()
        meeting.lab.run(60.0, until=lambda: meeting.caller.ended)
        self.assertIsNone(meeting.caller.reason)
        self.assertLess(meeting.lab.now - began, RENDEZVOUS_TIMEOUT_S + 1.0)

    def test_cancel(self) -> None:
        """Whoever cancels leaves nothing open and no timer that does anything."""
        meeting = _Meeting(KINDS["port"], KINDS["symrnd"])
        meeting.start()
        meeting.lab.run(0.3)
        for end in (meeting.caller, meeting.callee):
            end.result.cancel()
            assert end.error is not None
            self.assertIsNotNone(end.error.check(CancelledError))
            self.assertEqual(end.network.open, 0)
        meeting.lab.run(60.0)

    def test_junk_offer(self) -> None:
        """An offer that is none is the peer's error, and does no harm."""
        meeting = _Meeting(KINDS["port"], KINDS["port"])
        meeting.start()
        self.assertRaises(RemoteProtocolError, meeting.callee.traversal.offer_received, {"nat": 5})
        meeting.lab.run(60.0, until=lambda: meeting.caller.ended and meeting.callee.ended)
        self.assertIsNotNone(meeting.caller.path)
        meeting.caller.traversal.offer_received({"anything": "after the end is ignored"})

    def test_offer_of_another_generation(self) -> None:
        """The caller takes only the answer to its latest offer; the callee takes no old ones."""
        meeting = _Meeting(KINDS["port"], KINDS["port"])
        meeting.start()
        stale = Offer(NatView(), (), 3).to_wire()
        meeting.caller.traversal.offer_received(stale)
        meeting.lab.run(60.0, until=lambda: meeting.caller.ended and meeting.callee.ended)
        self.assertIsNotNone(meeting.caller.path)
        self.assertEqual(len(meeting.callee.offers), 1)

    def test_too_few_sockets(self) -> None:
        """With fewer sockets than wanted a random NAT is punched with those; with none it fails."""
        for most, works in ((40, True), (0, False)):
            meeting = _Meeting(KINDS["symblk"], KINDS["port"], most=most).run(40.0)
            self.assertEqual(meeting.caller.path is not None, works)

    def test_no_servers(self) -> None:
        """Without STUN servers only the own network is left."""
        meeting = _Meeting(KINDS["port"], KINDS["port"])
        meeting.caller.surroundings = evolve(meeting.caller.surroundings, stun_servers=())
        meeting.run()
        self.assertEqual(meeting.caller.reason, FailureReason.IMPOSSIBLE)
        self.assertEqual([c["kind"] for c in meeting.caller.offers[0]["candidates"]], ["host"])

    def test_servers_over_ipv6(self) -> None:
        """STUN over IPv6 that answers nothing holds the offer up a little; alone it decides."""
        nowhere = Address("2001:db8::9", 3478)
        six = Interface("eth0", "2001:db8::100", 64)
        for servers, worked in (([*GRID, nowhere], True), ([nowhere], False)):
            meeting = _Meeting(KINDS["port"], KINDS["port"])
            around = meeting.caller.surroundings
            interfaces = [*around.network.interfaces(), six]
            self.patch(around.network, "interfaces", partial(list, interfaces))
            meeting.caller.surroundings = evolve(around, stun_servers=servers)
            began = meeting.lab.now
            meeting.start()
            meeting.run_until_offered()
            self.assertEqual(meeting.caller.offers[0]["nat"]["udp_works"], worked)
            if worked:
                self.assertLess(meeting.lab.now - began, 0.1 + SIX_WAIT_S)
            meeting.lab.run(60.0)
            self.assertEqual(meeting.caller.path is not None, worked)

    def test_mapped_ports(self) -> None:
        """Ports that the router maps are offered; a router that answers late is not waited for."""
        mapped = Address("198.51.100.1", 7777)
        silent: Deferred[list[Address]] = Deferred()
        for answer, offered in ((succeed([mapped]), 1), (silent, 0), (fail(ValueError("no router")), 0)):
            meeting = _Meeting(KINDS["port"], KINDS["port"])
            mapper = _Mapper(answer)
            meeting.caller.surroundings = evolve(meeting.caller.surroundings, mapper=mapper)
            began = meeting.lab.now
            meeting.run()
            assert meeting.caller.path is not None
            self.assertLess(meeting.lab.now - began, 0.3 + MAPPING_WAIT_S)
            kinds = [each["kind"] for each in meeting.caller.offers[0]["candidates"]]
            self.assertEqual(kinds.count(CandidateKind.MAPPED.value), offered)
            self.assertEqual(mapper.wanted, [meeting.caller.path.socket.address.port])
            self.assertEqual(mapper.released, [])
            meeting.caller.path.close()
            meeting.caller.path.close()
            self.assertEqual(mapper.released, mapper.wanted)

    def test_mapped_port_that_is_not_used(self) -> None:
        """A mapped port is given back when another socket wins, and when the session fails."""
        for other in ("port", "symrnd"):
            meeting = _Meeting(KINDS["symrnd"], KINDS[other])
            mapper = _Mapper(succeed([]))
            meeting.caller.surroundings = evolve(meeting.caller.surroundings, mapper=mapper)
            meeting.run()
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
