"""Tests of frp's view of a NAT: two answers, and the class made of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat import stun
from relaykit.sansio.nat.behavior import Mapping, PortAllocation
from relaykit.sansio.nat.candidates import Interface
from relaykit.sansio.nat.frp_discovery import (
    ANSWER_S,
    LOCAL_HOSTS_MAX,
    FrpBehavior,
    FrpDiscovery,
    NotSeen,
    Seen,
    classify,
    local_hosts,
)
from relaykit.sansio.nat.stun import Attribute, StunClass, StunMessage
from relaykit.testing.natlab import Lab
from relaykit.values import Address

S1, S2 = Address("203.0.113.2", 3478), Address("203.0.113.2", 3479)
A = Address("198.51.100.7", 5000)


class ClassifyTests(SynchronousTestCase):
    """The classes of NATs."""

    def test_classes(self) -> None:
        """What differs between the answers makes the class; regular ports are near each other."""
        for other, behavior, kind, regular in (
            (A, FrpBehavior.NO_CHANGE, "EasyNAT", False),
            (Address("198.51.100.8", 5000), FrpBehavior.IP_CHANGED, "HardNAT", False),
            (Address("198.51.100.7", 5005), FrpBehavior.PORT_CHANGED, "HardNAT", True),
            (Address("198.51.100.7", 4994), FrpBehavior.PORT_CHANGED, "HardNAT", False),
            (Address("198.51.100.8", 5001), FrpBehavior.BOTH_CHANGED, "HardNAT", False),
        ):
            feature = classify([A, other], ["10.0.0.1"])
            self.assertEqual(
                (feature.behavior, feature.type, feature.is_regular, feature.is_public),
                (behavior, kind, regular, False),
            )

    def test_public(self) -> None:
        """Without a NAT an external address is the machine's own."""
        self.assertTrue(classify([A, A], ["10.0.0.1", A.host]).is_public)

    def test_too_few(self) -> None:
        """One answer tells nothing."""
        self.assertRaises(ValueError, classify, [A], [])

    def test_local_hosts(self) -> None:
        """Loopback, link-local and IPv6 addresses are left out, and of the rest no more than frp takes."""
        named = [Interface("x", host, 24) for host in ("127.0.0.1", "169.254.1.1", "10.0.0.1")]
        six = [Interface("x", "2001:db8::1", 64), Interface("x", "fe80::1%x", 64)]
        self.assertEqual(local_hosts([*named, *six]), ("10.0.0.1",))
        many = [Interface("x", f"10.0.0.{number}", 24) for number in range(1, 30)]
        self.assertEqual(len(local_hosts(many)), LOCAL_HOSTS_MAX)


class FrpDiscoveryTests(SynchronousTestCase):
    """The two questions."""

    def setUp(self) -> None:
        self.core = FrpDiscovery(S1, lambda count: bytes(range(count)))
        self.core.start(0.0)

    def answer(
        self, source: Address, *attributes: tuple[int, bytes], kind: StunClass = StunClass.SUCCESS
    ) -> None:
        """The server's answer."""
        transaction = bytes(range(12))
        self.core.receive(stun.encode(StunMessage(kind, transaction, attributes)), source, 0, 0.1)

    def test_behind_nats(self) -> None:
        """Both of a server's ports are asked from one socket, in order."""
        for mapping, same in (
            (Mapping.ENDPOINT_INDEPENDENT, True),
            (Mapping.ADDRESS_AND_PORT_DEPENDENT, False),
        ):
            lab = Lab(1, delay_s=0.02, loss=0.0)
            lab.stun_server([S1, S2])
            nat = lab.nat("198.51.100.2", mapping, allocation=PortAllocation.STEPPED)
            core = FrpDiscovery(S1, lab.chance.randbytes)
            node = lab.machine("192.168.1.100", behind=nat).run(core, sockets=[0])
            core.start(lab.now)
            lab.run(1.0)
            ((_, event),) = node.events
            first, second = event.addresses
            self.assertEqual(first == second, same)
            self.assertEqual({first.host, second.host}, {"198.51.100.2"})

    def test_loss(self) -> None:
        """Some lost datagrams do no harm, silence ends each question in frp's time."""
        self.assertEqual(len(self.core.to_send(0.0)), 1)
        sent = 0
        while (due := self.core.next_wakeup()) is not None:
            self.core.wake(due)
            sent += len(self.core.to_send(due))
            at = due
        self.assertEqual((at, sent), (ANSWER_S, 3))
        self.assertEqual(self.core.events(), [NotSeen("wait response from stun server timeout")])

    def test_one_address(self) -> None:
        """A server without a second address gives one answer."""
        self.answer(S1, (Attribute.MAPPED_ADDRESS, stun.pack_address(A)))
        self.assertEqual(self.core.events(), [Seen((A,))])

    def test_useless_answers(self) -> None:
        """Errors, and answers that name no address, are told in frp's words."""
        self.answer(S1)
        self.assertEqual(self.core.events(), [NotSeen("no external address found")])
        self.setUp()
        self.answer(S1, (Attribute.ERROR_CODE, stun.pack_error(500, "Server Error")), kind=StunClass.ERROR)
        self.assertEqual(self.core.events(), [NotSeen("STUN binding error 500: Server Error")])

    def test_second_answer_without_address(self) -> None:
        """What the first answer said still counts."""
        other = (Attribute.OTHER_ADDRESS, stun.pack_address(S2))
        self.answer(S1, (Attribute.MAPPED_ADDRESS, stun.pack_address(A)), other)
        self.assertEqual(self.core.to_send(0.1)[-1].destination, S2)
        self.answer(S2)
        self.assertEqual(self.core.events(), [Seen((A,))])

    @given(st.binary(max_size=60))
    def test_junk(self, junk: bytes) -> None:
        """Whatever arrives from elsewhere changes nothing."""
        core = FrpDiscovery(S1, lambda count: bytes(range(count)))
        core.start(0.0)
        core.receive(junk, S2, 0, 0.1)
        self.assertEqual(core.events(), [])
