"""Tests of a UDP port on which many clients speak QUIC."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.quic import dialing
from relaykit.carriers.quic import path as path_module
from relaykit.carriers.quic import port as port_module
from relaykit.carriers.quic.adapter import Library, Settings
from relaykit.carriers.quic.opening import FRP_PROTOCOL, HANDSHAKE_S, RELAY_PROTOCOL
from relaykit.carriers.quic.path import STALLED_S, QuicPath
from relaykit.carriers.quic.port import MOST_HALF_OPEN, MOST_WAYS, RETRY_ABOVE
from relaykit.errors import ConnectionFailed
from relaykit.sansio.quic.packets import SMALLEST_OPENING_BYTES
from relaykit.sansio.stream_credit import INITIAL_CREDIT_BYTES
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address
from tests.carriers.quic.lines import libraries, missing
from tests.carriers.quic.port_net import Dialing, Net, QuicOptions, Stranger

ELSEWHERE = Address("203.0.113.5", 5555)
MUCH = bytes(range(256)) * 4096


def hello(library: Library) -> bytes:
    """A client's first datagram."""
    settings = Settings(protocols=(FRP_PROTOCOL,), idle_s=30.0, is_client=True)
    connection = library.connection(settings)
    connection.start(0.0)
    return connection.to_send(0.0)[0]


class QuicPortTests(SynchronousTestCase):
    """Clients that come to a port."""

    skip = missing()

    def net(self, library: Library | None = None, **given: Any) -> Net:
        """A port that is open."""
        net = Net(library or libraries()[0], **given)
        net.service.startService()
        self.addCleanup(self.leave, net)
        return net

    def leave(self, net: Net) -> None:
        """Closes it; nothing may be left."""
        stopping = net.service.stopService()
        net.until(lambda: stopping.called, 5.0)
        net.rest(30.0)
        self.assertFalse(net.is_open)
        self.assertEqual((net.port.connections, net.port._by_id, net.port._half_open), (0, {}, 0))
        self.assertEqual(net.legs, {})

    def connect(self, net: Net, library: Library | None = None) -> tuple[Any, Stranger]:
        """A client's path, and what it stands on."""
        host = Dialing(net)
        opening = net.dial(library or libraries()[0], host)
        net.until(lambda: opening.called)
        path: Any = self.successResultOf(opening)
        self.addCleanup(net.rest, 5.0)
        self.addCleanup(path.close)
        return path, host.legs[0]

    def converse(self, net: Net, path: Any, data: bytes = MUCH) -> None:
        """Bytes go there, and come back."""
        leg = self.successResultOf(path.open_leg())
        user = RecordingReceiver(leg)
        leg.write(data)
        leg.finish_writing()
        net.until(lambda: user.lost)
        self.assertEqual(user.data, data)

    def test_served(self) -> None:
        """Each library serves clients of each, many at once; the session of TLS is one for both ends."""
        for library in libraries():
            net = self.net(library)
            for each in libraries():
                (one, _), (two, _) = self.connect(net, each), self.connect(net, each)
                self.converse(net, one)
                self.converse(net, two)
                exported = {path.export_keying_material(b"label", 32) for path in (*net.paths, one, two)}
                self.assertEqual(len(exported), 2)
                self.assertEqual({one.tls_version, net.paths[0].tls_version}, {"TLSv1.3"})
                for path in (one, two):
                    path.close()
                net.rest(5.0)
                net.paths.clear()
                self.assertEqual((net.port.connections, net.legs), (0, {}))

    def test_nobody_reads(self) -> None:
        """A stream that nobody reads stops no other between ends of ours, however long, and loses nothing."""
        self.patch(path_module, "HELD_BYTES", INITIAL_CREDIT_BYTES // 2)
        for library in libraries():
            for each in libraries():
                net = self.net(library)
                path, _ = self.connect(net, each)
                echoed = self.successResultOf(path.open_leg())
                echoed.write(MUCH)
                net.rest(1.0)
                net.echoing = False
                self.successResultOf(path.open_leg()).write(MUCH)
                net.rest(1.0)
                net.echoing = True
                net.rest(2 * STALLED_S)
                held = [leg.held_bytes for leg in (echoed, net.unread[0])]
                self.assertLess(INITIAL_CREDIT_BYTES // 2, min(held))
                self.assertLessEqual(max(held), INITIAL_CREDIT_BYTES)
                heard = path.round_trip(), net.paths[0].round_trip()
                self.converse(net, path)
                for answer in heard:
                    self.successResultOf(answer)
                users = [RecordingReceiver(leg) for leg in (echoed, net.unread[0])]
                net.until(lambda users=users: all(len(user.data) == len(MUCH) for user in users))

    def test_frp_beside(self) -> None:
        """Clients that do not offer our name, as frp's, are served as they know it; ours get their credit."""
        for library in libraries():
            net = self.net(library)
            self.patch(dialing, "RELAY_PROTOCOL", "another")
            path, _ = self.connect(net, library)
            self.patch(dialing, "RELAY_PROTOCOL", RELAY_PROTOCOL)
            self.converse(net, path)
            self.converse(net, self.connect(net, library)[0])
            self.assertEqual([len(each._legs) for each in net.paths], [0, 1])

    def test_first_stream_overtaken(self) -> None:
        """Credit waits for the stream that it goes by, if others overtake that."""

        def late(path: Any) -> None:
            assert path.connection.open() == 0
            path._begin_control(b"")

        self.patch(QuicPath, "open_control", late)
        for library in libraries():
            net = self.net(library)
            path, _ = self.connect(net, library)
            net.echoing = False
            self.successResultOf(path.open_leg()).write(MUCH)
            net.until(lambda net=net: net.unread)
            user = RecordingReceiver(net.unread[0])
            net.rest(2.0)
            self.assertEqual(len(user.data), INITIAL_CREDIT_BYTES - 1)
            path._control_leg.write(b"\0")
            net.until(lambda user=user: len(user.data) == len(MUCH))

    def test_client_moves(self) -> None:
        """Who sends from another address is answered there, and the way before is left in the end."""
        for library in libraries():
            net = self.net(library)
            path, leg = self.connect(net, library)
            self.converse(net, path, b"here")
            leg.move(ELSEWHERE)
            self.converse(net, path)
            self.assertEqual(net.paths[0].peer, ELSEWHERE)
            # qh3 follows a client to so many places, and no further.
            for number in range(2 if library.name == "qh3" else 2 * MOST_WAYS):
                leg.move(Address("203.0.113.5", 6000 + number))
                self.converse(net, path, b"there")
            self.assertLessEqual(len(net.legs), MOST_WAYS)

    def test_families(self) -> None:
        """Clients with addresses of IPv6 are served as those of IPv4 are, and may come to have others."""
        for library in libraries():
            for host in ("198.51.100.7", "2001:db8::7", "fe80::7%2"):
                with self.subTest(library=library.name, host=host):
                    net = self.net(library)
                    net.stranger_host = host
                    path, leg = self.connect(net, library)
                    self.converse(net, path, b"here")
                    for elsewhere in (Address("2001:db8::5", 5555), ELSEWHERE):
                        leg.move(elsewhere)
                        self.converse(net, path, b"there")
                        self.assertEqual(net.paths[0].peer, elsewhere)

    def test_forged(self) -> None:
        """Who only knows what a connection is called neither gets its bytes nor ends it."""
        for library in libraries():
            net = self.net(library)
            path, _ = self.connect(net, library)
            forger = net.stranger()
            for name in list(net.port._by_id):
                for size in (20, 60, 1300):
                    forger.send(b"\x40" + name + random.Random(size).randbytes(size))
                    forger.send(b"\xc0\x00\x00\x00\x01" + bytes([len(name)]) + name + bytes(size))
            net.rest(1.0)
            self.converse(net, path)
            self.assertEqual(forger.got, [])

    def test_junk(self) -> None:
        """What makes no sense, of any size, is not answered, and nothing is kept of it."""
        for library in libraries():
            net = self.net(library)
            stranger = net.stranger()
            whole, chance = hello(library), random.Random(3)
            for data in (
                *(whole[:size] for size in (0, 1, 6, 100, SMALLEST_OPENING_BYTES - 1)),
                *(
                    bytes([first]) + chance.randbytes(size)
                    for first in (0, 64, 192, 255)
                    for size in (30, 1499)
                ),
                chance.randbytes(65000),
            ):
                stranger.send(data)
            net.rest(1.0)
            self.assertEqual((stranger.got, net.legs, net.port.connections), ([], {}, 0))

    def test_versions(self) -> None:
        """A version that is not spoken is answered by those that are, in fewer bytes than came."""
        for library in libraries():
            net = self.net(library)
            stranger = net.stranger()
            first = hello(library)
            stranger.send(first[:1] + b"\x1a\x1a\x1a\x1a" + first[5:])
            net.rest(1.0)
            (answer,) = stranger.got
            self.assertEqual(answer[1:5], bytes(4))
            self.assertIn(b"\x00\x00\x00\x01", answer)
            self.assertLess(len(answer), 100)
            self.assertEqual((net.legs, net.port.connections), ({}, 0))

    def test_amplification(self) -> None:
        """Who never answers is sent three times what he sent, at most, and is forgotten in time."""
        for library in libraries():
            net = self.net(library)
            stranger = net.stranger()
            stranger.send(hello(library))
            net.rest(HANDSHAKE_S - 1)
            self.assertEqual(net.port.connections, 1)
            net.rest(2.0)
            self.assertEqual((net.port.connections, net.legs), (0, {}))
            self.assertGreater(stranger.got_bytes, 0)
            self.assertLessEqual(stranger.got_bytes, 3 * stranger.sent_bytes)

    def test_flood(self) -> None:
        """In a flood of clients that never answer, who does is served, and the others take no memory."""
        library = libraries()[0]
        net = self.net(library)
        forgers = [net.stranger() for _ in range(RETRY_ABOVE + 20)]
        for forger in forgers:
            forger.send(hello(library))
        net.rest(0.1)
        self.assertEqual(net.port.connections, RETRY_ABOVE)
        self.assertEqual(len(net.legs), RETRY_ABOVE)
        for forger in forgers[RETRY_ABOVE:]:
            (retry,) = forger.got
            self.assertLess(len(retry), 200)
        for each in libraries():
            path, _ = self.connect(net, each)
            self.converse(net, path)

    def test_bounds(self) -> None:
        """There are no more connections, or half-open ones, than may be; first datagrams are dropped."""
        library = libraries()[0]
        for name in ("MOST_HALF_OPEN", "MOST_CONNECTIONS"):
            self.patch(port_module, name, 2)
            net = self.net(library)
            for _ in range(4):
                net.stranger().send(hello(library))
            net.rest(0.1)
            self.assertEqual((net.port.connections, len(net.legs)), (2, 2))
            net.rest(HANDSHAKE_S)
            self.assertEqual(net.port.connections, 0)
        self.assertGreater(MOST_HALF_OPEN, RETRY_ABOVE)

    def test_together(self) -> None:
        """Datagrams that arrive together go each to its own connection, those that are begun by them, too."""
        library = libraries()[0]
        net = self.net(library)
        known, new = hello(library), hello(library)
        stranger = net.stranger()
        stranger.send(known)
        net.rest(0.01)
        (leg,) = net.legs.values()
        receiver: Any = leg._receiver
        receiver.datagrams_received([known, new, b"junk", new, known])
        self.assertEqual(net.port.connections, 2)
        net.rest(0.1)
        self.assertEqual(len(net.legs), 1)
        self.assertGreater(len(stranger.got), 1)
        net.rest(HANDSHAKE_S)

    def test_way_lost(self) -> None:
        """A way that was lost is found again by the next datagram."""
        net = self.net()
        path, _ = self.connect(net)
        for leg in list(net.legs.values()):
            leg.close()
        net.rest(0.1)
        self.converse(net, path)

    def test_streams_limited(self) -> None:
        """The client may have as many streams as the file says."""
        for library in libraries():
            net = self.net(library, options=QuicOptions(max_incoming_streams=3))
            net.echoing = False
            path, _ = self.connect(net, library)
            opening = [path.open_leg() for _ in range(4)]
            net.rest(1.0)
            # One more is for credit.
            for each in opening[:2]:
                self.successResultOf(each)
            self.assertNoResult(opening[2])
            path.abort()
            for each in opening[2:]:
                self.failureResultOf(each, ConnectionFailed)

    def test_idle(self) -> None:
        """A client that is silent for the time of the file is lost."""
        net = self.net()
        _, leg = self.connect(net)
        net.clients.clear()
        leg.send = lambda data: True  # type: ignore[method-assign]  # it hears and says nothing any more
        net.rest(31.0)
        self.assertEqual(net.port.connections, 0)
