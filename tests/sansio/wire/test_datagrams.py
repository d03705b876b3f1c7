"""Tests for :mod:`relaykit.sansio.wire.datagrams`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.wire.datagrams import DATAGRAM_MESSAGES, UDPAddress, UDPPacket
from relaykit.sansio.wire.gojson import MalformedMessage


class UDPPacketTests(SynchronousTestCase):
    """One datagram."""

    def test_golden(self) -> None:
        """A datagram is written byte by byte as frp writes it, and read again."""
        body = b'{"c":"aGVsbG8=","r":{"IP":"203.0.113.9","Port":40000,"Zone":""}}'
        packet = UDPPacket(content=b"hello", remote=UDPAddress("203.0.113.9", 40000))
        self.assertEqual(packet.to_json(), body)
        self.assertEqual(UDPPacket.from_json(body), packet)

    def test_empty(self) -> None:
        """An empty datagram has no content; an address may lack its zone."""
        packet = UDPPacket.from_json(b'{"r":{"IP":"::1","Port":1}}')
        self.assertEqual(packet, UDPPacket(remote=UDPAddress("::1", 1, "")))
        self.assertEqual(UDPPacket().to_json(), b"{}")

    def test_malformed(self) -> None:
        """A port out of range and content that is not base64 are refused."""
        for body in (b'{"r":{"Port":65536}}', b'{"c":"%"}', b'{"r":"127.0.0.1:1"}'):
            self.assertRaises(MalformedMessage, UDPPacket.from_json, body)

    def test_registered(self) -> None:
        """Connections that carry datagrams understand them."""
        self.assertIs(DATAGRAM_MESSAGES.by_number[13], UDPPacket)
        self.assertIs(DATAGRAM_MESSAGES.by_type_byte[ord("u")], UDPPacket)

    @given(st.binary(max_size=2000), st.text(), st.integers(0, 65535))
    def test_round_trip(self, content: bytes, ip: str, port: int) -> None:
        """Any content comes out as it went in."""
        packet = UDPPacket(content=content, remote=UDPAddress(ip, port))
        self.assertEqual(UDPPacket.from_json(packet.to_json()), packet)
