"""Tests for :mod:`relaykit.sansio.nathole.messages`; those of the wire have recorded ones."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nathole.messages import (
    NAT_HOLE_MESSAGES,
    DetectBehavior,
    NatHoleClient,
    NatHoleResp,
    NatHoleSid,
    NatHoleVisitor,
    PortsRange,
)
from relaykit.sansio.wire.framing import V1, MessageTooLong
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import MOST_NAME


class NatHoleMessagesTests(SynchronousTestCase):
    """Tests for bodies."""

    def test_golden(self) -> None:
        """The fields are written in the order, and under the names, that frp has."""
        behavior = DetectBehavior(
            role="receiver",
            mode=4,
            ttl=7,
            send_delay_ms=3000,
            read_timeout_ms=38000,
            candidate_ports=(PortsRange(first=39995, last=40011),),
            send_random_ports=1000,
            listen_random_ports=256,
        )
        answer = NatHoleResp(
            transaction_id="1",
            sid="2",
            protocol="kcp",
            candidate_addrs=("203.0.113.9:1024",),
            detect_behavior=behavior,
        )
        body = (
            b'{"transaction_id":"1","sid":"2","protocol":"kcp","candidate_addrs":["203.0.113.9:1024"],'
            b'"detect_behavior":{"role":"receiver","mode":4,"ttl":7,"send_delay_ms":3000,"read_timeout":38000,'
            b'"candidate_ports":[{"from":39995,"to":40011}],"send_random_ports":1000,"listen_random_ports":256}}'
        )
        self.assertEqual(answer.to_json(), body)
        self.assertEqual(NatHoleResp.from_json(body), answer)

    def test_empty(self) -> None:
        """An empty answer has its behavior all the same; other empty fields do not travel."""
        bodies = {each: each().to_json() for each in NAT_HOLE_MESSAGES}
        self.assertEqual(bodies.pop(NatHoleResp), b'{"detect_behavior":{}}')
        self.assertEqual(set(bodies.values()), {b"{}"})

    def test_leniently_read(self) -> None:
        """Null is nothing, and keys match in any case, as for frp."""
        body = b'{"SID":"1","mapped_addrs":null,"Assisted_Addrs":["a:1"],"more":1}'
        self.assertEqual(NatHoleClient.from_json(body), NatHoleClient(sid="1", assisted_addrs=("a:1",)))

    def test_malformed(self) -> None:
        """Fields of wrong types, and names without end, are refused."""
        for message, body in (
            (NatHoleVisitor, b'{"mapped_addrs":"1.2.3.4:5"}'),
            (NatHoleVisitor, b'{"mapped_addrs":[5]}'),
            (NatHoleVisitor, b'{"timestamp":1.5}'),
            (NatHoleResp, b'{"detect_behavior":{"ttl":"7"}}'),
            (NatHoleSid, b'{"sid":"%s"}' % (b"x" * (MOST_NAME + 1))),
        ):
            self.assertRaises(MalformedMessage, message.from_json, body)

    def test_hidden(self) -> None:
        """What proves the secret is not seen."""
        self.assertEqual(repr(NatHoleVisitor(sign_key="hunter2")), "NatHoleVisitor(sign_key=<secret>)")

    def test_fits(self) -> None:
        """What is longer than a message of version 1 may be is not sent."""
        addresses = tuple(f"203.0.113.9:{port}" for port in range(20000, 21000))
        self.assertRaises(MessageTooLong, V1.encode, NatHoleClient(mapped_addrs=addresses))
