"""Tests of client sessions: logging in, registering, work connections, the end."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.proxies.tcp import TcpIngress
from relaykit.sansio.control import events
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.client_opening import Refusal, WorkAssigned, open_work, work_answer
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.control.login_proofs import BoundLogin, ClientProofs
from relaykit.sansio.control.session import MOST_MESSAGES, Heartbeat
from relaykit.sansio.wire.framing import V1, V2
from relaykit.server import sessions
from relaykit.server.acceptor import Link
from relaykit.server.admission import most_asked
from relaykit.server.registry import Registry
from relaykit.server.sessions import STEP_END_S, Session
from relaykit.testing.memory import RecordingReceiver
from relaykit.timer import PORTION_S
from relaykit.values import Ended, Secret
from tests.dataplane.fakes import next_turn
from tests.server.scene import EXPORTER, Client, Scene, versions

OTHER_EXPORTER = bytes(range(1, 33))
BINDING = ClientProofs(exporter=EXPORTER, bound=BoundLogin.REQUIRE)


def link(exporter: bytes, muxed: bool = False) -> Link:
    """A link with this TLS session, or without TLS."""
    return Link(muxed, bool(exporter), lambda: None, exporter=exporter)


class LoginTests(SynchronousTestCase):
    """Who gets in."""

    def test_accepted(self) -> None:
        """A client that knows the token gets a run id, in either version of the wire."""
        for framing in versions():
            scene = Scene()
            client = Client(scene, framing=framing)
            self.assertEqual(len(client.run_id), 16)
            self.assertEqual(len(scene.sessions), 1)

    def test_wrong_token(self) -> None:
        """A client with another token is told so and let go."""
        scene = Scene()
        client = Client(scene, token=Secret("another"))
        (refused,) = client.of(events.LoginRefused)
        self.assertEqual(refused.text, "token in login doesn't match token from configuration")
        self.assertEqual(len(scene.sessions), 0)

    def test_summary(self) -> None:
        """A server that gives no details says only that the login failed."""
        client = Client(Scene(detailed=False), token=Secret("another"))
        self.assertEqual(client.of(events.LoginRefused)[0].text, "register control error")

    def test_stopped(self) -> None:
        """A server that stops ends its sessions and lets nobody in."""
        scene = Scene()
        client = Client(scene)
        self.successResultOf(scene.sessions.end_all())
        scene.flush()
        self.assertTrue(client.of(events.SessionEnded))
        self.assertEqual(Client(scene).of(events.LoginRefused)[0].text, "control manager is closed")

    def test_link_knows(self) -> None:
        """The link that a login came on is told, so that it is not closed as useless."""
        link = Link(False, False, lambda: None)
        Client(Scene(), link=link)
        self.assertTrue(link.is_admitted)

    def test_heartbeats(self) -> None:
        """A client that must ping and does not is lost after the timeout."""
        scene = Scene(heartbeat=Heartbeat(timeout_s=90.0))
        client = Client(scene)
        scene.advance(91)
        self.assertTrue(client.of(events.SessionEnded))
        self.assertEqual(len(scene.sessions), 0)


class BoundTests(SynchronousTestCase):
    """Which connections a session takes."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.link = link(OTHER_EXPORTER)

    def offer(self, run_id: str, on: Link, binding: bytes = b"") -> str:
        """Offers a work connection; answers why it is refused, or nothing."""
        leg = self.scene.open(on)
        leg.write(open_work(V2, run_id, binding=binding))
        answer = leg.take(work_answer(V2))
        self.scene.flush()
        if not answer.called:
            return ""
        refusal = self.successResultOf(answer)
        assert isinstance(refusal, Refusal)
        return refusal.text

    def proof(
        self, client: Client, purpose: Purpose = Purpose.WORK, exporter: bytes = OTHER_EXPORTER
    ) -> bytes:
        """What proves that a connection with this TLS session belongs to a session."""
        assert client.core.bound is not None
        return client.core.bound.connection_proof(purpose, exporter, client.run_id)

    def test_without_mux(self) -> None:
        """Without mux a connection proves for its own TLS session that it belongs to the session."""
        client = Client(self.scene, link=link(EXPORTER), proofs=BINDING)
        self.assertEqual(self.offer(client.run_id, self.link, self.proof(client)), "")
        refused = f"this connection does not belong to the session of run id [{client.run_id}]"
        other = Client(self.scene, link=link(EXPORTER), proofs=BINDING)
        for on, binding in (
            (self.link, b""),
            (self.link, self.proof(client, exporter=EXPORTER)),
            (self.link, self.proof(client, Purpose.VISIT)),
            (self.link, self.proof(other)),
            (link(b""), self.proof(client)),
            (link(b""), self.proof(client, exporter=b"")),
            (link(OTHER_EXPORTER, muxed=True), self.proof(client)),
        ):
            self.assertEqual(self.offer(client.run_id, on, binding), refused)

    def test_with_mux(self) -> None:
        """With mux the link that the login was bound to is all that counts."""
        on = link(EXPORTER, muxed=True)
        client = Client(self.scene, link=on, proofs=BINDING)
        self.assertEqual(self.offer(client.run_id, on), "")
        for other in (link(EXPORTER, muxed=True), self.link):
            self.assertIn("does not belong", self.offer(client.run_id, other, self.proof(client)))

    def test_not_bound(self) -> None:
        """Without mux, a session that is not bound takes each connection that names it, as frp does."""
        client = Client(self.scene, link=link(EXPORTER))
        self.assertEqual(self.offer(client.run_id, link(b"")), "")
        self.assertIn("does not belong", self.offer(client.run_id, link(b"", muxed=True)))

    def test_not_bound_with_mux(self) -> None:
        """With mux it takes those of its own link, and no others."""
        on = link(b"", muxed=True)
        client = Client(self.scene, link=on)
        self.assertEqual(self.offer(client.run_id, on), "")
        for other in (link(b"", muxed=True), link(b""), link(EXPORTER)):
            self.assertIn("does not belong", self.offer(client.run_id, other))

    def test_scopes(self) -> None:
        """Where work connections carry frp's proof, bound ones need none."""
        self.scene = Scene(scopes=(Scope.WORK_CONNECTIONS,))
        client = Client(self.scene, link=link(EXPORTER), proofs=BINDING)
        self.assertEqual(self.offer(client.run_id, self.link, self.proof(client)), "")
        plain = Client(self.scene)
        self.assertIn("token in NewWorkConn", self.offer(plain.run_id, self.link))


class ProxyTests(SynchronousTestCase):
    """What a client can have exposed."""

    def test_registered(self) -> None:
        """A proxy is opened and its address told."""
        client = Client(Scene())
        client.register("web", remote_port=6000)
        self.assertEqual(client.of(events.ProxyRegistered), [events.ProxyRegistered("web", ":6000")])

    def test_refusals(self) -> None:
        """What cannot be exposed is refused with frp's words."""
        scene = Scene()
        client = Client(scene)
        client.register("web", remote_port=6000)
        for name, kind, port, text in (
            ("web", "tcp", 6001, "proxy [web] already exists"),
            ("other", "tcp", 6000, "port already used"),
            ("odd", "nosuch", 0, "unknown proxy type: nosuch"),
        ):
            client.told.clear()
            client.register(name, kind, remote_port=port)
            self.assertEqual(client.of(events.ProxyRefused), [events.ProxyRefused(name, text)])

    def test_wrong_option(self) -> None:
        """An option of the wrong type is refused and named."""
        client = Client(Scene())
        client.register("web", remote_port="6000")
        self.assertIn("Expected `int`", client.of(events.ProxyRefused)[0].text)

    def test_broken_type(self) -> None:
        """A type whose module is broken is refused, without telling the client about the inside."""
        client = Client(Scene())
        client.register("web", "broken")
        self.assertEqual(
            client.of(events.ProxyRefused)[0].text, "proxy type broken cannot be used on this server"
        )

    def test_names_of_other_clients(self) -> None:
        """Names are unique over all clients, and free once their client is gone."""
        scene = Scene()
        first, second = Client(scene, alive=True), Client(scene)
        first.register("web", remote_port=6000)
        second.register("web", remote_port=6001)
        self.assertEqual(second.of(events.ProxyRefused)[0].text, "proxy [web] already exists")
        first.leg.abort()
        scene.flush()
        second.register("web", remote_port=6000)
        self.assertEqual(second.of(events.ProxyRegistered)[0].address, ":6000")

    def test_withdrawn(self) -> None:
        """A proxy that is taken back is closed; its name and port are free."""
        scene = Scene()
        client = Client(scene)
        client.register("web", remote_port=6000)
        client.withdraw("web")
        self.assertEqual(scene.ports, {})
        client.register("web", remote_port=6000)
        self.assertEqual(len(client.of(events.ProxyRegistered)), 2)

    def many(self, scene: Scene, client: Client, count: int) -> tuple[Session, Deferred[None]]:
        """So many registrations of which the first one takes long: until what is answered fires."""
        held: Deferred[None] = Deferred()
        register = Registry.register

        async def take_long(registry: Registry, *given: Any) -> Any:
            await held
            return await register(registry, *given)

        self.patch(Registry, "register", take_long)
        for number in range(count):
            client.core.register(f"web {number}", "tcp", {"remote_port": 6000 + number})
        client.driver.step()
        scene.flush()
        session = scene.sessions.get(client.run_id)
        assert session is not None
        return session, held

    def test_many_wait(self) -> None:
        """While many registrations wait for one that takes long, no more are read; all are done in order."""
        count = 512
        for most, each_bytes in (("MAX_UNANSWERED_PROXIES", 1), ("MAX_UNANSWERED_BYTES", 16)):
            with mock.patch.object(sessions, most, 128 * each_bytes):
                scene = Scene()
                client = Client(scene)
                session, held = self.many(scene, client, count)
                self.assertLess(len(session._steps), 128 + MOST_MESSAGES)
                held.callback(None)
                scene.flush()
            registered = [each.name for each in client.of(events.ProxyRegistered)]
            self.assertEqual(registered, [f"web {number}" for number in range(count)])

    def test_pinged_while_many_wait(self) -> None:
        """A client whose proxies wait for one that takes long is heard, and its pings are answered."""
        scene = Scene(heartbeat=Heartbeat(timeout_s=90.0))
        client = Client(scene, heartbeat=Heartbeat(interval_s=30.0, timeout_s=90.0))
        _, held = self.many(scene, client, 1000)
        scene.advance(200.0)
        self.assertEqual(client.of(events.SessionEnded), [])
        held.callback(None)
        scene.flush()
        self.assertEqual(len(client.of(events.ProxyRegistered)), 1000)

    def test_withdrawn_in_portions(self) -> None:
        """The proxies of a client that leaves are withdrawn a few in each turn; its end is told after all."""
        scene = Scene()
        client = Client(scene)
        for number in range(20):
            client.register(f"web {number}", remote_port=6000 + number)
        session = scene.sessions.get(client.run_id)
        assert session is not None
        withdraw = Registry.withdraw

        async def take_time(registry: Registry, proxy: Any, why: Ended) -> None:
            scene.clock.rightNow += PORTION_S / 2
            await withdraw(registry, proxy, why)

        self.patch(Registry, "withdraw", take_time)
        ended = session.end(Ended.STOPPED)
        for left in range(18, 0, -2):
            self.assertEqual(len(scene.registry), left)
            self.assertNoResult(ended)
            next_turn(scene.clock)
        self.successResultOf(ended)

    def test_defect_while_withdrawn(self) -> None:
        """What the client asked for meanwhile is done all the same where a type fails to close a proxy."""
        scene = Scene()
        client = Client(scene)
        client.register("web", remote_port=6000)
        held: Deferred[None] = Deferred()

        async def withdraw(registry: Registry, proxy: Any, why: Ended) -> None:
            await held

        self.patch(Registry, "withdraw", withdraw)
        client.withdraw("web")
        client.register("other", remote_port=6001)
        self.assertEqual(len(client.of(events.ProxyRegistered)), 1)
        held.errback(ZeroDivisionError())
        scene.flush()
        self.assertEqual(client.of(events.ProxyRegistered)[1].name, "other")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_gone_while_it_registers(self) -> None:
        """A session ends once what was being registered is given up, so that its name is free."""
        scene = Scene()
        given_up: list[str] = []

        async def expose(ingress: Any, proxy: Any) -> None:
            try:
                await Deferred()
            finally:
                given_up.append(proxy.name)

        self.patch(TcpIngress, "expose", expose)
        client = Client(scene)
        client.register("web", remote_port=6000)
        client.register("other", remote_port=6001)
        client.leg.abort()
        scene.flush()
        self.assertEqual(len(scene.sessions), 1)
        scene.advance(0)
        self.assertEqual((given_up, len(scene.sessions), len(scene.registry)), (["web"], 0, 0))

    def test_gone_while_a_stubborn_type_registers(self) -> None:
        """What is exposed all the same is withdrawn; the session waits some seconds for it."""
        for is_late in (False, True):
            scene = Scene()
            exposing: Deferred[None] = Deferred()
            withdrawn: list[str] = []

            class Exposure:
                address = ""

                async def withdraw(self, withdrawn: list[str] = withdrawn) -> None:
                    withdrawn.append("web")

            async def expose(
                ingress: Any, proxy: Any, exposing: Deferred[None] = exposing, kind: Any = Exposure
            ) -> Any:
                try:
                    await Deferred()
                except CancelledError:
                    await exposing
                return kind()

            self.patch(TcpIngress, "expose", expose)
            client = Client(scene)
            client.register("web", remote_port=6000)
            client.leg.abort()
            scene.flush()
            scene.advance(STEP_END_S if is_late else 0)
            self.assertEqual(len(scene.sessions), 0 if is_late else 1)
            exposing.callback(None)
            self.assertEqual((withdrawn, len(scene.sessions), len(scene.registry)), (["web"], 0, 0))

    def test_unknown_withdrawal(self) -> None:
        """Taking back what is not there, or another client's, does nothing."""
        scene = Scene()
        first, second = Client(scene), Client(scene)
        first.register("web", remote_port=6000)
        second.withdraw("web")
        second.withdraw("nothing")
        self.assertIn(6000, scene.ports)


class WorkTests(SynchronousTestCase):
    """How users get work connections."""

    def setUp(self) -> None:
        self.scene = Scene()

    def client(self, **settings: object) -> Client:
        """A client with the proxy ``web`` on port 6000."""
        client = Client(self.scene, **settings)  # type: ignore[arg-type]  # settings of Client
        client.register("web", remote_port=6000)
        return client

    def test_pool_is_asked_for(self) -> None:
        """After the login the server asks for as many as the client wants, within the limit."""
        self.assertEqual(len(Client(self.scene, pool_count=3).of(events.WorkRequested)), 3)
        self.assertEqual(len(Client(self.scene, pool_count=50).of(events.WorkRequested)), 5)
        self.assertEqual(len(Client(self.scene, pool_count=-1).of(events.WorkRequested)), 0)

    def test_room_for_work(self) -> None:
        """A client without mux is asked for as many at a time as may be pending, one with
        mux for all that its users need.
        """
        for muxed, expected in ((False, most_asked(16)), (True, 10)):
            self.scene = Scene(most_pending=16)
            client = self.client(link=Link(muxed, False, lambda: None))
            for _ in range(10):
                self.scene.dial(6000)
            self.assertEqual(len(client.of(events.WorkRequested)), expected)

    def test_user_before_work(self) -> None:
        """A user waits until the client has opened a work connection, and reaches what is behind it."""
        for framing in (V1, V2):
            self.scene = Scene()
            client = self.client(framing=framing)
            user, received = self.scene.dial(6000)
            user.write(b"hello")
            self.assertEqual(len(client.of(events.WorkRequested)), 1)
            leg, answer = client.offer_work()
            assigned = self.successResultOf(answer)
            self.assertIsInstance(assigned, WorkAssigned)
            self.assertEqual((assigned.proxy_name, assigned.origin.source), ("web", user.host))
            service = RecordingReceiver(leg)
            leg.write(b"welcome")
            self.scene.flush()
            self.assertEqual((service.data, received.data), (b"hello", b"welcome"))

    def test_work_before_user(self) -> None:
        """A work connection that waits is used at once, and another one asked for."""
        client = self.client()
        _, answer = client.offer_work()
        self.assertNoResult(answer)
        self.scene.dial(6000)
        self.assertEqual(self.successResultOf(answer).proxy_name, "web")
        self.assertEqual(len(client.of(events.WorkRequested)), 1)

    def test_dead_work_connection(self) -> None:
        """A waiting work connection that died is never given to a user."""
        client = self.client()
        dead, answer = client.offer_work()
        dead.abort()
        self.scene.flush()
        self.failureResultOf(answer)
        _, received = self.scene.dial(6000)
        self.assertIsNone(received.lost)
        _, second = client.offer_work()
        self.assertEqual(self.successResultOf(second).proxy_name, "web")

    def test_chatty_work_connection(self) -> None:
        """A work connection on which something comes before a user does is dropped."""
        client = self.client()
        leg, answer = client.offer_work()
        leg.write(b"too early")
        self.scene.flush()
        self.failureResultOf(answer)

    def test_nobody_offers(self) -> None:
        """A user for whom no work connection comes is let go after the time-out."""
        self.client()
        _, received = self.scene.dial(6000)
        self.scene.advance(9.5)
        self.assertIsNone(received.lost)
        self.scene.advance(1)
        self.assertTrue(received.ended or received.lost is not None)

    def test_session_ends_while_waiting(self) -> None:
        """A user who waits is let go when the client's session ends."""
        client = self.client()
        _, received = self.scene.dial(6000)
        client.leg.abort()
        self.scene.flush()
        self.assertTrue(received.ended or received.lost is not None)

    def test_surplus(self) -> None:
        """A work connection that nobody needs is refused with frp's words."""
        client = self.client()
        answers = [client.offer_work()[1] for _ in range(11)]
        self.assertEqual(
            self.successResultOf(answers[-1]), Refusal("work connection pool is full, discarding")
        )
        self.assertNoResult(answers[0])

    def test_unknown_session(self) -> None:
        """A work connection of a session that does not exist is refused."""
        client = self.client()
        client.leg.abort()
        self.scene.flush()
        _, answer = client.offer_work()
        self.assertEqual(
            self.successResultOf(answer), Refusal(f"no client control found for run id [{client.run_id}]")
        )

    def test_proof_of_work(self) -> None:
        """Where work connections need a proof, one without it is refused."""
        self.scene = Scene(scopes=(Scope.WORK_CONNECTIONS,))
        _, answer = self.client().offer_work()
        self.assertEqual(
            self.successResultOf(answer),
            Refusal("token in NewWorkConn doesn't match token from configuration"),
        )
        _, proven = Client(self.scene, scopes=(Scope.WORK_CONNECTIONS,)).offer_work()
        self.assertNoResult(proven)

    def test_encrypted_and_compressed(self) -> None:
        """The transforms of a proxy apply to its work connections: what travels is not the payload."""
        client = Client(self.scene)
        client.register("web", remote_port=6000, use_encryption=True, use_compression=True)
        user, _ = self.scene.dial(6000)
        user.write(b"payload" * 20)
        leg, answer = client.offer_work()
        self.successResultOf(answer)
        service = RecordingReceiver(leg)
        self.scene.flush()
        self.assertGreater(len(service.data), 16)
        self.assertNotIn(b"payload", service.data)
