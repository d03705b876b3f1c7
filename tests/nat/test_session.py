"""Tests of whole sessions in memory: two machines, a rendezvous between them, all kinds of NAT."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.nat.session import ATTEMPTS, RENDEZVOUS_TIMEOUT_S
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.pairing import NatView, Strategy
from relaykit.sansio.nat.punching import SILENT_S, FailureReason
from relaykit.values import Ended, Secret
from tests.nat.direct import Hearing, carry
from tests.nat.two_ends import TwoEnds
from tests.sansio.nat.pairs import GRID, KEY, KINDS


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
            rendezvous = TwoEnds(KINDS[a], KINDS[b]).run()
            for end in (rendezvous.initiator, rendezvous.responder):
                assert end.path is not None, (a, b, end.error)
                self.assertEqual(end.network.open, 1)
                self.assertIs(end.path.role, end.role)
            assert rendezvous.initiator.path is not None
            self.assertIs(rendezvous.initiator.path.result.strategy, strategy)

    def test_datagrams(self) -> None:
        """Datagrams go both ways over the path, and none of the punch's own is seen."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"]).run()
        initiator, responder = rendezvous.initiator.path, rendezvous.responder.path
        assert initiator is not None and responder is not None
        here, there = Hearing(), Hearing()
        responder.datagrams().attach(there)
        initiator.datagrams().send(b"one")
        responder.datagrams().send(b"two")
        rendezvous.lab.run(1.0)
        initiator.datagrams().attach(here)
        rendezvous.lab.run(10.0)
        self.assertEqual((here.heard, there.heard), ([b"two"], [b"one"]))
        initiator.close()
        responder.close()
        self.assertEqual((rendezvous.initiator.network.open, rendezvous.responder.network.open), (0, 0))

    def test_kept(self) -> None:
        """A path that nobody uses outlives what NATs remember, and is lost once they let nothing through."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["symrnd"])
        for end in (rendezvous.initiator, rendezvous.responder):
            end.nat._lifetime_s = 30.0
        rendezvous.run()
        initiator, responder = rendezvous.initiator.path, rendezvous.responder.path
        assert initiator is not None and responder is not None
        lost = [initiator.when_lost(), responder.when_lost()]
        rendezvous.lab.run(600.0)
        heard = Deferred.fromCoroutine(carry(initiator, responder, b"still there", Secret("")))
        rendezvous.lab.run(1.0)
        self.assertEqual(self.successResultOf(heard), b"still there")
        for end in (rendezvous.initiator, rendezvous.responder):
            end.nat._blocks_udp = True
        rendezvous.lab.run(SILENT_S + 1.0)
        self.assertEqual([self.successResultOf(each) for each in lost], [Ended.TIMEOUT] * 2)

    def test_one_server(self) -> None:
        """A NAT that only one server could look at is played as one of unforeseeable ports after a while."""
        rendezvous = TwoEnds(KINDS["symrnd"], KINDS["port"])
        for end in (rendezvous.initiator, rendezvous.responder):
            end.network_info = evolve(end.network_info, stun_servers=GRID[:1])
        rendezvous.run()
        for end in (rendezvous.initiator, rendezvous.responder):
            self.assertIsNotNone(end.path, end.error)

    def test_time(self) -> None:
        """A plain punch takes a few round trips from the beginning to the path at both ends."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["portshift"])
        began = rendezvous.lab.now
        rendezvous.run()
        self.assertLess(rendezvous.lab.now - began, 0.3)

    def test_impossible(self) -> None:
        """What cannot work is told at once, and all sockets are closed."""
        for a, b in (("symrnd", "symrnd"), ("port", "udpblock")):
            rendezvous = TwoEnds(KINDS[a], KINDS[b])
            began = rendezvous.lab.now
            rendezvous.run()
            self.assertEqual(
                (rendezvous.initiator.reason, rendezvous.responder.reason), (FailureReason.IMPOSSIBLE,) * 2
            )
            self.assertLess(rendezvous.lab.now - began, 5.0)
            self.assertEqual((rendezvous.initiator.network.open, rendezvous.responder.network.open), (0, 0))

    def test_second_attempt(self) -> None:
        """After a silent attempt the initiator begins anew with another port, and the responder follows."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
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
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"], keys=(KEY, bytes(32))).run(120.0)
        self.assertEqual(
            (rendezvous.initiator.reason, rendezvous.responder.reason), (FailureReason.SILENCE,) * 2
        )
        self.assertEqual(
            (len(rendezvous.initiator.sent), len(rendezvous.responder.sent)), (ATTEMPTS, ATTEMPTS)
        )

    def test_no_answer(self) -> None:
        """An initiator whose candidates nobody answers gives up."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
        rendezvous.is_deaf = True
        began = rendezvous.lab.now
        rendezvous.start()
        rendezvous.lab.run(60.0, until=lambda: rendezvous.initiator.ended)
        self.assertIsNone(rendezvous.initiator.reason)
        self.assertLess(rendezvous.lab.now - began, RENDEZVOUS_TIMEOUT_S + 1.0)

    def test_cancel(self) -> None:
        """Whoever cancels leaves nothing open and no timer that does anything."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["symrnd"])
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
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
        rendezvous.start()
        self.assertRaises(RemoteProtocolError, rendezvous.responder.session.candidates_received, {"nat": 5})
        rendezvous.lab.run(60.0, until=lambda: rendezvous.initiator.ended and rendezvous.responder.ended)
        self.assertIsNotNone(rendezvous.initiator.path)
        rendezvous.initiator.session.candidates_received({"anything": "after the end is ignored"})

    def test_candidates_of_another_generation(self) -> None:
        """The initiator takes only the answer to its latest candidates; the responder takes no old ones."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
        rendezvous.start()
        stale = Candidates(NatView(), (), 3).to_wire()
        rendezvous.initiator.session.candidates_received(stale)
        rendezvous.lab.run(60.0, until=lambda: rendezvous.initiator.ended and rendezvous.responder.ended)
        self.assertIsNotNone(rendezvous.initiator.path)
        self.assertEqual(len(rendezvous.responder.sent), 1)

    def test_too_few_sockets(self) -> None:
        """With fewer sockets than wanted a random NAT is punched with those; with none it fails."""
        for most, works in ((40, True), (0, False)):
            rendezvous = TwoEnds(KINDS["symblk"], KINDS["port"], most=most).run(40.0)
            self.assertEqual(rendezvous.initiator.path is not None, works)
