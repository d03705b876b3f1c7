from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.authentication import TokenProver
from relaykit.errors import RemoteProtocolError
from relaykit.sansio.control.client_opening import (
    OneMessage,
    Refusal,
    VisitAccepted,
    WorkAssigned,
    open_visit,
    open_work,
    visit_answer,
    work_answer,
)
from relaykit.sansio.control.credentials import Scope, proves
from relaykit.sansio.control.extensions import TLVS, VISITOR_USER
from relaykit.sansio.control.server_opening import (
    accept_visit,
    assign_work,
    refuse_visit,
    refuse_work,
    visitor_user_of,
)
from relaykit.sansio.lanes.messages import UDPPacket
from relaykit.sansio.wire.framing import V1, V2, Framing
from relaykit.sansio.wire.messages import NewVisitorConn, NewWorkConn, Pong, StartWorkConn
from relaykit.testing.cuts import recognize, refuse
from relaykit.values import Address, Origin, Secret
from tests import recorded
from tests.sansio.control.ends import BOTH, TOKEN, opened

RUN_ID = "0123456789abcdef"
ORIGIN = Origin(Address("2001:db8::1", 40000), Address("192.0.2.1", 6000))


class OfferTests(SynchronousTestCase):
    """What a client sends first is what a server understands."""

    def test_golden_bytes(self) -> None:
        """A work connection in version 2 begins with the bytes of the specification."""
        self.assertEqual(
            open_work(V2, RUN_ID).hex(),
            "46525000020d0a001000000000001f00067b2272756e5f6964223a2230313233343536373839616263646566227d",
        )

    def test_work(self) -> None:
        """A work connection names its session, with a proof where that is configured."""
        proof = TokenProver(TOKEN, lambda: 1700000000).prove(Scope.WORK_CONNECTIONS, False)
        for framing in BOTH:
            self.assertEqual(opened(open_work(framing, RUN_ID)).message, NewWorkConn(run_id=RUN_ID))
            message = opened(open_work(framing, RUN_ID, proof)).message
            self.assertEqual(message.privilege_key, "3d8aac6cc09d79da303be74c311e5808")  # type: ignore[union-attr]

    def test_visit(self) -> None:
        """A visit proves the secret and says how its leg is wrapped."""
        secret = Secret("abc")
        for framing in BOTH:
            data = open_visit(framing, RUN_ID, "bob.ssh", secret, 1700000000.7, use_compression=True)
            first = opened(data)
            self.assertIs(first.framing, framing)
            message = first.message
            assert isinstance(message, NewVisitorConn)
            self.assertEqual((message.proxy_name, message.run_id), ("bob.ssh", RUN_ID))
            self.assertEqual((message.use_encryption, message.use_compression), (False, True))
            self.assertTrue(proves(secret.to_bytes(), message.timestamp, message.sign_key))

    def test_visitor_user(self) -> None:
        """A visit tells where the visitor's user comes from, in fields of its own."""
        for framing in BOTH:
            for user in (Address("192.168.0.7", 5000), Address("2001:db8::7", 1), None):
                data = open_visit(framing, RUN_ID, "bob.ssh", Secret("abc"), 1.0, user=user)
                message = opened(data).message
                assert isinstance(message, NewVisitorConn)
                self.assertEqual(visitor_user_of(message), user)
                self.assertEqual(b"visitor_user" in data, user is not None)

    def test_no_visitor_user(self) -> None:
        """What is no IP address is nobody's; the name of an interface, which may be any text, is left out."""
        for said, understood in (
            ("example.org", None),
            ("192.168.0.7\nforged", None),
            ("", None),
            ("fe80::1%\nforged", Address("fe80::1", 7)),
        ):
            message = NewVisitorConn(visitor_user_addr=said, visitor_user_port=7)
            self.assertEqual(visitor_user_of(message), understood)

    def test_recorded(self) -> None:
        """The work connections of frp's client without proof are reproduced byte by byte."""
        seen = 0
        for conversation in recorded.conversations():
            for name, fields in conversation.expect.get("c2s", ()):
                if name == "NewWorkConn" and set(fields) == {"run_id"}:
                    framing = V1 if conversation.wire == 1 else V2
                    made = open_work(framing, fields["run_id"])
                    if conversation.recording.name != "v2-hello-errors":
                        self.assertTrue(conversation.c2s.startswith(made), str(conversation))
                        seen += 1
        self.assertGreater(seen, 50)


class AnswerTests(SynchronousTestCase):
    """What a server answers is understood, and payload behind it is left alone."""

    def test_assigned(self) -> None:
        """An assignment tells the proxy and the user, as far as they are known."""
        for framing in BOTH:
            for origin in (ORIGIN, Origin(), Origin(ORIGIN.source)):
                data = assign_work(framing, "ann.ssh", origin)
                self.assertEqual(recognize(work_answer(framing), data), WorkAssigned("ann.ssh", origin))

    def test_visitor_user(self) -> None:
        """A client that wants to know is told of a visitor's user, who is not the user that it serves."""
        origin = evolve(ORIGIN, visitor_user=Address("192.168.0.7", 5000))
        for framing in BOTH:
            for agreed, expected in (((VISITOR_USER,), origin), ((), ORIGIN)):
                data = assign_work(framing, "ann.ssh", origin, agreed)
                self.assertEqual(recognize(work_answer(framing), data), WorkAssigned("ann.ssh", expected))

    def test_tlvs(self) -> None:
        """A client that takes it is told what a load balancer said; nonsense there breaks the rules."""
        origin = evolve(ORIGIN, tlvs=((2, b"example.org"), (0xE0, b"")))
        for framing in BOTH:
            for agreed, expected in (((TLVS,), origin), ((), ORIGIN)):
                data = assign_work(framing, "ann.ssh", origin, agreed)
                self.assertEqual(recognize(work_answer(framing), data), WorkAssigned("ann.ssh", expected))
            for nonsense in (b"\2", b"\2\0\2x", bytes(4098)):
                data = framing.encode(StartWorkConn(proxy_name="ann.ssh", tlvs=nonsense))
                self.assertRaises(RemoteProtocolError, work_answer(framing).feed, data)
        self.assertNotIn("example.org", repr(StartWorkConn(tlvs=b"example.org")))

    def test_refused(self) -> None:
        """Refusals are told."""
        for framing in BOTH:
            self.assertEqual(recognize(work_answer(framing), refuse_work(framing, "no")), Refusal("no"))
            self.assertEqual(
                recognize(visit_answer(framing), refuse_visit(framing, "ssh", "no")), Refusal("no")
            )

    def test_admitted(self) -> None:
        """A visit that is admitted is told so."""
        for framing in BOTH:
            self.assertEqual(recognize(visit_answer(framing), accept_visit(framing, "ssh")), VisitAccepted())

    def test_other_answers(self) -> None:
        """Another message, or another version, is the server's fault."""
        for framing, other in ((V1, V2), (V2, V1)):
            refuse(work_answer(framing), framing.encode(Pong()))
            refuse(work_answer(framing), framing.encode(UDPPacket()))
            refuse(visit_answer(framing), assign_work(framing, "ssh", ORIGIN))
            refuse(work_answer(framing), assign_work(other, "ssh", ORIGIN))

    def test_too_long(self) -> None:
        """A length beyond the limit is refused before so much was read."""
        refuse(work_answer(V1), b"s\x00\x00\x00\x00\x00\x00\x28\x01")
        refuse(work_answer(V2), b"\x00\x10\x00\x00\x00\x01\x00\x01")

    @given(st.sampled_from(BOTH), st.binary(max_size=64))
    def test_junk(self, framing: Framing, junk: bytes) -> None:
        """Junk is our error, an answer within it, or too little."""
        parser: OneMessage[Any, Any] = work_answer(framing)
        try:
            found = parser.feed(junk)
        except RemoteProtocolError:
            return
        if found is not None:
            self.assertLessEqual(found[1], len(junk))

    def test_recorded(self) -> None:
        """Every recorded answer of frp's server is understood, and the payload behind it untouched."""
        seen = 0
        for conversation in recorded.conversations():
            framing = V1 if conversation.wire == 1 else V2
            answers = conversation.expect.get("s2c", ())
            if conversation.kind not in ("work", "visitor") or not answers:
                continue
            name, fields = answers[0]
            if name not in ("StartWorkConn", "NewVisitorConnResp"):
                continue
            parser: OneMessage[Any, Any]
            parser = work_answer(framing) if name == "StartWorkConn" else visit_answer(framing)
            found = parser.feed(conversation.s2c)
            assert found is not None
            answer, length = found
            if "error" in fields:
                self.assertEqual(answer, Refusal(fields["error"]))
            elif isinstance(answer, WorkAssigned):
                self.assertEqual(answer.proxy_name, fields["proxy_name"])
            payload = bytes.fromhex(conversation.expect.get("payload", {}).get("s2c", ""))
            if conversation.expect.get("layers") == [] and len(answers) == 1:
                self.assertEqual(conversation.s2c[length:], payload, str(conversation))
            seen += 1
        self.assertGreater(seen, 50)
