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
FRPC = bytes.fromhex("000100002112a442") + TRANSACTION
"""What frpc asks: a request without attributes."""


def ask(server: StunServer, request: bytes, source: Address = USER, via: int = 0) -> StunMessage:
    """Asks once and reads the answer."""
    answer = server.answer(request, source, via, 0.0)
    assert answer is not None
    return stun.decode(answer.payload)


class AnswerTests(SynchronousTestCase):
    """What an answer says."""

    def test_golden(self) -> None:
        """The answer to frpc is these 44 bytes: the address under XOR, and the second address."""
        answer = StunServer([S1, S1B]).answer(FRPC, USER, 0, 0.0)
        expected = (
            "0101001821"
            "12a442" + TRANSACTION.hex() + "00200008" + "0001" + "3326" + "e721c040"
            "802c0008" + "0001" + "0d97" + "cb007102"
        )
        self.assertEqual(answer, Datagram(bytes.fromhex(expected), USER, 0))

    def test_one_socket(self) -> None:
        """A server with one socket has no second address to tell."""
        answer = ask(StunServer([S1]), FRPC)
        self.assertEqual((answer.mapped, answer.other), (USER, None))

    def test_other_address(self) -> None:
        """The second address differs in both parts, or at least in the port."""
        for grid, via, other in (
            ([S1, S1B], 0, S1B),
            ([S1, S1B], 1, S1),
            ([S1, S1B, S2, S2B], 0, S2B),
            ([S1, S1B, S2, S2B], 3, S1),
        ):
            self.assertEqual(ask(StunServer(grid), FRPC, via=via).other, other)

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
        """A change of address without a second address is error 420."""
        answer = ask(StunServer([S1, S1B]), stun.binding_request(TRANSACTION, Change.ADDRESS))
        assert answer.failure is not None
        self.assertEqual(answer.failure.code, 420)
        self.assertEqual(answer.not_understood, (Attribute.CHANGE_REQUEST,))

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
        request = stun.encode(StunMessage(StunClass.REQUEST, b"fedcba9876543210"))
        answer = ask(StunServer([S1, S1B]), request)
        self.assertTrue(answer.is_classic)
        self.assertEqual(answer.get(Attribute.XOR_MAPPED_ADDRESS), None)
        self.assertEqual((answer.mapped, answer.other), (USER, S1B))

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
        st.lists(st.sampled_from((0x7001, 0x8022, 0x8028, 6, 8)), max_size=4),
        st.integers(0, 40),
        st.booleans(),
    )
    @settings(max_examples=200)
    def test_no_amplification(self, source: Address, types: list[int], size: int, classic: bool) -> None:
        """Whatever is asked without RFC 5780's attributes, the answer is at most 1.5 times as large."""
        shapes = {0x8028: 4, 8: 20}
        attributes = tuple((type_, bytes(shapes.get(type_, size))) for type_ in types)
        transaction = b"fedcba9876543210" if classic else TRANSACTION
        request = stun.encode(StunMessage(StunClass.REQUEST, transaction, attributes))
        host = "2001:db8::2" if ":" in source.host else "203.0.113.2"
        answer = StunServer([Address(host, 1), Address(host, 2)]).answer(request, source, 0, 0.0)
        assert answer is not None
        headers = 48 if ":" in source.host else 28
        self.assertLessEqual(len(answer.payload) + headers, AMPLIFICATION_MAX * (len(request) + headers))

    def test_amplification_about_behavior(self) -> None:
        """Questions with RFC 5780's attributes get somewhat more over IPv6, and not over IPv4."""
        attributes = (Attribute.CHANGE_REQUEST, bytes(4)), (Attribute.RESPONSE_PORT, bytes([20, 0, 0, 0]))
        for host, headers, most in (
            ("203.0.113.2", 28, AMPLIFICATION_MAX),
            ("2001:db8::2", 48, BEHAVIOR_AMPLIFICATION_MAX),
        ):
            server = StunServer([Address(host, 1), Address(host, 2)])
            largest = 0.0
            for asked in (attributes[:1], attributes[1:], attributes):
                request = stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION, asked))
                answer = server.answer(request, Address(host, 9), 0, 0.0)
                assert answer is not None
                largest = max(largest, (len(answer.payload) + headers) / (len(request) + headers))
            self.assertTrue(most - 0.01 < largest <= most, (host, largest))

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
