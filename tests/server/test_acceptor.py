"""Tests of the bind port: what is understood, what is refused, what is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.tls import channel_binding, client_context, start_tls
from relaykit.dataplane.transforms import transformed
from relaykit.interfaces import IIncomingConnection, IStreamLeg
from relaykit.options import ProxyTransport
from relaykit.sansio.control import events
from relaykit.sansio.parsers.recognizing import Opening, Rank
from relaykit.sansio.wire.framing import V1
from relaykit.sansio.wire.messages import Login, NewVisitorConn, NewWorkConn
from relaykit.sansio.yamux.session import ACCEPT_BACKLOG
from relaykit.server import acceptor, admission
from relaykit.server.acceptor import CROWDED_TIMEOUT_S, FIRST_BYTES_TIMEOUT_S, LOGIN_TIMEOUT_S, Link
from relaykit.testing.legs import ExactPrefix
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Origin
from tests.carriers.test_muxing import Accepting
from tests.dataplane.test_transports import Endpoint
from tests.server.scene import TOKEN, Client, Scene, muxed, versions

PING_OF_MUX = bytes.fromhex("000200010000000000000001")
STREAM_OF_MUX = bytes.fromhex("000100010000000100000000")
"""How a mux link begins: a ping, and the window of a new stream."""


def texts(logged: Sequence[dict[str, Any]]) -> str:
    """The reasons of what was logged."""
    return "\n".join(str(event.get("reason", "")) for event in logged)


class BindPortTests(SynchronousTestCase):
    """What connections of every kind come to."""

    def setUp(self) -> None:
        self.scene = Scene()

    def test_plain_login(self) -> None:
        """A login in either version of the wire is taken without mux."""
        for framing in versions():
            client = Client(self.scene, framing=framing, leg=self.scene.accept())
            self.assertTrue(client.run_id)
            self.assertEqual(self.scene.bind_port.pending, 0)

    def test_muxed_login(self) -> None:
        """A login on a stream of a mux link is taken."""
        link = muxed(self.scene)
        client = Client(self.scene, leg=self.successResultOf(link.open_leg()))
        self.assertEqual(len(client.of(events.LoggedIn)), 1)

    def test_strangers(self) -> None:
        """What is not a client is closed, and the log says what it was."""
        for content, name in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
            (b"\xff\xfe\xfd\xfc\xfb\xfa", "an unknown protocol"),
        ):
            leg = self.scene.accept()
            received = RecordingReceiver(leg)
            with capturedLogs() as logged:
                leg.write(content)
                self.scene.flush()
            self.assertTrue(received.ended or received.lost, name)
            self.assertIn(name, texts(logged))
        self.assertEqual(self.scene.bind_port.pending, 0)

    def test_silence(self) -> None:
        """A connection on which nothing is said is closed after the time-out, not before."""
        leg = self.scene.accept()
        received = RecordingReceiver(leg)
        self.scene.advance(FIRST_BYTES_TIMEOUT_S - 1)
        self.assertFalse(received.ended)
        self.scene.advance(2)
        self.assertIsNotNone(received.lost)
        self.assertEqual(self.scene.bind_port.pending, 0)

    def test_silence_in_a_crowd(self) -> None:
        """While strangers have half of the places, silence is borne for a shorter time."""
        scene = Scene(most_pending=8)
        scene.accept()
        crowd = [scene.accept() for _ in range(5)]
        late = RecordingReceiver(crowd[-1])
        scene.advance(CROWDED_TIMEOUT_S - 0.5)
        self.assertIsNone(late.lost)
        scene.advance(1)
        self.assertIsNotNone(late.lost)
        scene.bind_port.close_connections()
        scene.flush()

    def test_lost_at_once(self) -> None:
        """A connection that is lost before its first byte leaves nothing behind."""
        self.scene.accept().abort()
        self.scene.flush()
        self.assertEqual(self.scene.bind_port.pending, 0)
        self.assertEqual(self.scene.clock.getDelayedCalls(), [])

    def test_failed_tls(self) -> None:
        """A connection whose TLS fails is closed, and the log says why."""
        for first in (b"\x16\x03\x01", b"\x17\x16\x03\x01"):
            leg = self.scene.accept()
            received = RecordingReceiver(leg)
            with capturedLogs() as logged:
                leg.write(first + b"\x00\x05junk.")
                self.scene.flush()
            self.assertTrue(received.ended)
            self.assertIn(" failed: ", texts(logged))

    def test_tls_session(self) -> None:
        """What tells one TLS session from another is known of each link, and both ends have the same."""
        links: list[Link] = []
        self.scene.bind_port.on_opened = lambda leg, origin, link: links.append(link)
        for first, is_mux in ((b"FRP\x00\x02\r\n", False), (PING_OF_MUX + STREAM_OF_MUX, True)):
            connecting = self.scene.accept_tls()
            self.scene.flush()
            leg = self.successResultOf(connecting)
            leg.write(first)
            self.scene.flush()
            self.assertEqual(links[-1].exporter, channel_binding(leg))
            self.assertEqual(links[-1].muxed, is_mux)
            self.assertEqual(len(links[-1].exporter), 32)

    def test_no_tls_session(self) -> None:
        """Without TLS there is nothing to bind to; a mux link can be asked for a sign of life."""
        links: list[Link] = []
        self.scene.bind_port.on_opened = lambda leg, origin, link: links.append(link)
        muxed(self.scene)
        (link,) = links
        self.assertEqual(link.exporter, b"")
        assert link.ping is not None
        sign = link.ping()
        self.scene.flush()
        self.assertIsNone(self.successResultOf(sign))

    def test_tls_only(self) -> None:
        """A server that demands TLS closes whatever comes without it, and its log says what that was."""
        scene = Scene(tls_only=True)
        with capturedLogs() as logged:
            for framing in versions():
                client = Client(scene, framing=framing, leg=scene.accept())
                self.assertEqual(client.of(events.LoggedIn), [])
        self.assertEqual(len(scene.sessions), 0)
        for version in ("v1", "v2"):
            self.assertIn(f"wire {version} without TLS, which transport.tls.force forbids", texts(logged))

    def test_too_many(self) -> None:
        """For connections beyond the bounds the oldest are dropped that are not understood yet."""
        with mock.patch.object(admission, "MAX_PENDING_PER_SOURCE", 2):
            scene = Scene()
        legs = [scene.accept() for _ in range(3)]
        receivers = [RecordingReceiver(leg) for leg in legs]
        scene.flush()
        self.assertEqual([each.lost is None for each in receivers], [False, True, True])
        legs[1].abort()
        scene.flush()
        scene.accept()
        scene.flush()
        self.assertIsNone(receivers[2].lost)
        scene.bind_port.close_connections()
        scene.flush()

    def test_too_fast(self) -> None:
        """Beyond a rate an address's connections are dropped, unless a client is logged in from there."""
        with mock.patch.object(acceptor, "CONNECTIONS_AT_ONCE", 2):
            scene = Scene()
        with capturedLogs() as logged:
            receivers = [RecordingReceiver(scene.accept()) for _ in range(3)]
            scene.flush()
        self.assertEqual([each.lost is None for each in receivers], [True, True, False])
        (line,) = [event for event in logged if "stranger" in event]
        self.assertIn("too many come from there", line["log_format"])
        scene.advance(1 / admission.CONNECTIONS_PER_S)
        self.assertTrue(Client(scene, leg=scene.accept()).run_id)
        many = [RecordingReceiver(scene.accept()) for _ in range(10)]
        scene.flush()
        self.assertEqual({each.lost for each in many}, {None})
        scene.bind_port.close_connections()
        scene.flush()

    def test_users_too_fast(self) -> None:
        """Where users come to the same port, there may be any number of them from one address."""
        with mock.patch.object(acceptor, "CONNECTIONS_AT_ONCE", 2):
            scene = Scene()
        shared = Opening(b"GET /shared")
        scene.bind_port.share(shared, Accepting(), Rank.SHARED)
        receivers = [RecordingReceiver(scene.accept()) for _ in range(10)]
        scene.flush()
        self.assertEqual({each.lost for each in receivers}, {None})
        scene.bind_port.ignore(shared)
        more = [RecordingReceiver(scene.accept()) for _ in range(3)]
        scene.flush()
        self.assertEqual([each.lost is None for each in more], [True, True, False])
        scene.bind_port.close_connections()
        scene.flush()

    def test_last_descriptors(self) -> None:
        """When few descriptors are left, strangers keep a quarter of the places."""
        scene = Scene(most_pending=8)
        crowd = [RecordingReceiver(scene.accept()) for _ in range(6)]
        scene.is_scarce = True
        Client(scene, leg=scene.accept())
        self.assertEqual([each.lost is None for each in crowd], [False] * 5 + [True])
        scene.bind_port.close_connections()
        scene.flush()

    def test_half_open(self) -> None:
        """A connection counts as half-open until a session takes it, or it is gone."""
        pending = self.scene.bind_port
        for end in (False, True):
            leg = self.scene.accept()
            leg.write(b"FRP\x00\x02\r\n")
            self.scene.flush()
            self.assertEqual(pending.pending, 1)
            if end:
                leg.abort()
            else:
                self.scene.advance(acceptor.FIRST_BYTES_TIMEOUT_S + 1)
            self.scene.flush()
            self.assertEqual(pending.pending, 0)
        self.assertTrue(Client(self.scene, leg=self.scene.accept()).run_id)
        self.assertEqual(pending.pending, 0)

    def test_half_open_link(self) -> None:
        """A mux link counts until somebody has logged in on it, or it is gone."""
        link = muxed(self.scene)
        self.assertEqual(self.scene.bind_port.pending, 1)
        link.close()
        self.scene.flush()
        self.scene.network.expire_linger()
        self.assertEqual(self.scene.bind_port.pending, 0)
        link = muxed(self.scene)
        self.assertTrue(Client(self.scene, leg=self.successResultOf(link.open_leg())).run_id)
        self.assertEqual(self.scene.bind_port.pending, 0)

    def test_turned_away(self) -> None:
        """That connections are turned away is said of each, with the reason in a field, and whose it was."""
        scene = Scene(most_pending=4)
        with capturedLogs() as logged:
            for _ in range(6):
                scene.accept()
            scene.flush()
        told = [event for event in logged if event["log_level"] is LogLevel.warn]
        self.assertEqual([event["ended"] for event in told], ["refused"] * len(told))
        self.assertEqual(len([event["stranger"] for event in told]), 3)
        scene.bind_port.close_connections()
        scene.flush()

    def test_refused_keeps_its_place(self) -> None:
        """Who is told why it is refused has its place until it is gone."""
        for message in (Login(), NewWorkConn(run_id="nobody"), NewVisitorConn(proxy_name="nothing")):
            leg = self.scene.accept()
            leg.write(V1.encode(message))
            self.scene.flush()
            self.assertEqual(self.scene.bind_port.pending, 1, message)
            received = RecordingReceiver(leg)
            self.scene.flush()
            self.assertTrue(received.ended)
            self.assertEqual(self.scene.bind_port.pending, 0)

    def test_work_is_no_stranger(self) -> None:
        """A work connection that a session takes has no place among the pending ones."""
        run_id = Client(self.scene, leg=self.scene.accept()).run_id
        leg = self.scene.accept()
        RecordingReceiver(leg)
        leg.write(V1.encode(NewWorkConn(run_id=run_id)))
        self.scene.flush()
        self.assertEqual(self.scene.bind_port.pending, 0)
        leg.close()
        self.scene.flush()

    def test_link_without_login(self) -> None:
        """A mux link on which nobody logs in is closed."""
        link = muxed(self.scene)
        lost = link.when_lost()
        self.scene.advance(LOGIN_TIMEOUT_S - 1)
        self.assertNoResult(lost)
        self.scene.advance(3)
        self.successResultOf(lost)

    def test_link_with_login(self) -> None:
        """A mux link with a login stays."""
        link = muxed(self.scene)
        Client(self.scene, leg=self.successResultOf(link.open_leg()))
        self.scene.advance(LOGIN_TIMEOUT_S + 5)
        self.assertNoResult(link.when_lost())

    def test_streams_before_login(self) -> None:
        """A link on which nobody has logged in may have a few streams, the others are reset."""
        link = muxed(self.scene)
        # One was opened with the link.
        count = acceptor.STREAMS_TRIED_BEFORE_LOGIN - 1
        receivers = [RecordingReceiver(self.successResultOf(link.open_leg())) for _ in range(count)]
        self.scene.flush()
        self.assertEqual(sum(each.lost is None for each in receivers), acceptor.STREAMS_BEFORE_LOGIN - 1)

    def test_streams_tried_before_login(self) -> None:
        """Who opens one stream after the other and does not log in loses the link; so does who only sends."""
        for count, size in ((acceptor.STREAMS_TRIED_BEFORE_LOGIN, 0), (1, acceptor.BYTES_BEFORE_LOGIN)):
            link = muxed(self.scene)
            for _ in range(count):
                leg = self.successResultOf(link.open_leg())
                leg.write(bytes(size))
                self.scene.flush()
                leg.abort()
                self.scene.flush()
            self.successResultOf(link.when_lost())
            self.assertEqual(self.scene.bind_port.pending, 0)

    def test_unread_streams(self) -> None:
        """So many streams of a client wait whose first message is not read; each that is makes room."""
        link = muxed(self.scene)
        client = Client(self.scene, leg=self.successResultOf(link.open_leg()))
        opened: list[IStreamLeg] = []
        on_opened = self.scene.bind_port.on_opened

        def count(leg: IStreamLeg, origin: Origin, its_link: Link) -> None:
            opened.append(leg)
            on_opened(leg, origin, its_link)

        self.scene.bind_port.on_opened = count
        legs = [self.successResultOf(link.open_leg()) for _ in range(ACCEPT_BACKLOG + 10)]
        self.scene.flush()
        # That of the link's beginning has sent nothing either.
        self.assertEqual(len(opened), ACCEPT_BACKLOG - 1)
        for leg in legs[:4]:
            leg.write(V1.encode(NewWorkConn(run_id=client.run_id)))
        self.scene.flush()
        self.assertEqual(len(opened), ACCEPT_BACKLOG + 3)

    def test_streams_after_login(self) -> None:
        """After a login the link may have as many streams as it needs."""
        link = muxed(self.scene)
        Client(self.scene, leg=self.successResultOf(link.open_leg()))
        receivers = [RecordingReceiver(self.successResultOf(link.open_leg())) for _ in range(20)]
        self.scene.flush()
        self.assertTrue(all(each.lost is None for each in receivers))

    def test_layers(self) -> None:
        """A layer that a carrier brings is looked into in turn, TLS within it included; each kind once."""
        recognizer = Opening(b"LAYER")

        async def on_recognized(connection: IIncomingConnection) -> IStreamLeg:
            await connection.leg.take(ExactPrefix(5))
            return transformed(connection.leg, ProxyTransport(use_encryption=True), TOKEN, bytes)

        port = self.scene.bind_port
        port.recognize(recognizer, on_recognized, Rank.LAYER)
        leg = self.scene.accept()
        leg.write(b"LAYER")
        within = transformed(leg, ProxyTransport(use_encryption=True), TOKEN, bytes)
        connecting = start_tls(self.scene.network, within, client_context(), server_side=False)
        self.scene.flush()
        client = Client(self.scene, leg=self.successResultOf(connecting))
        self.assertTrue(client.run_id)
        leg = self.scene.accept()
        within = transformed(leg, ProxyTransport(use_encryption=True), TOKEN, bytes)
        received = RecordingReceiver(within)
        leg.write(b"LAYER")
        within.write(b"LAYER")
        with capturedLogs() as logged:
            self.scene.flush()
        self.assertIsNotNone(received.lost)
        self.assertIn("an unknown protocol", texts(logged))
        port.ignore(recognizer)
        leg = self.scene.accept()
        received = RecordingReceiver(leg)
        leg.write(b"LAYER")
        self.scene.flush()
        self.assertIsNotNone(received.lost)
        self.assertEqual(port.pending, 0)

    def test_shared(self) -> None:
        """What somebody shares the port for is handed on whole, and is no pending connection any more."""
        accepting = Accepting()
        port = self.scene.bind_port
        port.share(Opening(b"GET /shared"), accepting, Rank.SHARED)
        leg = self.scene.accept()
        leg.write(b"GET /shared/page HTTP/1.1")
        self.scene.flush()
        received = RecordingReceiver(accepting.legs[0])
        self.assertEqual((received.data, port.pending), (b"GET /shared/page HTTP/1.1", 0))
        leg.abort()
        self.scene.flush()

    def test_endpoint(self) -> None:
        """What comes at an endpoint of Twisted's is looked at like what comes to the port."""
        endpoint = Endpoint(Deferred())
        self.scene.bind_port.listen_endpoint(endpoint).startService()
        endpoint.arrive()
        self.assertEqual(self.scene.bind_port.pending, 1)

    def test_defective_layer(self) -> None:
        """A layer with a defect costs the connection, and is logged."""

        async def on_recognized(connection: IIncomingConnection) -> IStreamLeg:
            raise ZeroDivisionError("a defect")

        self.scene.bind_port.recognize(Opening(b"LAYER"), on_recognized, Rank.FIXED)
        leg = self.scene.accept()
        received = RecordingReceiver(leg)
        leg.write(b"LAYER")
        self.scene.flush()
        self.assertIsNotNone(received.lost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.scene.bind_port.pending, 0)

    def test_paths(self) -> None:
        """A carrier with streams of its own hands in its connections; they are treated like mux links."""
        port = self.scene.bind_port
        near, far = self.scene.network.pair()
        link = MuxLink(near, MuxRole.CLIENT, self.scene.network, self.scene.clock)
        link.start()
        path = MuxLink(far, MuxRole.SERVER, self.scene.network, self.scene.clock)
        port.path_accepted(path, Origin(far.peer, far.host), None)
        self.assertEqual(port.pending, 1)
        self.assertTrue(Client(self.scene, leg=self.successResultOf(link.open_leg())).run_id)
        self.assertEqual(port.pending, 0)
        self.scene.flush()
        link.close()

    def test_crowd_of_paths(self) -> None:
        """They make room like others."""
        scene = Scene(most_pending=4)
        paths = []
        for _ in range(4):
            _, far = scene.network.pair()
            path = MuxLink(far, MuxRole.SERVER, scene.network, scene.clock)
            scene.bind_port.path_accepted(path, Origin(far.peer, far.host), None)
            paths.append(path)
        self.assertEqual([path.session.over for path in paths], [True, False, False, False])
        scene.bind_port.close_connections()
        scene.flush()

    def test_closing_what_is_pending(self) -> None:
        """Whatever a connection is waiting for, closing drops it, and leaves no timer."""
        scene = self.scene
        silent, opened, bare = scene.accept(), scene.accept(), scene.accept_tls()
        opened.write(b"o" + bytes(7) + b"d")
        link = muxed(scene)
        scene.flush()
        secure = self.successResultOf(bare)
        received = [RecordingReceiver(each) for each in (silent, opened, secure)]
        with capturedLogs() as logged:
            scene.bind_port.close_connections()
            scene.flush()
        self.assertNotIn(None, [each.lost for each in received])
        self.successResultOf(link.when_lost())
        self.assertEqual(scene.bind_port.pending, 0)
        self.assertEqual([each for each in logged if each["log_level"] >= LogLevel.error], [])

    def test_closing_links(self) -> None:
        """When the server stops it closes the links of its clients."""
        link = muxed(self.scene)
        self.scene.bind_port.close_connections()
        self.scene.flush()
        self.successResultOf(link.when_lost())
