"""Tests of what the STUN server answers, how large, how often and from where."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat import stun
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.stun import Attribute, Change, StunClass, StunMessage
from relaykit.sansio.nat.stun_server import (
    AMPLIFICATION_MAX,
    BEHAVIOR_AMPLIFICATION_MAX,
    BURST,
    RATE_PER_SECOND,
    StunServer,
)
from relaykit.sansio.rates import RateLimit
from relaykit.values import Address

S1, S1B = Address("203.0.113.2", 3478), Address("203.0.113.2", 3479)
S2, S2B = Address("203.0.113.3", 3478), Address("203.0.113.3", 3479)
USER, USER_6 = Address("198.51.100.2", 4660), Address("2001:db8::5", 4660)
TRANSACTION = b"0123456789ab"
CLASSIC = b"fedcba9876543210"
FRPC = bytes.fromhex("000100002112a442") + TRANSACTION
"""What frpc asks, and tools of RFC 5780 ask first: a request without attributes."""
GRID = [S1, S1B, S2, S2B]


def ask(server: StunServer, request: bytes, source: Address = USER, via: int = 0) -> StunMessage:
    """Asks once and reads the answer."""
    answer = server.answer(request, source, via, 0.0)
    assert answer is not None
    return stun.decode(answer.payload)


def mapping_by_the_rules(server: StunServer) -> bool | None:
    """Whether the mapping is endpoint-independent, as a tool finds out; None where the server is no help.

    Source: RFC 5780 4.3.
    """
    first = ask(server, FRPC)
    told = first.get(Attribute.OTHER_ADDRESS)
    if told is None:
        return None
    other = first.other
    assert other is not None
    second = ask(server, FRPC, via=GRID.index(Address(other.host, S1.port)))
    third = ask(server, FRPC, via=GRID.index(other))
    return first.mapped == second.mapped == third.mapped


class AnswerTests(SynchronousTestCase):
    """What an answer says."""

    def test_golden(self) -> None:
        """The answer to frpc is these 44 bytes: the address under XOR, and the second port."""
        answer = StunServer([S1, S1B]).answer(FRPC, USER, 0, 0.0)
        expected = (
            "0101001821"
            "12a442" + TRANSACTION.hex() + "00200008" + "0001" + "3326" + "e721c040"
            "00050008" + "0001" + "0d97" + "cb007102"
        )
        self.assertEqual(answer, Datagram(bytes.fromhex(expected), USER, 0))

    def test_one_socket(self) -> None:
        """A server with one socket has no second address to tell."""
        answer = ask(StunServer([S1]), FRPC)
        self.assertEqual((answer.mapped, answer.other), (USER, None))

    def test_second_address(self) -> None:
        """A second address is told as OTHER-ADDRESS, and differs in both parts."""
        for via, other in ((0, S2B), (3, S1)):
            answer = ask(StunServer(GRID), FRPC, via=via)
            self.assertEqual((answer.other, answer.get(Attribute.CHANGED_ADDRESS)), (other, None))
            self.assertIsNotNone(answer.get(Attribute.OTHER_ADDRESS))

    def test_one_address(self) -> None:
        """With one address nobody is told an OTHER-ADDRESS, whatever is asked, from either port."""
        own = stun.binding_request(TRANSACTION, software="relaykit")
        requests = [
            FRPC,
            own,
            *(stun.binding_request(TRANSACTION, Change(bits), software="a" * 99) for bits in (2, 4, 6)),
        ]
        for request in requests:
            for via in (0, 1):
                answer = ask(StunServer([S1, S1B]), request, via=via)
                self.assertIsNone(answer.get(Attribute.OTHER_ADDRESS), answer)

    def test_second_port(self) -> None:
        """With one address, the first port names the second one by CHANGED-ADDRESS to frpc and to us.

        Other clients take no attribute that RFC 8489 does not have: not in an answer about something in
        particular, and from the second port not at all.
        """
        server = StunServer([S1, S1B])
        own = stun.binding_request(TRANSACTION, software="relaykit")
        ice = stun.encode(
            StunMessage(StunClass.REQUEST, TRANSACTION, ((Attribute.USERNAME, b"me"),)), fingerprint=True
        )
        for request, via, other in (
            (FRPC, 0, S1B),
            (own, 0, S1B),
            (FRPC, 1, None),
            (ice, 0, None),
            (stun.binding_request(TRANSACTION, Change.PORT), 0, None),
            (stun.binding_request(TRANSACTION, response_port=9999), 0, None),
        ):
            self.assertEqual(ask(server, request, via=via).other, other, (request, via))

    def test_behavior_by_its_rules(self) -> None:
        """Who follows RFC 5780 learns all with two addresses, and with one that it is not to be learned."""
        self.assertIs(mapping_by_the_rules(StunServer(GRID)), True)
        self.assertIsNone(mapping_by_the_rules(StunServer([S1, S1B])))

    def test_mapped_address(self) -> None:
        """MAPPED-ADDRESS stands beside XOR-MAPPED-ADDRESS where there is room: some NATs rewrite it."""
        plain = stun.pack_address(USER)
        for request in (
            *(stun.binding_request(TRANSACTION, Change(bits)) for bits in (2, 4, 6)),
            stun.binding_request(TRANSACTION, response_port=9999),
            stun.binding_request(TRANSACTION, software="a" * 20),
        ):
            answer = ask(StunServer(GRID), request)
            self.assertEqual(answer.get(Attribute.MAPPED_ADDRESS), plain)
            self.assertIsNotNone(answer.other)
        self.assertIsNone(ask(StunServer(GRID), FRPC).get(Attribute.MAPPED_ADDRESS))

    def test_wrong_fingerprint(self) -> None:
        """A wrong FINGERPRINT says that this is no STUN, which is not answered."""
        request = stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION), fingerprint=True)
        server = StunServer([S1])
        self.assertIsNotNone(server.answer(request, USER, 0, 0.0))
        self.assertIsNone(server.answer(request[:-1] + bytes([request[-1] ^ 1]), USER, 0, 0.0))

    def test_hidden(self) -> None:
        """Behind a NAT that it does not know of, it tells nobody outside a private address as its second one.

        Of its second port the number is of use, and it is noted.
        """
        near = Address("10.1.1.1", 4660)
        private = [Address(f"10.9.9.{last}", port) for last in (2, 3) for port in (3478, 3479)]
        for grid, source, other, origin, hidden in (
            (private, near, private[3], private[0], ""),
            (private, USER, private[1], None, "10.9.9.2"),
            (private[:2], near, private[1], private[0], ""),
            (private[:2], USER, private[1], None, "10.9.9.2"),
        ):
            server = StunServer(grid)
            answer = ask(server, stun.binding_request(TRANSACTION, software="relaykit"), source)
            self.assertEqual((answer.other, answer.origin), (other, origin))
            self.assertEqual(server.hidden_host, hidden)

    def test_change(self) -> None:
        """Each change is answered from the socket that it names, which the answer tells."""
        server = StunServer([S1, S1B, S2, S2B])
        for change, sender in ((0, S1), (2, S1B), (4, S2), (6, S2B)):
            answer = server.answer(stun.binding_request(TRANSACTION, Change(change)), USER, 0, 0.0)
            assert answer is not None
            self.assertEqual([S1, S1B, S2, S2B][answer.via], sender)
            if change:
                self.assertEqual(stun.decode(answer.payload).origin, sender)

    def test_impossible_change(self) -> None:
        """A change of address without a second address is error 420.

        Clients of RFC 3489 would take that for an answer from the other address, and get none.
        """
        server = StunServer([S1, S1B])
        answer = ask(server, stun.binding_request(TRANSACTION, Change.ADDRESS))
        assert answer.failure is not None
        self.assertEqual(answer.failure.code, 420)
        self.assertEqual(answer.not_understood, (Attribute.CHANGE_REQUEST,))
        self.assertIsNone(server.answer(stun.binding_request(CLASSIC, Change.ADDRESS), USER, 0, 0.0))
        self.assertEqual(ask(server, stun.binding_request(CLASSIC, Change.PORT)).mapped, USER)

    def test_unknown_attribute(self) -> None:
        """What must be understood and is not gives error 420 with its type."""
        for type_ in (0x7FFF, int(Attribute.PADDING)):
            request = stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION, ((type_, b"1234"),)))
            answer = ask(StunServer([S1]), request)
            assert answer.failure is not None
            self.assertEqual((answer.failure.code, answer.not_understood), (420, (type_,)))

    def test_response_port(self) -> None:
        """Any answer goes to another port of the asking host on request, but not below 1024."""
        server = StunServer([S1, S1B])
        refused = server.answer(stun.binding_request(TRANSACTION, Change(6), 9999), USER, 0, 0.0)
        assert refused is not None
        self.assertEqual(refused.destination, Address(USER.host, 9999))
        answer = server.answer(stun.binding_request(TRANSACTION, response_port=9999), USER, 0, 0.0)
        assert answer is not None
        self.assertEqual(answer.destination, Address(USER.host, 9999))
        self.assertIsNone(server.answer(stun.binding_request(TRANSACTION, response_port=53), USER, 0, 0.0))

    def test_credentials_do_not_matter(self) -> None:
        """A signed request is answered like any other."""
        message = StunMessage(StunClass.REQUEST, TRANSACTION, ((Attribute.USERNAME, b"me"),))
        request = stun.encode(message, key=b"k", integrity=stun.Integrity, fingerprint=True)
        answer = ask(StunServer([S1]), request)
        self.assertEqual(answer.mapped, USER)
        self.assertTrue(answer.has_fingerprint())

    def test_classic_client(self) -> None:
        """A client of RFC 3489 gets what it understands."""
        request = stun.encode(StunMessage(StunClass.REQUEST, CLASSIC))
        for grid, other in (([S1, S1B], S1B), (GRID, S2B)):
            answer = ask(StunServer(grid), request)
            self.assertTrue(answer.is_classic)
            self.assertEqual(answer.get(Attribute.XOR_MAPPED_ADDRESS), None)
            self.assertEqual((answer.mapped, answer.other), (USER, other))

    def test_bound_to_every_address(self) -> None:
        """A socket that is bound to every address tells the one that was asked."""
        server = StunServer([Address("", 3478), Address("", 3479)])
        answer = server.answer(FRPC, USER, 0, 0.0, arrived_at="203.0.113.7")
        assert answer is not None
        self.assertEqual(stun.decode(answer.payload).other, Address("203.0.113.7", 3479))
        answer = server.answer(FRPC, USER, 0, 0.0)
        assert answer is not None
        self.assertEqual(stun.decode(answer.payload).other, None)

    def test_own_questions_have_room(self) -> None:
        """Our own request is answered with both further addresses, over IPv6 at least with the one."""
        request = stun.binding_request(TRANSACTION, software="relaykit")
        answer = ask(StunServer([S1, S1B]), request)
        self.assertEqual((answer.other, answer.origin), (S1B, S1))
        answer = ask(StunServer(GRID), request)
        self.assertEqual((answer.other, answer.origin), (S2B, S1))
        six = [Address("2001:db8::2", 3478), Address("2001:db8::2", 3479)]
        self.assertEqual(ask(StunServer(six), request, USER_6).other, six[1])

    def test_silence(self) -> None:
        """What is no Binding request is not answered."""
        server = StunServer([S1])
        for data in (
            b"",
            b"\0\1",
            FRPC[:-1],
            FRPC + b"\0",
            stun.encode(StunMessage(StunClass.INDICATION, TRANSACTION)),
            stun.encode(StunMessage(StunClass.SUCCESS, TRANSACTION)),
            stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION, method=3)),
        ):
            self.assertIsNone(server.answer(data, USER, 0, 0.0), data)

    @given(
        st.sampled_from((USER, USER_6)),
        st.lists(st.sampled_from((0x7001, 0x8022, 6, 8)), max_size=4),
        st.integers(0, 40),
        st.booleans(),
        st.booleans(),
        st.integers(1, 2),
    )
    @settings(max_examples=200)
    def test_no_amplification(
        self, source: Address, types: list[int], size: int, classic: bool, fingerprint: bool, hosts: int
    ) -> None:
        """Whatever is asked without RFC 5780's attributes, the answer is at most 1.5 times as large."""
        attributes = tuple((type_, bytes({8: 20}.get(type_, size))) for type_ in types)
        message = StunMessage(StunClass.REQUEST, CLASSIC if classic else TRANSACTION, attributes)
        request = stun.encode(message, fingerprint=fingerprint)
        names = ("2001:db8::2", "2001:db8::3") if ":" in source.host else ("203.0.113.2", "203.0.113.3")
        server = StunServer([Address(host, port) for host in names[:hosts] for port in (1, 2)])
        answer = server.answer(request, source, 0, 0.0)
        assert answer is not None
        headers = 48 if ":" in source.host else 28
        self.assertLessEqual(len(answer.payload) + headers, AMPLIFICATION_MAX * (len(request) + headers))

    def test_amplification_about_behavior(self) -> None:
        """Questions with RFC 5780's attributes get somewhat more, and all that they need."""
        attributes = (Attribute.CHANGE_REQUEST, bytes(4)), (Attribute.RESPONSE_PORT, bytes([20, 0, 0, 0]))
        needed = {Attribute.XOR_MAPPED_ADDRESS, Attribute.OTHER_ADDRESS, Attribute.RESPONSE_ORIGIN}
        for hosts, headers in ((("203.0.113.2", "203.0.113.3"), 28), (("2001:db8::2", "2001:db8::3"), 48)):
            server = StunServer([Address(host, port) for host in hosts for port in (1, 2)])
            largest = 0.0
            for asked in (attributes[:1], attributes[1:], attributes):
                request = stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION, asked))
                answer = server.answer(request, Address(hosts[0], 9), 0, 0.0)
                assert answer is not None
                largest = max(largest, (len(answer.payload) + headers) / (len(request) + headers))
                self.assertLessEqual(needed, {type_ for type_, _ in stun.decode(answer.payload).attributes})
            self.assertTrue(AMPLIFICATION_MAX < largest <= BEHAVIOR_AMPLIFICATION_MAX, (hosts, largest))

    @given(st.binary(max_size=100))
    @settings(max_examples=100)
    def test_junk(self, junk: bytes) -> None:
        """Junk is met with silence or a well-formed answer."""
        answer = StunServer([S1, S1B]).answer(FRPC[:8] + junk, USER, 0, 0.0)
        if answer is not None:
            stun.decode(answer.payload)


class RateLimitTests(SynchronousTestCase):
    """How often one address is answered."""

    def test_burst_and_rate(self) -> None:
        """An address gets its burst at once and its rate for ever, others are not concerned."""
        server = StunServer([S1])

        def answered(now: float, source: Address = USER) -> int:
            return sum(server.answer(FRPC, source, 0, now) is not None for _ in range(1000))

        self.assertEqual(answered(0.0), BURST)
        self.assertEqual(answered(0.0, Address("198.51.100.3", 1)), BURST)
        self.assertEqual(answered(2.0), 2 * RATE_PER_SECOND)
        self.assertEqual(answered(1.0), 0)
        self.assertEqual(answered(1000.0), BURST)

    def test_junk_costs_nothing(self) -> None:
        """What is not answered anyway does not enter the table."""
        limit = RateLimit(1, 1.0, 1)
        StunServer([S1], limit).answer(b"junk" * 10, USER, 0, 0.0)
        self.assertEqual(len(limit), 0)
