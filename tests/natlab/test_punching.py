"""Punches through real routers, from the rendezvous to datagrams on the path."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.sansio.nat.pairing import Strategy
from relaykit.sansio.nat.punching import FailureReason
from relaykit.values import Address, Secret
from tests.nat.direct import carry
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.lab import SERVER_6
from tests.natlab.rendezvous import STUN, Result, network_info

BUSY_S = 1.5
"""What a plain punch may take on a busy machine; on an idle one it takes 0.1 s."""


class PairTests(NatLabCase):
    """Pairs of routers, 25 ms apart."""

    async def several(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Result]:
        """Punches of several pairs at once."""
        results = await gatherResults(
            [Deferred.fromCoroutine(self.punch(a, b)) for a, b in pairs], consumeErrors=True
        )
        return dict(zip(pairs, results, strict=True))

    @tried_again
    async def test_plain(self) -> None:
        """Pairs of which one keeps its port and is open, or both keep theirs, meet at once."""
        for pairs in (
            [("none", "none"), ("fw", "fw"), ("full", "addr"), ("port", "port"), ("port", "portshift")],
            [("none", "symrnd"), ("full", "symseq"), ("addr", "symrnd"), ("symblk", "full")],
        ):
            for pair, result in (await self.several(pairs)).items():
                self.assertTrue(result.worked, (pair, result))
                self.took(pair, result.seconds, BUSY_S)

    @tried_again
    async def test_predicted(self) -> None:
        """Ports that are counted up are predicted, from either side and from both."""
        pairs = [("port", "symseq"), ("symseq", "portshift"), ("symseq", "symseq"), ("fw", "symseq")]
        for pair, result in (await self.several(pairs)).items():
            self.assertTrue(result.worked, (pair, result))
            self.took(pair, result.seconds, BUSY_S)

    @tried_again
    async def test_guessed(self) -> None:
        """Ports that are drawn are guessed."""
        pairs = [("port", "symrnd"), ("symblk", "port"), ("symaddr", "fw")]
        for pair, result in (await self.several(pairs)).items():
            self.assertTrue(result.worked, (pair, result))
            self.assertEqual(
                {path.result.strategy for path in result.paths}, {Strategy.GUESS, Strategy.SPREAD}, pair
            )

    @tried_again
    async def test_streams(self) -> None:
        """Where UDP is blocked TCP is punched, and what one end sends the other receives."""
        pairs = [("udpblock", "udpblock"), ("udpblock", "port"), ("full", "udpblock+input=accept")]
        for pair, result in (await self.several(pairs)).items():
            self.assertTrue(result.worked, (pair, result))
            one, two = result.streams
            self.assertEqual(await carry(one, two, b"hello", Secret("a secret")), b"hello", pair)

    @tried_again
    async def test_impossible(self) -> None:
        """Two that draw their ports are told so, and so is who has only web pages."""
        pairs = [("symrnd", "symrnd"), ("symseq", "symrnd"), ("symblk", "symrnd")]
        for pair, result in (await self.several(pairs)).items():
            for end in (result.initiator, result.responder):
                assert isinstance(end, Failure), (pair, end)
                assert isinstance(end.value, HolePunchingFailedError), (pair, end)
                self.assertIs(end.value.reason, FailureReason.IMPOSSIBLE)
            self.took(pair, result.total_s, 5.0)

    @tried_again
    async def test_careless_routers(self) -> None:
        """Routers that keep what nobody asked for do no harm, in whichever order the ends begin."""
        pairs = [
            ("port+input=accept", "port+input=accept"),
            ("port+input=accept", "portshift"),
            ("port", "port+input=reject"),
            ("symseq", "port+input=accept"),
        ]
        for pair, result in (await self.several(pairs)).items():
            self.assertTrue(result.worked, (pair, result))
            self.took(pair, result.seconds, BUSY_S)

    @tried_again
    async def test_loss(self) -> None:
        """With a fifth of all datagrams lost each way a path is found within three seconds."""
        results = await gatherResults(
            [
                Deferred.fromCoroutine(self.punch("port", b, loss=0.2))
                for b in ("port", "portshift", "addr", "full")
            ],
            consumeErrors=True,
        )
        for result in results:
            self.assertTrue(result.worked, result)
            self.took("a path in spite of losses", result.seconds, 3.0 + BUSY_S)

    @tried_again
    async def test_path(self) -> None:
        """What one end sends on its path the other receives."""
        result = await self.punch("port", "symseq")
        one, two = result.paths
        self.assertEqual(await carry(one, two, b"@hello", Secret("a secret")), b"@hello")
        self.assertGreater(one.result.round_trip_s or 0.0, 0.045)


class PlaceTests(NatLabCase):
    """Where the two ends are."""

    @tried_again
    async def test_one_lan(self) -> None:
        """Two machines of one LAN meet in it."""
        result = await self.punch("symrnd", "port", roles=("ca", "ca2"))
        self.assertTrue(result.worked, result)
        self.assertEqual({path.result.kind for path in result.paths}, {CandidateKind.HOST})

    @tried_again
    async def test_two_lans_of_one_address(self) -> None:
        """Two LANs that both are 192.168.1.0/24 do not confuse anybody."""
        result = await self.punch("port", "port", same_lan=True)
        self.assertTrue(result.worked, result)
        self.assertNotIn(CandidateKind.HOST, {path.result.kind for path in result.paths})

    @tried_again
    async def test_carrier(self) -> None:
        """Behind a carrier's NAT the stricter one of both counts."""
        for carrier, strategy in (("portshift", Strategy.CHECK), ("symblk", Strategy.SPREAD)):
            result = await self.punch(
                "port",
                "port",
                carrier=carrier,
                around=({"behavior": None, "opening_ttl": 3}, {}),
            )
            self.assertTrue(result.worked, (carrier, result))
            path = next(path for path in result.paths if path.role.value == "initiator")
            self.assertIs(path.result.strategy, strategy)

    @tried_again
    async def test_one_carrier(self) -> None:
        """Behind one carrier's NAT they meet, since that turns datagrams around."""
        result = await self.punch("port", "port", carrier="port+hairpin", carrier_for="ab")
        self.assertTrue(result.worked, result)

    @tried_again
    async def test_ipv6(self) -> None:
        """Two IPv6 firewalls are punched by plain sends, whatever the NATs of IPv4 are."""
        result = await self.punch("symrnd", "symrnd", six=True)
        self.assertTrue(result.worked, result)
        for path in result.paths:
            self.assertIn(":", path.peer.host)
            self.took("a path of IPv6", path.result.seconds, BUSY_S)

    @tried_again
    async def test_ipv6_by_servers(self) -> None:
        """What a STUN server sees of IPv6 is enough, where no address of an interface is a candidate."""
        lab = self.make_lab("symrnd", "symrnd", 0.025, six=True)
        rendezvous = await self.begin(lab)
        self.serve_stun(lab, SERVER_6)
        servers = [*STUN, Address(SERVER_6, 3478)]
        only = {"stun_servers": servers, "ignored_interfaces": ("*",)}
        result = await rendezvous.punch(
            around=(network_info(lab, "ca", **only), network_info(lab, "cb", **only))
        )
        self.addCleanup(result.close)
        self.assertTrue(result.worked, result)
        for path in result.paths:
            self.assertIn(":", path.peer.host)
            self.assertIs(path.result.kind, CandidateKind.REFLEXIVE)

    @tried_again
    async def test_wrong_key(self) -> None:
        """An end without the session's key gets no path."""
        lab = self.make_lab("none", "none")
        rendezvous = await self.begin(lab)
        result = await rendezvous.punch(keys=(bytes(32), b"x" * 32))
        self.assertFalse(result.worked)
