"""Tests for the messages that carry datagrams."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.lanes.messages import UDPAddress, UDPPacket


class UDPPacketTests(SynchronousTestCase):
    """Tests for :class:`UDPPacket`; all that frp sent is in ``tests/sansio/wire/test_recordings.py``."""

    def test_golden(self) -> None:
        """It is written as frp writes it; an empty datagram has no content at all."""
        address = UDPAddress("203.0.113.9", 40000)
        written = b'{"c":"aGVsbG8=","r":{"IP":"203.0.113.9","Port":40000,"Zone":""}}'
        self.assertEqual(UDPPacket(content=b"hello", remote=address).to_json(), written)
        self.assertEqual(UDPPacket(remote=UDPAddress()).to_json(), b'{"r":{"IP":"","Port":0,"Zone":""}}')

    def test_read(self) -> None:
        """It is read as frp reads it: any case of a key, no zone, line ends in what is base64."""
        body = b'{"C":"aGVs\\nbG8=","l":null,"R":{"ip":"::1","port":7}}'
        self.assertEqual(UDPPacket.from_json(body), UDPPacket(content=b"hello", remote=UDPAddress("::1", 7)))
