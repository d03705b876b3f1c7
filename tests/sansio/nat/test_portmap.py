"""Tests of asking routers to map ports: the two codecs, and the client that keeps mappings."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.sansio.nat import portmap
from relaykit.sansio.nat.portmap import (
    LIFETIME_S,
    MAPPINGS_MAX,
    REQUESTS,
    RETRY_S,
    Dialect,
    MapReply,
    PortMap,
    PortMapped,
    PortNotMapped,
    RouterFound,
    RouterSilent,
)
from relaykit.values import Address

ROUTER = Address("192.168.1.1", portmap.PORT)
HOST = "192.168.1.100"
SIXTEEN = "00000000000000000000ffff"
NONCE = bytes(range(12))

PCP_MAPPED = bytes.fromhex(
    "0281000000000e1000000064" + "00" * 12 + NONCE.hex() + "11000000" + "1388" + "9c41" + SIXTEEN + "cb007102"
)
"""Port 5000 is mapped to 203.0.113.2:40001 for an hour; the router began 100 s ago."""

PMP_ADDRESS = bytes.fromhex("0080000000000064cb007102")
PMP_MAPPED = bytes.fromhex("008100000000006413889c4100000e10")


class CodecTests(SynchronousTestCase):
    """Bytes of both protocols."""

    def test_requests(self) -> None:
        """Requests are these bytes."""
        announce, address = portmap.probe_requests(HOST)
        self.assertEqual(announce.hex(), "0200000000000000" + SIXTEEN + "c0a80164")
        self.assertEqual(address.hex(), "0000")
        self.assertEqual(
            portmap.map_request(Dialect.PCP, NONCE, HOST, 5000, 40001, 3600).hex(),
            "0201000000000e10"
            + SIXTEEN
            + "c0a80164"
            + NONCE.hex()
            + "11000000"
            + "1388"
            + "9c41"
            + SIXTEEN
            + "00000000",
        )
        self.assertEqual(
            portmap.map_request(Dialect.NAT_PMP, NONCE, HOST, 5000, 40001, 3600).hex(),
            "0001000013889c4100000e10",
        )
        self.assertEqual(
            portmap.map_request(Dialect.NAT_PMP, NONCE, HOST, 5000, 40001, 0).hex(),
            "000100001388000000000000",
        )

    def test_answers(self) -> None:
        """Answers are read."""
        self.assertEqual(
            portmap.decode(PCP_MAPPED),
            MapReply(
                dialect=Dialect.PCP,
                result=0,
                epoch_s=100,
                is_map=True,
                nonce=NONCE,
                internal_port=5000,
                external_port=40001,
                external_host="203.0.113.2",
                lifetime_s=3600,
            ),
        )
        self.assertEqual(
            portmap.decode(PMP_ADDRESS),
            MapReply(dialect=Dialect.NAT_PMP, result=0, epoch_s=100, external_host="203.0.113.2"),
        )
        mapped = portmap.decode(PMP_MAPPED)
        self.assertEqual((mapped.internal_port, mapped.external_port, mapped.lifetime_s), (5000, 40001, 3600))

    def test_every_cut(self) -> None:
        """No beginning of an answer says that something is mapped."""
        for raw in (PCP_MAPPED, PMP_ADDRESS, PMP_MAPPED):
            for end in range(len(raw)):
                try:
                    reply = portmap.decode(raw[:end])
                except RemoteProtocolError:
                    continue
                self.assertFalse(reply.is_map or reply.external_host)

    @given(
        st.binary(max_size=70), st.sampled_from((b"", b"\2\x81\0\0", b"\2\x80\0\0", b"\0\x81\0\0", b"\0\x80"))
    )
    @settings(max_examples=200)
    def test_junk(self, junk: bytes, head: bytes) -> None:
        """Junk is read or refused."""
        with contextlib.suppress(RemoteProtocolError):
            self.assertIsInstance(portmap.decode(head + junk), MapReply)


class _Router:
    """A router that answers, in one protocol or both."""

    def __init__(self, *dialects: Dialect) -> None:
        self.dialects = dialects
        self.table: dict[int, int] = {}
        self.result = 0
        self.began = 0.0
        self.requests = 0

    def answer(self, request: bytes, now: float) -> bytes | None:
        """What it answers."""
        self.requests += 1
        epoch = int(now - self.began).to_bytes(4, "big")
        if request[0] == 2:
            if Dialect.PCP not in self.dialects:
                return b"\0\x80\0\1" + epoch if Dialect.NAT_PMP in self.dialects else None
            if request[1] == 0:
                return b"\2\x80\0\0" + bytes(4) + epoch + bytes(12)
            port, suggested = (int.from_bytes(request[place : place + 2], "big") for place in (40, 42))
            lifetime = request[4:8]
            self._keep(port, suggested, any(lifetime))
            host = bytes.fromhex(SIXTEEN + "cb007102")
            return (
                b"\2\x81\0"
                + bytes([self.result])
                + lifetime
                + epoch
                + bytes(12)
                + request[24:42]
                + self.table.get(port, 0).to_bytes(2, "big")
                + host
            )
        if Dialect.NAT_PMP not in self.dialects:
            return None
        if request[1] == 0:
            return b"\0\x80\0\0" + epoch + bytes.fromhex("cb007102")
        port, suggested = (int.from_bytes(request[place : place + 2], "big") for place in (4, 6))
        self._keep(port, suggested, any(request[8:]))
        external = self.table.get(port, 0).to_bytes(2, "big")
        return b"\0\x81\0" + bytes([self.result]) + epoch + request[4:6] + external + request[8:]

    def _keep(self, port: int, suggested: int, lives: bool) -> None:
        if lives and not self.result:
            self.table[port] = suggested + 1 if suggested == port else suggested
        else:
            self.table.pop(port, None)


class PortMapTests(SynchronousTestCase):
    """The client against a router."""

    def begin(self, *dialects: Dialect) -> None:
        """Starts a client before such a router."""
        self.router = _Router(*dialects)
        self.router.began = -100.0
        self.now = 0.0
        self.core = PortMap(HOST, ROUTER.host, lambda size: bytes(range(size)))
        self.events: list[portmap.PortMapEvent] = []
        self.is_lost = False
        self.core.start(self.now)
        self.exchange()

    def exchange(self) -> None:
        """Everything that is sent is answered at once."""
        while sent := self.core.to_send(self.now):
            for each in sent:
                self.assertEqual(each.destination, ROUTER)
                answer = self.router.answer(each.payload, self.now)
                if answer is not None and not self.is_lost:
                    self.core.receive(answer, ROUTER, 0, self.now)
        self.events += self.core.events()

    def run_until(self, end: float) -> None:
        """Lets time pass."""
        while (wakeup := self.core.next_wakeup()) is not None and wakeup <= end:
            self.now = max(self.now, wakeup)
            self.core.wake(self.now)
            self.exchange()
        self.now = end

    def test_both(self) -> None:
        """Of a router that speaks both PCP is used; one with the older protocol is served as well."""
        for dialects, chosen in (
            ((Dialect.PCP, Dialect.NAT_PMP), Dialect.PCP),
            ((Dialect.PCP,), Dialect.PCP),
            ((Dialect.NAT_PMP,), Dialect.NAT_PMP),
        ):
            self.begin(*dialects)
            self.run_until(1.0)
            self.assertEqual(self.core.dialect, chosen)
            self.assertIsInstance(self.events[0], RouterFound)
            self.core.map(5000, self.now)
            self.exchange()
            self.assertEqual(self.events[1:], [PortMapped(5000, Address("203.0.113.2", 5001))])
            self.core.unmap(5000, self.now)
            self.exchange()
            self.assertEqual(self.router.table, {})

    def test_silent(self) -> None:
        """A router that does not answer is asked a few times."""
        self.begin()
        self.run_until(60.0)
        self.assertEqual(self.events, [RouterSilent()])
        self.assertEqual(self.router.requests, 2 * REQUESTS)
        self.assertIsNone(self.core.next_wakeup())

    def test_map_before_the_router_is_found(self) -> None:
        """A port that is wanted early is mapped as soon as the router is found."""
        self.router = _Router(Dialect.PCP)
        self.core = PortMap(HOST, ROUTER.host, bytes)
        self.now, self.events, self.is_lost = 0.0, [], False
        self.core.map(5000, 0.0)
        self.core.start(0.0)
        self.exchange()
        self.assertIsInstance(self.events[-1], PortMapped)

    def test_renewal(self) -> None:
        """A mapping is renewed at half of its life, quietly, and keeps its port."""
        self.begin(Dialect.PCP)
        self.core.map(5000, self.now)
        self.exchange()
        before = self.router.requests
        self.run_until(LIFETIME_S * 2.1)
        self.assertEqual(self.router.requests - before, 4)
        self.assertEqual(len(self.events), 2)
        self.assertEqual(self.router.table, {5000: 5001})

    def test_new_router(self) -> None:
        """A router that has started again is asked for everything again as soon as that shows."""
        self.begin(Dialect.PCP)
        for port in (5000, 5002):
            self.core.map(port, self.now)
            self.exchange()
        self.router.table.clear()
        self.now = 900.0
        self.router.began = self.now - 5
        self.core.map(5004, self.now)
        self.exchange()
        self.assertEqual(set(self.router.table), {5000, 5002, 5004})

    def test_refusal(self) -> None:
        """A refused port is told and tried again after a while."""
        for dialect in Dialect:
            self.begin(dialect)
            self.run_until(1.0)
            self.router.result = 8
            self.core.map(5000, self.now)
            self.exchange()
            self.assertEqual(self.events[1:], [PortNotMapped(5000, 8)])
            self.router.result = 0
            self.run_until(self.now + RETRY_S + 1)
            self.assertIsInstance(self.events[-1], PortMapped)

    def test_lost_answers(self) -> None:
        """Without answers a port is given up after some repetitions, and tried again."""
        self.begin(Dialect.PCP)
        self.is_lost = True
        before = self.router.requests
        self.core.map(5000, self.now)
        self.exchange()
        self.run_until(10.0)
        self.assertEqual(self.router.requests - before, REQUESTS)
        self.assertEqual(self.events[1:], [PortNotMapped(5000, None)])
        self.is_lost = False
        self.run_until(100.0)
        self.assertIsInstance(self.events[-1], PortMapped)

    def test_strangers(self) -> None:
        """Answers of others, with another nonce, or for other ports are ignored."""
        self.begin(Dialect.PCP)
        self.is_lost = True
        self.core.map(5000, self.now)
        self.exchange()
        self.events.clear()
        other_nonce = PCP_MAPPED[:24] + b"x" * 12 + PCP_MAPPED[36:]
        other_port = PCP_MAPPED[:40] + b"\x99\x99" + PCP_MAPPED[42:]
        for data, source in (
            (PCP_MAPPED, Address("192.168.1.2", portmap.PORT)),
            (PCP_MAPPED, Address(ROUTER.host, 1)),
            (other_nonce, ROUTER),
            (other_port, ROUTER),
            (PMP_MAPPED, ROUTER),
            (b"junk", ROUTER),
        ):
            self.core.receive(data, source, 0, self.now)
            self.assertEqual(list(self.core.events()), [])
        self.core.receive(PCP_MAPPED, ROUTER, 0, self.now)
        self.assertEqual(len(self.core.events()), 1)

    def test_bound(self) -> None:
        """The number of mappings is bounded."""
        self.begin(Dialect.PCP)
        for place in range(MAPPINGS_MAX):
            self.core.map(5000 + place, self.now)
        self.assertRaises(LocalProtocolError, self.core.map, 9999, self.now)
