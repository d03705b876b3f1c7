"""Tests for :mod:`relaykit.sansio.wire.nathole`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.wire.messages import CORE_MESSAGES
from relaykit.sansio.wire.nathole import (
    NAT_HOLE_MESSAGES,
    DetectBehavior,
    NatHoleResp,
    NatHoleSid,
    NatHoleVisitor,
    PortsRange,
)


class NatHoleTests(SynchronousTestCase):
    """The messages that the type xtcp adds."""

    def test_behavior_always_travels(self) -> None:
        """A response has its behavior even when it is empty."""
        self.assertEqual(
            NatHoleResp(transaction_id="t").to_json(), b'{"transaction_id":"t","detect_behavior":{}}'
        )

    def test_behavior(self) -> None:
        """A behavior is written as frp writes it, and read again."""
        body = (
            b'{"sid":"s","candidate_addrs":["192.0.2.1:1"],"detect_behavior":{"role":"sender","mode":2,'
            b'"read_timeout":5000,"candidate_ports":[{"from":1,"to":2}],"send_random_ports":90}}'
        )
        behavior = DetectBehavior(
            role="sender",
            mode=2,
            read_timeout_ms=5000,
            candidate_ports=(PortsRange(first=1, last=2),),
            send_random_ports=90,
        )
        response = NatHoleResp(sid="s", candidate_addrs=("192.0.2.1:1",), detect_behavior=behavior)
        self.assertEqual(response.to_json(), body)
        self.assertEqual(NatHoleResp.from_json(body), response)

    def test_probe(self) -> None:
        """A probe is written as frp writes it."""
        probe = NatHoleSid(
            transaction_id="1700000000aaaaaaaaaaaaaaaa", sid="1700000001bbbbbbbbbbbbbbbb", nonce="000"
        )
        self.assertEqual(
            probe.to_json(),
            b'{"transaction_id":"1700000000aaaaaaaaaaaaaaaa","sid":"1700000001bbbbbbbbbbbbbbbb","nonce":"000"}',
        )

    def test_sign_key_is_hidden(self) -> None:
        """The proof of the secret key does not appear in a ``repr``."""
        self.assertNotIn("hunter2", repr(NatHoleVisitor(sign_key="hunter2")))

    def test_only_where_added(self) -> None:
        """The core skips these messages until they are added."""
        self.assertIsNone(CORE_MESSAGES.by_number[14])
        self.assertIs(CORE_MESSAGES.extended(*NAT_HOLE_MESSAGES).by_number[14], NatHoleVisitor)
