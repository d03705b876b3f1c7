"""Tests of one attempt: which candidates it sends and when, and when it begins to punch."""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.attempt import MAPPING_WAIT_S, SIX_WAIT_S, Attempt, Terms
from relaykit.sansio.nat.behavior import OTHERS_S, Filtering, Mapping, NatBehavior
from relaykit.sansio.nat.candidates import CandidateKind, Interface
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.punching import FailureReason
from relaykit.values import Address, PathProtocol
from tests.nat.two_ends import RENDEZVOUS_S, TwoEnds
from tests.sansio.nat.pairs import GRID, KINDS


class AttemptTests(SynchronousTestCase):
    """One end of a session, as the other sees it."""

    def test_responder_is_prepared(self) -> None:
        """The responder finds out how it is seen before the candidates come, and sends its own only then."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
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
            rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
            rendezvous.seen_at = seen_at
            with capturedLogs() as logged:
                rendezvous.run()
            self.assertIsNotNone(rendezvous.responder.path)
            self.assertEqual(sum("seen_at" in each for each in logged), noted)

    def test_no_servers(self) -> None:
        """Without STUN servers only the own network is left."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
        rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, stun_servers=())
        rendezvous.run()
        self.assertEqual(rendezvous.initiator.reason, FailureReason.IMPOSSIBLE)
        self.assertEqual([c["kind"] for c in rendezvous.initiator.sent[0]["udp"]], ["host"])

    def test_servers_over_ipv6(self) -> None:
        """STUN over IPv6 that answers nothing holds the candidates up a little; alone it decides."""
        nowhere = Address("2001:db8::9", 3478)
        six = Interface("eth0", "2001:db8::100", 64)
        for servers, worked in (([*GRID, nowhere], True), ([nowhere], False)):
            rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
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

    def test_known_mapping(self) -> None:
        """A closed port of a STUN server costs nothing where what it would say is known, but one in vain."""
        closed = Address(GRID[0].host, 9)
        for known, generation, waits in (
            (Mapping.ENDPOINT_INDEPENDENT, 0, False),
            (Mapping.ENDPOINT_INDEPENDENT, 1, True),
            (Mapping.NOT_PORT_DEPENDENT, 0, True),
            (Mapping.ADDRESS_AND_PORT_DEPENDENT, 0, True),
        ):
            rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
            end = rendezvous.initiator
            behavior = NatBehavior(udp_works=True, mapping=known, filtering=Filtering.UNKNOWN)
            info = evolve(end.network_info, stun_servers=[GRID[0], closed], behavior=behavior)
            reactor: Any = rendezvous.lab.reactor
            sent: list[Any] = []
            began = rendezvous.lab.now
            attempt = Attempt(
                Terms(reactor, info, PeerRole.INITIATOR, end.key), generation, sent.append, _nothing, _nothing
            )
            rendezvous.lab.run(5.0, until=partial(bool, sent))
            self.assertEqual(rendezvous.lab.now - began > OTHERS_S, waits)
            self.assertEqual((sent[0].nat.mapping, sent[0].nat.udp_works), (known, True))
            attempt.abandon()

    def test_datagrams_of_no_use(self) -> None:
        """Where one end makes no streams of UDP none is punched, and both are told what is missing."""
        for place in (0, 1):
            rendezvous = TwoEnds(KINDS["full"], KINDS["full"])
            ends = rendezvous.initiator, rendezvous.responder
            ends[place].network_info = evolve(ends[place].network_info, protocols=(PathProtocol.TCP,))
            rendezvous.run()
            self.assertEqual([each.reason for each in ends], [FailureReason.USELESS] * 2)
            assert ends[0].error is not None
            self.assertIn("relaykit[quic]", ends[0].error.getErrorMessage())

    def test_mapped_ports(self) -> None:
        """Ports that the router maps are candidates; a router that answers late is not waited for."""
        mapped = Address("198.51.100.1", 7777)
        silent: Deferred[list[Address]] = Deferred()
        for answer, expected in ((succeed([mapped]), 1), (silent, 0), (fail(ValueError("no router")), 0)):
            rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
            mapper = _Mapper(answer)
            rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, mapper=mapper)
            began = rendezvous.lab.now
            rendezvous.run()
            assert rendezvous.initiator.path is not None
            self.assertLess(rendezvous.lab.now - began, 0.3 + MAPPING_WAIT_S)
            kinds = [each["kind"] for each in rendezvous.initiator.sent[0]["udp"]]
            self.assertEqual(kinds.count(CandidateKind.MAPPED.value), expected)
            self.assertEqual(mapper.wanted, [rendezvous.initiator.path.host.port])
            self.assertEqual(mapper.released, [])
            rendezvous.initiator.path.close()
            rendezvous.initiator.path.close()
            self.assertEqual(mapper.released, mapper.wanted)

    def test_given_up_before_the_router_answers(self) -> None:
        """A router's answer that is not waited for any more is no unhandled error."""
        answer: Deferred[list[Address]] = Deferred()
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
        mapper = _Mapper(answer)
        rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, mapper=mapper)
        rendezvous.start()
        rendezvous.initiator.result.cancel()
        self.assertEqual(mapper.released, mapper.wanted)
        handled = self.successResultOf(answer)
        self.assertEqual(list(handled), [])

    def test_mapped_port_that_is_not_used(self) -> None:
        """A mapped port is given back when another socket wins, and when the session fails."""
        for other in ("port", "symrnd"):
            rendezvous = TwoEnds(KINDS["symrnd"], KINDS[other])
            mapper = _Mapper(succeed([]))
            rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, mapper=mapper)
            rendezvous.run()
            self.assertEqual(mapper.released, mapper.wanted)


def _nothing(*what: object) -> None:
    """Is told, and does nothing."""


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
