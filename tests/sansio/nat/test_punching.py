"""Tests of punching: the table of NATs against NATs, loss, late starts, and those who do not belong."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import Filtering, Mapping, PortAllocation, Ports
from relaykit.sansio.nat.candidates import Candidate, CandidateKind
from relaykit.sansio.nat.check_list import CHECKS_MAX, REFLEXIVE_MAX
from relaykit.sansio.nat.checks import CheckKeys, CheckKind, PeerRole
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.keeping import (
    KEEPALIVE_S,
    KEEPALIVE_SYMMETRIC_S,
    SETTLING_S,
    SILENT_S,
    PathMoved,
)
from relaykit.sansio.nat.pairing import NatView, Strategy
from relaykit.sansio.nat.port_scan import SOCKETS, SOCKETS_MIN
from relaykit.sansio.nat.punching import (
    FALLBACK_S,
    OPENING_S,
    OPENING_TTL,
    QUIET_S,
    SEARCH_S,
    SECOND_OPENING_TTL,
    TOTAL_S,
    FailureReason,
    HolePunching,
    PathLost,
    Punched,
    PunchingFailed,
    PunchingState,
    SocketsWanted,
    phases_of,
)
from relaykit.testing.natlab import Lab
from relaykit.values import Address
from tests.sansio.nat.pairs import GRID, KEY, KINDS, Kind, Outcome, make_side, punch

STEADY = ("none", "full", "addr", "port", "portshift")
PLAIN, PREDICTED, GUESSED, BLOCKS, NEVER = "plain", "predicted", "guessed", "blocks", "never"


def expected(a: str, b: str) -> str:
    """How a pair can be punched."""
    if "udpblock" in (a, b):
        return NEVER
    if a in STEADY and b in STEADY:
        return PLAIN
    if {a, b} & {"none", "full", "addr"}:
        return PLAIN
    if a in STEADY or b in STEADY:
        return PREDICTED if "symseq" in (a, b) else GUESSED
    if a == b == "symseq":
        return PREDICTED
    return BLOCKS if a == b == "symblk" else NEVER


SECONDS = {PLAIN: 0.3, PREDICTED: 0.3, GUESSED: 10.5, BLOCKS: 9.0}


def try_pair(
    a: Kind,
    b: Kind,
    seed: int,
    loss: float = 0.0,
    skew_s: float | None = None,
    servers: list[Address] = GRID,
    generation: int = 0,
) -> Outcome:
    """One punch in a fresh lab; every second one with the roles exchanged."""
    lab = Lab(seed, delay_s=0.025, loss=loss)
    lab.stun_server(servers)
    first, second = (a, b) if seed % 2 else (b, a)
    return punch(
        lab,
        make_side(lab, first, 1, servers),
        make_side(lab, second, 2, servers, host="192.0.2.10" if second.public else ""),
        skew_s,
        generation=generation,
    )


class TableTests(SynchronousTestCase):
    """Every kind of NAT against every other."""

    def test_all_pairs(self) -> None:
        """Each pair meets, within its time, or is told at once that it cannot."""
        names = list(KINDS)
        for place, a in enumerate(names):
            for b in names[place:]:
                how = expected(a, b)
                for seed in (0, 1):
                    outcome = try_pair(KINDS[a], KINDS[b], seed)
                    if how == NEVER:
                        self.assertEqual(
                            outcome.initiator, PunchingFailed(FailureReason.IMPOSSIBLE, 0.0), (a, b)
                        )
                        self.assertEqual(outcome.sent, 0, (a, b))
                    else:
                        self.assertTrue(outcome.worked, (a, b, outcome))
                        self.assertLess(outcome.seconds, SECONDS[how], (a, b, outcome))

    def test_all_nine_behaviors(self) -> None:
        """Each of the nine behaviors of RFC 4787 reaches an open peer at once."""
        for mapping in list(Mapping)[1:4]:
            for filtering in list(Filtering)[1:4]:
                for peer in ("none", "full", "addr"):
                    outcome = try_pair(Kind(mapping, filtering), KINDS[peer], seed=1)
                    self.assertTrue(outcome.worked, (mapping, filtering, peer))
                    self.assertLess(outcome.seconds, 0.3)

    def test_loss(self) -> None:
        """With a fifth of all datagrams lost each way steady pairs meet within three seconds."""
        for a, b in (("port", "port"), ("addr", "portshift"), ("full", "symrnd"), ("port", "symseq")):
            for seed in range(20):
                outcome = try_pair(KINDS[a], KINDS[b], seed, loss=0.2)
                self.assertTrue(outcome.worked, (a, b, seed, outcome))
                self.assertLess(outcome.seconds, 3.0)

    def test_guessing(self) -> None:
        """Guessing takes a second in the middle and is nearly sure."""
        outcomes = [try_pair(KINDS["port"], KINDS["symrnd"], seed) for seed in range(30, 60)]
        self.assertGreaterEqual(sum(each.worked for each in outcomes), 29)
        self.assertLess(sorted(each.seconds for each in outcomes)[15], 3.0)

    def test_careless_routers(self) -> None:
        """Routers that remember unsolicited datagrams spoil nothing, however late the initiator begins."""
        for skew_s in (0.0, 0.025, 0.1, 0.3, 0.7):
            for a, b in (("port", "port"), ("port", "portshift"), ("port", "symseq")):
                outcome = try_pair(
                    evolve(KINDS[a], keeps_unsolicited=True),
                    evolve(KINDS[b], keeps_unsolicited=True),
                    seed=1,
                    skew_s=skew_s,
                )
                self.assertTrue(outcome.worked, (a, b, skew_s))
                self.assertLess(outcome.seconds - skew_s, 0.3)

    def test_guessing_behind_careless_routers(self) -> None:
        """Guessing works through them as well."""
        kinds = [evolve(KINDS[name], keeps_unsolicited=True) for name in ("port", "symrnd")]
        outcomes = [try_pair(kinds[0], kinds[1], seed) for seed in range(20)]
        self.assertGreaterEqual(sum(each.worked for each in outcomes), 18)

    def test_late_initiator(self) -> None:
        """An initiator whose candidates came seconds later still meets."""
        outcome = try_pair(KINDS["port"], KINDS["port"], seed=1, skew_s=8.0)
        self.assertTrue(outcome.worked)
        self.assertLess(outcome.seconds, 8.5)

    def test_one_server_address(self) -> None:
        """A NAT whose dependence on addresses one server cannot show is found out by failing."""
        outcomes = [
            try_pair(KINDS["port"], KINDS["symaddr"], seed, servers=GRID[:2], generation=1)
            for seed in range(10)
        ]
        self.assertGreaterEqual(sum(each.worked for each in outcomes), 7)
        self.assertTrue(try_pair(KINDS["port"], KINDS["port"], 1, servers=GRID[:2]).seconds < 0.3)


class SameSiteTests(SynchronousTestCase):
    """Two machines behind one NAT, and behind one carrier's."""

    def test_one_lan(self) -> None:
        """Machines of one LAN meet in it, without the NAT's help."""
        for name in ("port", "symrnd", "udpblock"):
            lab = Lab(1, delay_s=0.025)
            lab.stun_server(GRID)
            initiator = make_side(lab, KINDS[name], 1, GRID)
            responder = make_side(lab, KINDS[name], 1, GRID, nat=initiator.nat, host="192.168.1.101")
            outcome = punch(lab, initiator, responder)
            assert isinstance(outcome.initiator, Punched), (name, outcome)
            self.assertIs(outcome.initiator.kind, CandidateKind.HOST)
            self.assertLess(outcome.seconds, 0.1)

    def test_one_carrier(self) -> None:
        """Behind one carrier's NAT it takes a hairpin."""
        for hairpin in (False, True):
            lab = Lab(1, delay_s=0.025)
            lab.stun_server(GRID)
            carrier = lab.nat("198.51.100.18", hairpin=hairpin)
            one, two = (make_side(lab, KINDS["port"], number, GRID, behind=carrier) for number in (1, 2))
            outcome = punch(lab, one, two)
            self.assertEqual(outcome.worked, hairpin)

    def test_double_nat(self) -> None:
        """A steady NAT behind a carrier's random one is a random one; the stricter box counts."""
        lab = Lab(2, delay_s=0.025)
        lab.stun_server(GRID)
        carrier = lab.nat("198.51.100.18", KINDS["symblk"].mapping, allocation=KINDS["symblk"].allocation)
        inner = make_side(lab, KINDS["port"], 1, GRID, behind=carrier)
        outer = make_side(lab, KINDS["port"], 2, GRID)
        outcome = punch(lab, inner, outer)
        self.assertTrue(outcome.worked, outcome)


CONE = NatView(mapping=Mapping.ENDPOINT_INDEPENDENT)
RANDOM = NatView(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, ports=Ports(PortAllocation.RANDOM))


class _End:
    """One punch by hand, with a peer whose datagrams the test writes."""

    TARGET = Candidate(CandidateKind.REFLEXIVE, Address("198.51.100.3", 6000))

    def __init__(
        self,
        role: PeerRole = PeerRole.INITIATOR,
        targets: int = 1,
        generation: int = 0,
        own: NatView = CONE,
        peer: NatView = CONE,
        mapping_life_s: float | None = None,
    ) -> None:
        self.role = role
        self.peer = CheckKeys(KEY, role.other, b"p" * 32)
        known = Candidates(own, generation=generation)
        self.targets = [
            Candidate(self.TARGET.kind, Address(self.TARGET.address.host, 6000 + place))
            for place in range(targets)
        ]
        self.core = HolePunching(
            role,
            known,
            Candidates(peer, generation=generation),
            self.targets,
            KEY,
            lambda size: b"e" * size,
            mapping_life_s=mapping_life_s,
        )
        self.core.start(0.0)
        self.now = 0.0

    def hear(
        self, kind: CheckKind, token: bytes = bytes(8), source: Address | None = None, at: float = 0.0
    ) -> None:
        """The peer sends something."""
        data = self.peer.seal(kind, token, int(at * 1000))
        self.core.receive(data, source or self.TARGET.address, 0, self.now)

    def said(self) -> list[tuple[CheckKind, Address, int | None, bytes]]:
        """What it sends: kind, destination, TTL, token."""
        found = []
        for each in self.core.to_send(self.now):
            check = self.peer.open(each.payload)
            assert check is not None
            found.append((check.kind, each.destination, each.ttl, check.token))
        return found

    def run(self, seconds: float) -> list[tuple[CheckKind, Address, int | None, bytes]]:
        """Lets time pass and collects what it sends."""
        end, found = self.now + seconds, self.said()
        while (wakeup := self.core.next_wakeup()) is not None and wakeup <= end:
            self.now = wakeup
            self.core.wake(self.now)
            found += self.said()
        self.now = end
        return found


class CoreTests(SynchronousTestCase):
    """The rules one by one."""

    def test_handshake(self) -> None:
        """The initiator probes, nominates what was answered, and is done when that is accepted."""
        end = _End()
        ((kind, target, ttl, token),) = end.said()
        self.assertEqual((kind, target, ttl), (CheckKind.PROBE, end.TARGET.address, None))
        end.now = 0.03
        end.hear(CheckKind.ANSWER, token)
        self.assertEqual([each[:2] for each in end.said()], [(CheckKind.NOMINATION, target)])
        self.assertEqual(list(end.core.events()), [])
        end.hear(CheckKind.ACCEPTANCE)
        (event,) = end.core.events()
        self.assertEqual(event, Punched(0, target, CandidateKind.REFLEXIVE, Strategy.CHECK, 0.03, 0.03))
        self.assertIs(end.core.state, PunchingState.CONNECTED)

    def test_nomination_is_repeated(self) -> None:
        """A lost nomination or acceptance is repaired by repetition."""
        end = _End()
        ((_, _, _, token),) = end.said()
        end.hear(CheckKind.ANSWER, token)
        kinds = [each[0] for each in end.run(0.21)]
        self.assertEqual(kinds, [CheckKind.NOMINATION] * 5)

    def test_responder(self) -> None:
        """The responder answers probes, never nominates, accepts one nomination and repeats that."""
        end = _End(PeerRole.RESPONDER)
        ((_, _, _, token),) = end.said()
        end.hear(CheckKind.PROBE, b"TOKEN678")
        answer = end.said()[0]
        self.assertEqual((answer[0], answer[3]), (CheckKind.ANSWER, b"TOKEN678"))
        end.hear(CheckKind.ANSWER, token)
        self.assertNotIn(CheckKind.NOMINATION, [each[0] for each in end.run(0.3)])
        end.hear(CheckKind.NOMINATION)
        self.assertIsInstance(end.core.events()[0], Punched)
        self.assertEqual([each[0] for each in end.said()], [CheckKind.ACCEPTANCE])
        end.hear(CheckKind.NOMINATION)
        self.assertEqual([each[0] for each in end.said()], [CheckKind.ACCEPTANCE])
        end.hear(CheckKind.NOMINATION, source=Address("198.51.100.3", 7777))
        self.assertEqual((end.said(), list(end.core.events())), ([], []))

    def test_second_attempt_opens_otherwise(self) -> None:
        """In a second attempt both ends open their NATs first, by datagrams that die nearer."""
        self.assertLess(SECOND_OPENING_TTL, OPENING_TTL)
        for role in PeerRole:
            end = _End(role, generation=1)
            self.assertEqual({each[2] for each in end.run(0.09)}, {SECOND_OPENING_TTL})
        self.assertEqual(_End(generation=1).run(0.3)[-1][2], None)

    def test_opening(self) -> None:
        """The responder's first datagrams have a low TTL, until it hears the initiator or for a second."""
        end = _End(PeerRole.RESPONDER)
        opening = end.run(OPENING_S - 0.1)
        self.assertEqual({each[2] for each in opening}, {4})
        later = end.run(0.5)
        self.assertEqual(later[-1][2], None)
        end = _End(PeerRole.RESPONDER)
        end.run(0.1)
        end.hear(CheckKind.PROBE)
        self.assertEqual({each[2] for each in end.said()}, {None})
        self.assertEqual({each[2] for each in _End().said()}, {None})

    def test_better_path(self) -> None:
        """The initiator waits a moment for a better candidate, and then takes what it has."""
        reflexive = Candidate(CandidateKind.REFLEXIVE, Address("198.51.100.3", 6000))
        host = Candidate(CandidateKind.HOST, Address("192.168.1.7", 6000))
        for host_answers in (False, True):
            known = Candidates(NatView(mapping=Mapping.ENDPOINT_INDEPENDENT))
            end = _End()
            end.core = HolePunching(
                PeerRole.INITIATOR, known, known, [host, reflexive], KEY, lambda size: b"e" * size
            )
            end.core.start(0.0)
            tokens = {each[1]: each[3] for each in end.said()}
            end.hear(CheckKind.ANSWER, tokens[reflexive.address], reflexive.address)
            self.assertEqual(end.said(), [])
            end.now = 0.01
            if host_answers:
                end.hear(CheckKind.ANSWER, tokens[host.address], host.address)
            nominated = [each[1] for each in end.run(0.06) if each[0] is CheckKind.NOMINATION]
            self.assertEqual(nominated[0], host.address if host_answers else reflexive.address)

    def test_answer_from_elsewhere_proves_nothing(self) -> None:
        """An answer counts only for the path that its probe went."""
        end = _End()
        ((_, _, _, token),) = end.said()
        end.hear(CheckKind.ANSWER, token, Address("198.51.100.3", 7777))
        self.assertNotIn(CheckKind.NOMINATION, [each[0] for each in end.said()])

    def test_silence(self) -> None:
        """Without a sign of the peer it gives up after a while, having checked a bounded number of times."""
        end = _End(targets=2)
        sent = end.run(60.0)
        (event,) = end.core.events()
        assert isinstance(event, PunchingFailed)
        self.assertIs(event.reason, FailureReason.SILENCE)
        self.assertAlmostEqual(event.seconds, QUIET_S, 1)
        self.assertLessEqual(len(sent), 2 * CHECKS_MAX)
        self.assertEqual((end.core.state, end.core.next_wakeup()), (PunchingState.ENDED, None))

    def test_patience(self) -> None:
        """What hits at once or never is given up soon; a search for a port is not, nor is a second attempt
        in which the NAT may be another than it seems.
        """
        for own, peer, generation, expected in (
            (CONE, CONE, 0, QUIET_S),
            (CONE, CONE, 1, QUIET_S),
            (CONE, RANDOM, 0, SEARCH_S),
            (CONE, NatView(mapping=Mapping.NOT_PORT_DEPENDENT), 0, QUIET_S),
            (CONE, NatView(mapping=Mapping.NOT_PORT_DEPENDENT), 1, FALLBACK_S[0] + SEARCH_S),
        ):
            end = _End(own=own, peer=peer, generation=generation)
            end.run(30.0)
            (event,) = end.core.events()
            assert isinstance(event, PunchingFailed)
            self.assertAlmostEqual(event.seconds, expected, 1)

    def test_no_sockets(self) -> None:
        """A search that gets no sockets is over at once; one that gets a few goes on."""
        for count, expected in ((1, 0.0), (20, SEARCH_S)):
            end = _End(own=RANDOM)
            self.assertEqual(list(end.core.events()), [SocketsWanted(SOCKETS[Strategy.SPREAD])])
            end.core.opened(count)
            end.run(30.0)
            (event,) = end.core.events()
            assert isinstance(event, PunchingFailed)
            self.assertAlmostEqual(event.seconds, expected, 1)
            self.assertEqual(event.reason is FailureReason.NO_SOCKETS, count == 1)

    def test_few_sockets_for_a_small_block(self) -> None:
        """Behind a small block of ports a few sockets are enough, and leave the block to others."""
        small = evolve(RANDOM, ports=Ports(PortAllocation.BLOCK, low=20480, high=20543))
        end = _End(own=small)
        self.assertEqual(list(end.core.events()), [SocketsWanted(SOCKETS_MIN)])

    def test_one_way(self) -> None:
        """Being heard keeps it going, but not for ever."""
        end = _End()
        for _ in range(40):
            end.run(1.0)
            end.hear(CheckKind.PROBE)
        (event,) = end.core.events()
        assert isinstance(event, PunchingFailed)
        self.assertIs(event.reason, FailureReason.ONE_WAY)
        self.assertLessEqual(event.seconds, TOTAL_S + 0.1)

    def connected(self, own: NatView = CONE, mapping_life_s: float | None = None) -> _End:
        """An end whose path stands."""
        end = _End(PeerRole.RESPONDER, own=own, mapping_life_s=mapping_life_s)
        end.hear(CheckKind.NOMINATION)
        end.core.events()
        end.said()
        return end

    def test_kept(self) -> None:
        """A path that stands is asked over now and then, more often when there is no answer."""
        end = self.connected()
        self.assertEqual(end.run(KEEPALIVE_S - 0.1), [])
        self.assertEqual([each[0] for each in end.run(2.2)], [CheckKind.PROBE] * 3)
        end.hear(CheckKind.PROBE)
        self.assertEqual([each[0] for each in end.said()], [CheckKind.ANSWER])
        self.assertEqual(end.run(KEEPALIVE_S - 0.1), [])
        self.assertLess(KEEPALIVE_S, 30.0)

    def test_kept_more_often(self) -> None:
        """Where a NAT cannot be found again, or forgets soon, the questions come more often."""
        for own, life_s, expected in ((RANDOM, None, KEEPALIVE_SYMMETRIC_S), (CONE, 8.0, 4.0)):
            end = self.connected(own, life_s)
            self.assertEqual(end.run(expected - 0.1), [])
            self.assertEqual([each[0] for each in end.run(0.2)], [CheckKind.PROBE])

    def test_lost(self) -> None:
        """A path over which nothing is heard is lost; what others send is no sign of it."""
        end = self.connected()
        end.run(SILENT_S - 1.0)
        end.core.receive(bytes(40), end.TARGET.address, 0, end.now)
        self.assertEqual(list(end.core.events()), [])
        end.run(1.1)
        self.assertEqual(list(end.core.events()), [PathLost()])
        self.assertIsNone(end.core.next_wakeup())

    def test_peer_elsewhere_lives(self) -> None:
        """What the peer says from elsewhere keeps the path, and once it has answered there, moves it."""
        end = self.connected()
        elsewhere = Address("198.51.100.3", 7777)
        end.run(SILENT_S - 1.0)
        end.hear(CheckKind.PROBE, b"TOKEN678", elsewhere)
        (_, answered, _, _), (kind, asked, _, token) = end.said()
        self.assertEqual((answered, kind, asked), (elsewhere, CheckKind.PROBE, elsewhere))
        end.run(2.0)
        self.assertEqual(list(end.core.events()), [])
        end.hear(CheckKind.ANSWER, token, elsewhere, end.now)
        self.assertEqual(list(end.core.events()), [PathMoved(elsewhere)])
        self.assertEqual({each[1] for each in end.run(KEEPALIVE_S)}, {elsewhere})

    def test_suspected(self) -> None:
        """Data from elsewhere is a hint: its sender is asked, and proves that it is the peer."""
        end = self.connected()
        elsewhere = Address("198.51.100.3", 7777)
        end.run(SETTLING_S)
        end.core.suspect(elsewhere, 0, end.now)
        end.core.suspect(Address("203.0.113.66", 53), 0, end.now)
        ((kind, asked, _, token),) = end.said()
        self.assertEqual((kind, asked), (CheckKind.PROBE, elsewhere))
        end.hear(CheckKind.ANSWER, token, elsewhere, end.now)
        self.assertEqual(list(end.core.events()), [PathMoved(elsewhere)])

    def test_strangers(self) -> None:
        """Datagrams without the key, replies to them and floods of them change nothing."""
        end = _End()
        end.said()
        before = end.core.next_wakeup()
        stranger = CheckKeys(bytes(32), PeerRole.RESPONDER, b"s" * 32)
        for data in (
            stranger.seal(CheckKind.NOMINATION, bytes(8), 0),
            CheckKeys(KEY, PeerRole.INITIATOR, b"s" * 32).seal(CheckKind.PROBE, bytes(8), 0),
            b"",
            b"\x08rk1" + bytes(36),
        ):
            end.core.receive(data, Address("192.0.2.66", 53), 0, 0.0)
        self.assertEqual((end.said(), list(end.core.events())), ([], []))
        self.assertEqual(end.core.next_wakeup(), before)

    def test_learned_addresses_are_bounded(self) -> None:
        """A peer that is heard from everywhere is sent to at a few places only."""
        end = _End()
        end.said()
        for place in range(100):
            end.hear(CheckKind.PROBE, source=Address("192.0.2.66", 2000 + place))
        places = {each[1] for each in end.run(1.0)} - {end.TARGET.address}
        self.assertEqual(len(places), REFLEXIVE_MAX)

    def test_idle(self) -> None:
        """Before its start it is quiet and deaf."""
        known = Candidates(NatView())
        core = HolePunching(PeerRole.INITIATOR, known, known, [], KEY, bytes)
        core.receive(b"", Address("192.0.2.1", 1), 0, 0.0)
        core.wake(5.0)
        self.assertEqual((core.next_wakeup(), core.to_send(0.0), core.events()), (None, [], []))

    def test_wrong_key(self) -> None:
        """Two ends with different keys do not meet."""
        lab = Lab(1, delay_s=0.025)
        lab.stun_server(GRID)
        one, two = (
            make_side(lab, KINDS["none"], number, GRID, host=f"192.0.2.{number}") for number in (1, 2)
        )
        outcome = punch(lab, one, two, keys=(KEY, bytes(32)))
        self.assertFalse(outcome.worked)

    def test_hopeless_pair_with_another_candidate(self) -> None:
        """Where the NATs cannot meet, another candidate is still tried, for a short time."""
        hard = Candidates(NatView(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT))
        six = Candidate(CandidateKind.HOST, Address("2001:db8::5", 6000))
        end = _End()
        end.core = HolePunching(
            PeerRole.INITIATOR, hard, hard, [six, end.TARGET], KEY, lambda size: b"e" * size
        )
        end.core.start(0.0)
        self.assertIn(six.address, {each[1] for each in end.run(0.1)})
        end.run(5.0)
        (event,) = end.core.events()
        assert isinstance(event, PunchingFailed)
        self.assertIs(event.reason, FailureReason.IMPOSSIBLE)
        self.assertLess(event.seconds, 2.2)

    def test_phases(self) -> None:
        """Only a NAT that is not sure gets a second strategy, in a second attempt, the initiator's first."""
        sure, unsure, unknown = (
            Candidates(NatView(mapping=mapping), generation=1)
            for mapping in (Mapping.ENDPOINT_INDEPENDENT, Mapping.NOT_PORT_DEPENDENT, Mapping.UNKNOWN)
        )
        first, second = FALLBACK_S
        check, spread, guess = (0.0, Strategy.CHECK), (first, Strategy.SPREAD), (first, Strategy.GUESS)
        self.assertEqual(
            phases_of(PeerRole.INITIATOR, evolve(unsure, generation=0), evolve(sure, generation=0)), (check,)
        )
        self.assertEqual(phases_of(PeerRole.INITIATOR, sure, sure), (check,))
        for doubtful in (unsure, unknown):
            self.assertEqual(phases_of(PeerRole.RESPONDER, sure, doubtful), (check, guess))
            self.assertEqual(phases_of(PeerRole.INITIATOR, doubtful, sure), (check, spread))
        initiator, responder = (phases_of(role, unsure, unsure) for role in PeerRole)
        self.assertEqual(initiator, (check, spread, (second, Strategy.GUESS)))
        self.assertEqual(responder, (check, guess, (second, Strategy.SPREAD)))
        keeps = evolve(unsure, nat=evolve(unsure.nat, ports=Ports(PortAllocation.PRESERVED)))
        self.assertEqual(phases_of(PeerRole.INITIATOR, keeps, unsure), responder)
        self.assertEqual(phases_of(PeerRole.RESPONDER, unsure, keeps), initiator)
        self.assertEqual(phases_of(PeerRole.INITIATOR, keeps, keeps), initiator)

    def test_phases_where_ports_seemed_to_be_counted(self) -> None:
        """A few ports that happened to lie near each other are searched for in the second attempt."""
        steps = Ports(PortAllocation.STEPPED, step=3)
        stepped = Candidates(evolve(RANDOM, ports=steps, latest_port=20000), generation=1)
        steady = Candidates(CONE, generation=1)
        begin = FALLBACK_S[0]
        self.assertEqual(
            phases_of(PeerRole.INITIATOR, stepped, steady),
            ((0.0, Strategy.CHECK), (begin, Strategy.SPREAD)),
        )
        self.assertEqual(
            phases_of(PeerRole.RESPONDER, steady, stepped),
            ((0.0, Strategy.PREDICT), (begin, Strategy.GUESS)),
        )

    @given(st.lists(st.tuples(st.sampled_from(CheckKind), st.integers(0, 3), st.floats(0, 2)), max_size=30))
    @settings(max_examples=50)
    def test_any_order(self, inputs: list[tuple[CheckKind, int, float]]) -> None:
        """Whatever an authentic peer sends in whatever order, the punch ends once and in bounded time."""
        for role in PeerRole:
            end = _End(role)
            ((_, _, _, token),) = end.said()
            for kind, port, wait in inputs:
                end.run(wait)
                end.hear(kind, token, Address("198.51.100.3", 6000 + port))
            end.run(TOTAL_S + SILENT_S + 1.0)
            events = list(end.core.events())
            self.assertIs(end.core.state, PunchingState.ENDED)
            self.assertIn([type(event) for event in events], ([PunchingFailed], [Punched, PathLost]), events)
