"""Tests of whole sessions in memory: two machines, a rendezvous between them, all kinds of NAT."""

from __future__ import annotations

import errno
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.nat import session
from relaykit.nat.allowance import SocketAllowance
from relaykit.nat.direct_paths import OVERDUE_S
from relaykit.nat.session import ATTEMPTS, RENDEZVOUS_TIMEOUT_S, TCP_AFTER_S
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.keeping import KEEPALIVE_S, KEEPALIVE_SYMMETRIC_S, SILENT_S
from relaykit.sansio.nat.pairing import NatView, Strategy
from relaykit.sansio.nat.punching import QUIET_S, FailureReason
from relaykit.sansio.nat.tcp_punching import TcpPunching
from relaykit.values import Address, Ended, Secret
from tests.nat.direct import Hearing, carry
from tests.nat.two_ends import End, TwoEnds
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

    def test_followed(self) -> None:
        """A path whose peer gets other ports leads there as soon as the peer says something."""
        rendezvous = TwoEnds(KINDS["portshift"], KINDS["full"]).run()
        initiator, responder = rendezvous.initiator.path, rendezvous.responder.path
        assert initiator is not None and responder is not None
        here, there = Hearing(), Hearing()
        initiator.datagrams().attach(here)
        responder.datagrams().attach(there)
        rendezvous.lab.run(5.0)
        before = responder.peer
        rendezvous.initiator.nat.forget()
        initiator.datagrams().send(b"from elsewhere")
        rendezvous.lab.run(1.0)
        self.assertNotEqual(responder.peer, before)
        responder.datagrams().send(b"one")
        initiator.datagrams().send(b"two")
        rendezvous.lab.run(1.0)
        self.assertEqual((here.heard, there.heard), ([b"one"], [b"two"]))
        rendezvous.initiator.nat.forget()
        rendezvous.lab.run(KEEPALIVE_S + 5.0)
        responder.datagrams().send(b"three")
        rendezvous.lab.run(600.0)
        self.assertEqual(here.heard, [b"one", b"three"])
        self.assertNoResult(responder.when_lost())
        self.assertNoResult(initiator.when_lost())

    def test_short_lived_mappings(self) -> None:
        """A symmetric NAT that forgets in ten seconds keeps a path that nobody uses."""
        for other in ("full", "port"):
            rendezvous = TwoEnds(KINDS["symrnd"], KINDS[other])
            rendezvous.initiator.nat._lifetime_s = 2 * KEEPALIVE_SYMMETRIC_S
            rendezvous.run()
            initiator, responder = rendezvous.initiator.path, rendezvous.responder.path
            assert initiator is not None and responder is not None
            rendezvous.lab.run(4 * KEEPALIVE_SYMMETRIC_S - 2.0)
            heard = Deferred.fromCoroutine(carry(responder, initiator, b"there", Secret("")))
            rendezvous.lab.run(1.0)
            self.assertEqual(self.successResultOf(heard), b"there", other)

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

    def test_silence_is_short(self) -> None:
        """Where checks must do and nothing is heard, both attempts are over soon."""
        rendezvous = TwoEnds(KINDS["port"], KINDS["port"], keys=(KEY, bytes(32)))
        began = rendezvous.lab.now
        rendezvous.start()
        rendezvous.lab.run(60.0, until=lambda: rendezvous.initiator.ended)
        self.assertLess(rendezvous.lab.now - began, ATTEMPTS * QUIET_S + 0.3)
        self.assertLess(ATTEMPTS * QUIET_S, OVERDUE_S + 0.1)

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
        """With fewer sockets than wanted a random NAT is punched with those; with none it fails at once."""
        for most, reason in ((40, None), (1, FailureReason.NO_SOCKETS), (0, None)):
            rendezvous = TwoEnds(KINDS["symblk"], KINDS["port"], most=most)
            began = rendezvous.lab.now
            rendezvous.run(40.0)
            self.assertEqual(rendezvous.initiator.path is not None, most == 40)
            if rendezvous.initiator.path is None:
                self.assertIs(rendezvous.initiator.reason, reason)
                self.assertEqual(rendezvous.initiator.network.open, 0)
                self.assertLess(rendezvous.initiator.ended_at - began, 0.5)

    def test_no_descriptors(self) -> None:
        """Where not even the interfaces can be looked at, that is told at once, and is no defect."""

        def refuse() -> None:
            raise OSError(errno.EMFILE, "too many open files")

        rendezvous = TwoEnds(KINDS["port"], KINDS["port"])
        self.patch(rendezvous.initiator.network, "interfaces", refuse)
        rendezvous.start()
        assert rendezvous.initiator.error is not None
        self.assertIn("too many open files", rendezvous.initiator.error.getErrorMessage())
        self.assertEqual(rendezvous.initiator.network.open, 0)

    def test_sockets_are_shared(self) -> None:
        """Searches take their sockets from what the client allows all of them, and give them back."""
        allowance = SocketAllowance(20)
        for _ in range(2):
            rendezvous = TwoEnds(KINDS["symblk"], KINDS["port"])
            rendezvous.initiator.network_info = evolve(rendezvous.initiator.network_info, allowance=allowance)
            rendezvous.run()
            self.assertIsNotNone(rendezvous.initiator.path)
            self.assertEqual(len(rendezvous.initiator.network.sockets), 21)
        self.assertEqual(allowance.take(100), 20)


class _TcpAttempt:
    """Punches TCP as a test says."""

    def __init__(self, reactor: Any, network_info: Any, core: TcpPunching, role: PeerRole) -> None:
        self.at = reactor.seconds()
        self.role = role
        self.cancelled = False
        self.result: Deferred[Any] = Deferred(self._cancel)

    def start(self) -> Deferred[Any]:
        """Begins."""
        return self.result

    def _cancel(self, _: object) -> None:
        self.cancelled = True


class TcpTests(SynchronousTestCase):
    """TCP beside UDP."""

    def setUp(self) -> None:
        """Notes who punches TCP."""
        self.attempts: list[_TcpAttempt] = []

        def make(*arguments: Any) -> _TcpAttempt:
            self.attempts.append(_TcpAttempt(*arguments))
            return self.attempts[-1]

        self.patch(session, "TcpAttempt", make)

    def meet(self, one: str, two: str, keys: tuple[bytes, bytes] = (KEY, bytes(32))) -> TwoEnds:
        """Two ends that have TCP ports, too; as a rule UDP brings them nowhere."""
        rendezvous = TwoEnds(KINDS[one], KINDS[two], keys=keys)
        for end in (rendezvous.initiator, rendezvous.responder):
            end.network_info = evolve(
                end.network_info, stream_port=7000, stream_seen_as=Address(end.nat.wan, 7000)
            )
        self.began = rendezvous.lab.now
        rendezvous.start()
        return rendezvous

    def of_initiator(self) -> list[_TcpAttempt]:
        """What the initiator's end punches."""
        return [each for each in self.attempts if each.role is PeerRole.INITIATOR]

    def ended(self, end: End) -> FailureReason | None:
        """Why an end failed."""
        self.assertTrue(end.ended)
        return end.reason

    def test_beside_udp(self) -> None:
        """After a second of nothing both ends try TCP, while UDP goes on; the path ends UDP."""
        got: list[Any] = []
        self.patch(End, "_worked", lambda end, path: got.append(path))
        rendezvous = self.meet("port", "port")
        rendezvous.lab.run(TCP_AFTER_S + 0.5)
        self.assertEqual(len(self.attempts), 2)
        for attempt in self.attempts:
            self.assertLess(attempt.at - self.began, TCP_AFTER_S + 0.2)
        rendezvous.lab.run(1.0)
        self.assertEqual([each["generation"] for each in rendezvous.initiator.sent], [0, 1])
        (attempt,) = self.of_initiator()
        path: Any = object()
        attempt.result.callback(path)
        self.assertEqual((got, rendezvous.initiator.network.open), ([path], 0))

    def test_udp_wins(self) -> None:
        """Where UDP works at once TCP is not tried."""
        rendezvous = self.meet("port", "port", keys=(KEY, KEY))
        rendezvous.lab.run(5.0)
        self.assertIsNotNone(rendezvous.initiator.path)
        self.assertEqual(self.attempts, [])

    def test_udp_wins_late(self) -> None:
        """A path of UDP that comes while TCP is tried ends that."""
        rendezvous = self.meet("port", "port", keys=(KEY, KEY))
        for end in (rendezvous.initiator, rendezvous.responder):
            self.patch(end.session, "_udp_failed", lambda failure: None)
        rendezvous.lab.run(0.1)
        rendezvous.initiator.nat._blocks_udp = True
        rendezvous.lab.run(1.1)
        rendezvous.initiator.nat._blocks_udp = False
        rendezvous.lab.run(0.25)
        self.assertIsNotNone(rendezvous.initiator.path)
        self.assertEqual([each.cancelled for each in self.attempts], [True, True])

    def test_both_fail(self) -> None:
        """There is no path once neither has one; the reason is that of UDP."""
        rendezvous = self.meet("port", "port")
        rendezvous.lab.run(6.0)
        self.assertFalse(rendezvous.initiator.ended)
        for each in self.attempts:
            each.result.errback(ValueError("no connection"))
        rendezvous.lab.run(30.0)
        self.assertIs(self.ended(rendezvous.initiator), FailureReason.SILENCE)

    def test_blocked(self) -> None:
        """Where UDP is blocked TCP is tried at once, and decides."""
        rendezvous = self.meet("udpblock", "port", keys=(KEY, KEY))
        rendezvous.lab.run(3.0)
        self.assertEqual(len(self.attempts), 2)
        self.assertFalse(rendezvous.initiator.ended)
        self.of_initiator()[0].result.errback(ValueError("no connection"))
        self.assertIs(self.ended(rendezvous.initiator), FailureReason.IMPOSSIBLE)

    def test_impossible(self) -> None:
        """NATs that take a port for each peer do so for TCP as well: that is told at once."""
        rendezvous = self.meet("symrnd", "symrnd", keys=(KEY, KEY))
        rendezvous.lab.run(1.0)
        self.assertIs(self.ended(rendezvous.initiator), FailureReason.IMPOSSIBLE)
        rendezvous.lab.run(10.0)
        self.assertEqual(self.attempts, [])

    def test_cancel(self) -> None:
        """Cancelling stops TCP, too, and before it began."""
        rendezvous = self.meet("port", "port")
        rendezvous.lab.run(0.5)
        rendezvous.initiator.result.cancel()
        rendezvous.lab.run(1.0)
        rendezvous.responder.result.cancel()
        self.assertEqual([each.cancelled for each in self.attempts], [True])
