"""WebSocket as a carrier: what is dialed, what the bind port finds, and what it tells who asks wrongly."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from relaykit.carriers.websocket import (
    UPGRADE_TIMEOUT_S,
    WebSocketAcceptOptions,
    WebSocketDialer,
    WebSocketDialOptions,
    WebSocketRecognition,
    carrier,
    open_websocket,
)
from relaykit.carriers.wss import WssDialer
from relaykit.carriers.wss import carrier as wss_carrier
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ICarrier, ILegDialer, ISecureLeg, IStreamLeg
from relaykit.plugins import Carriers
from relaykit.sansio.control import events
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Secret
from tests.carriers.test_tcp import DialingInMemory
from tests.dataplane.test_tls import signed
from tests.server.scene import Client, Scene
from tests.server.test_acceptor import texts

OPTIONS = WebSocketDialOptions()


class DialingScene(DialingInMemory):
    """Dials the bind port of a scene."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.network)
        self.scene = scene

    def dial(self) -> Deferred[IStreamLeg]:
        return maybeDeferred(self.scene.accept)

    def secure(self, leg: IStreamLeg) -> Deferred[IStreamLeg]:
        secured: Deferred[Any] = start_tls(self.network, leg, client_context(), server_side=False)
        return secured

    def secure_outside(self, leg: IStreamLeg, verified: bool) -> Deferred[ISecureLeg]:
        self.verified = verified
        return start_tls(self.network, leg, client_context(), server_side=False)


class WebSocketTests(SynchronousTestCase):
    """Tests for both halves."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.host = DialingScene(self.scene)
        self.recognition = self.recognize(WebSocketAcceptOptions())

    def recognize(self, options: WebSocketAcceptOptions) -> WebSocketRecognition:
        """Has the bind port find WebSocket."""
        found = carrier.make_acceptor(options, 0, self.scene.bind_port)
        found.setServiceParent(self.scene.bind_port)
        return found

    def connect(self, dialer: WebSocketDialer | WssDialer) -> IStreamLeg:
        """A connection that the server has understood so far."""
        connecting = dialer.connect()
        self.scene.flush()
        return self.successResultOf(connecting)

    def logged_in(self, leg: IStreamLeg) -> bool:
        """Whether a client can log in over a leg."""
        return len(Client(self.scene, leg=leg).of(events.LoggedIn)) == 1

    def answered(self, said: bytes, seconds: float = 0) -> tuple[bytes, bool, str]:
        """What is answered, whether it is over then, and the log."""
        leg = self.scene.accept()
        received = RecordingReceiver(leg)
        with capturedLogs() as logged:
            leg.write(said)
            self.scene.flush()
            self.scene.advance(seconds)
        return received.data, received.ended or received.lost is not None, texts(logged)

    def test_interfaces(self) -> None:
        """They are found like anybody's carriers, and keep what the interfaces say."""
        for found in (carrier, wss_carrier):
            self.assertIs(Carriers.installed().get(found.name), found)
            verifyObject(ICarrier, found)
        for dialer in (WebSocketDialer, WssDialer):
            verifyClass(ILegDialer, dialer)

    def test_logins(self) -> None:
        """A client logs in over WebSocket with TLS inside and without, and over WebSocket within TLS."""
        self.assertTrue(self.logged_in(self.connect(carrier.make_dialer(OPTIONS, self.host))))
        self.assertTrue(self.logged_in(self.connect(wss_carrier.make_dialer(OPTIONS, self.host))))
        self.assertTrue(self.host.verified)
        plain = Deferred.fromCoroutine(open_websocket(self.host, self.scene.accept(), "x", OPTIONS))
        self.scene.flush()
        self.assertTrue(self.logged_in(self.successResultOf(plain)))
        self.assertEqual(self.scene.bind_port.pending, 0)

    def test_not_verified(self) -> None:
        """Whether the certificate is verified is for the file to say."""
        options = WebSocketDialOptions(verify_certificate=False)
        self.connect(wss_carrier.make_dialer(options, self.host))
        self.assertFalse(self.host.verified)

    def test_other_path(self) -> None:
        """Both ends may agree on another path, and on what proxies want to have."""
        self.recognize(WebSocketAcceptOptions(path="/relay"))
        options = WebSocketDialOptions(path="/relay", host="relay.example", headers={"X-Key": Secret("k")})
        self.assertTrue(self.logged_in(self.connect(carrier.make_dialer(options, self.host))))

    def test_wrong_path(self) -> None:
        """A client that asks for another path is told so, by the server and in its own error."""
        for path in ("/~!frpx", "/relay"):
            options = WebSocketDialOptions(path=path)
            connecting = carrier.make_dialer(options, self.host).connect()
            with capturedLogs() as logged:
                self.scene.flush()
            error = self.failureResultOf(connecting, ConnectionFailed)
            self.assertIn("404 Not Found: there is no relay at this path", str(error.value))
            self.assertIn("there is no relay at this path", texts(logged))
        self.assertEqual(self.scene.bind_port.pending, 0)

    def test_refused(self) -> None:
        """A request that cannot be taken gets an answer that says why, then the end."""
        answer, over, logged = self.answered(b"GET /~!frp HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\nDate: "))
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertTrue(over)
        self.assertIn("WebSocket: this is for WebSocket", logged)
        self.assertEqual(self.scene.bind_port.pending, 0)

    def test_slow(self) -> None:
        """A request that does not arrive in time is told so; it is not waited for any longer."""
        answer, over, _ = self.answered(b"GET /~!frp HTTP/1.1\r\nHost:", UPGRADE_TIMEOUT_S - 1)
        self.assertEqual((answer, over), (b"", False))
        answer, over, logged = self.answered(b"GET /~!frp HTTP/1.1\r\nHost:", UPGRADE_TIMEOUT_S + 1)
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"))
        self.assertIn("did not arrive within 10 seconds", logged)
        self.assertTrue(over)

    def test_http(self) -> None:
        """Whoever speaks HTTP and wants no WebSocket is a stranger, as ever."""
        answer, over, logged = self.answered(b"GET /relay HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((answer, over), (b"", True))
        self.assertIn("this is HTTP, not a client", logged)

    def test_stopped(self) -> None:
        """It is found as long as the accepting half runs."""
        self.successResultOf(maybeDeferred(self.recognition.stopService))
        answer, over, logged = self.answered(b"GET /~!frp HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((answer, over), (b"", True))
        self.assertIn("this is HTTP", logged)

    def test_once(self) -> None:
        """There is no WebSocket within WebSocket."""
        outer = Deferred.fromCoroutine(open_websocket(self.host, self.scene.accept(), "x", OPTIONS))
        self.scene.flush()
        inner = Deferred.fromCoroutine(open_websocket(self.host, self.successResultOf(outer), "x", OPTIONS))
        self.scene.flush()
        self.failureResultOf(inner, ConnectionFailed)

    def test_silent_server(self) -> None:
        """A server that does not answer is waited for so long."""
        near, _ = self.scene.network.pair()
        opening = Deferred.fromCoroutine(open_websocket(self.host, near, "x", OPTIONS))
        self.scene.advance(UPGRADE_TIMEOUT_S + 1)
        error = self.failureResultOf(opening, ConnectionFailed)
        self.assertIn("did not answer", str(error.value))
        self.scene.flush()
        self.assertIsNotNone(RecordingReceiver(near).lost)

    def test_binding(self) -> None:
        """A login can be bound to the session that both ends know to share, and to none that a proxy ends."""
        for through_proxy in (False, True):
            leg = self.through_proxy() if through_proxy else self.direct()
            assert ISecureLeg.providedBy(leg)
            exported = leg.export_keying_material(b"x", 32)
            self.assertEqual(bool(exported), not through_proxy)

    def direct(self) -> IStreamLeg:
        """A connection of wss to the server itself."""
        return self.connect(wss_carrier.make_dialer(OPTIONS, self.host))

    def through_proxy(self) -> IStreamLeg:
        """One through somebody who ends TLS, and begins another one with the server."""
        pair = signed()
        near, far = self.scene.network.pair()
        client = start_tls(self.scene.network, near, client_context(), server_side=False)
        ended = start_tls(
            self.scene.network, far, server_context(pair.certificate, pair.key), server_side=True
        )
        begun = self.scene.accept_tls()
        self.scene.flush()
        ends = [self.successResultOf(each) for each in (client, ended, begun)]
        passed = [RecordingReceiver(each) for each in ends[1:]]
        opening = Deferred.fromCoroutine(open_websocket(self.host, ends[0], "x", OPTIONS, ends[0]))
        self.scene.flush()
        ends[2].write(passed[0].data)
        self.scene.flush()
        ends[1].write(passed[1].data)
        self.scene.flush()
        return self.successResultOf(opening)


class OptionsTests(SynchronousTestCase):
    """Tests for what files may say."""

    def test_problems(self) -> None:
        """Paths and headers that cannot be sent are refused, and headers are not shown."""
        self.assertEqual([each.key for each in WebSocketAcceptOptions(path="x").problems()], ["path"])
        headers = {"Host": Secret("x"), "X": Secret("a\nb"), "Authorization": Secret("Basic eA==")}
        wrong = WebSocketDialOptions(path="/?", headers=headers)
        self.assertEqual([each.key for each in wrong.problems()], ["path", "headers.Host", "headers.X"])
        self.assertNotIn("eA==", repr(wrong))
        self.assertEqual(list(OPTIONS.problems()), [])
