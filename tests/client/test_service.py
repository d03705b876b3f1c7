"""Tests of the client as a whole: sessions one after the other, proxies, visitors, stopping."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.authentication import TokenProver
from relaykit.client.run import MOST_OUTLIVED, ClientRun
from relaykit.client.service import _ENDING, RelayClient
from relaykit.client.session import Session
from relaykit.client.status import RegistrationState
from relaykit.client.visits import Visitors
from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor, LoadedClient
from relaykit.config.schema import ClientConfig
from relaykit.config.schema.sections import LogConfig
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import (
    BrokenProxyType,
    ConnectionFailed,
    CredentialError,
    LocalProtocolError,
    LoginRefusedError,
    SessionLost,
    UnknownProxyType,
)
from relaykit.interfaces import IProver
from relaykit.options import Effect
from relaykit.proxies.stcp import StcpVisitor
from relaykit.proxies.tcp import LocalServiceBackend
from relaykit.sansio.control.client_life import ABORT_S, CLOSE_S, DRAIN_S, LifeState
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.liveness import PROBE_TIMEOUT_S, UNREACHABLE_TIMEOUT_S
from relaykit.sansio.control.session import Heartbeat
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Ended, Secret
from tests.client.scene import SERVICE, Machine, make_client, started, stcp_proxy, stcp_visitor, tcp_proxy
from tests.server.scene import TOKEN, Scene


def lines(logged: Any) -> list[str]:
    """What was logged, in words."""
    return [str(event["log_format"]).format(**event) for event in logged if event.get("log_format")]


@implementer(IProver)
class OneTimeProver:
    """Has no proof at first, then one of the token."""

    def __init__(self) -> None:
        self.scopes = frozenset({Scope.LOGIN})
        self.asked = 0

    def prove(self, scope: Scope, bound: bool) -> Proof:
        self.asked += 1
        if self.asked == 1:
            raise CredentialError("the issuer is away")
        return TokenProver(TOKEN, lambda: 0.0).prove(scope, bound)


class SessionTests(SynchronousTestCase):
    """Logging in, once and again."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machine = Machine(self.scene)

    def test_constructing_does_nothing(self) -> None:
        """A client that is not started does not dial."""
        make_client(self.machine, tcp_proxy(), stcp_visitor())
        self.assertEqual((self.machine.dialed, self.machine.ports), (0, {}))

    def test_logged_in(self) -> None:
        """A client that is started logs in and tells its run id, early and late."""
        client = make_client(self.machine)
        early = client.when_first_login()
        client.startService()
        self.scene.flush()
        self.assertEqual(len(self.successResultOf(early)), 16)
        self.assertEqual(self.successResultOf(client.when_first_login()), client.identity.run_id)

    def test_log_lines(self) -> None:
        """The lines that scripts wait for are logged in frp's words."""
        with capturedLogs() as logged:
            client = started(self.machine, tcp_proxy(), stcp_visitor())
        run = client.identity.run_id
        said = lines(logged)
        for line in (
            "try to connect to server...",
            f"[{run}] login to server success, get run id [{run}]",
            f"[{run}] proxy added: [web]",
            f"[{run}] start visitor success",
            f"[{run}] visitor added: [v]",
            f"[{run}] [web] start proxy success",
            f"[{run}] [web] users reach it at relay.example:6000",
        ):
            self.assertIn(line, said)

    def test_every_way(self) -> None:
        """With and without mux, in either version, users reach the local service."""
        for muxed in (True, False):
            for wire_protocol in ("auto", "v1", "v2"):
                self.setUp()
                self.machine.muxed = muxed
                client = started(self.machine, tcp_proxy(), wire_protocol=wire_protocol)
                user, received = self.scene.dial(6000)
                user.write(b"hello")
                self.scene.flush()
                service = RecordingReceiver(self.machine.services[SERVICE][0])
                self.machine.services[SERVICE][0].write(b"welcome")
                self.scene.flush()
                self.assertEqual((service.data, received.data), (b"hello", b"welcome"))
                assert client._run is not None
                self.assertEqual(client._run.half_close, wire_protocol != "v1")

    def test_prover(self) -> None:
        """A client proves by what it was given; where that has no proof it says why, and tries again."""
        client = make_client(self.machine, prover=OneTimeProver())
        with capturedLogs() as logged:
            client.startService()
            self.scene.flush()
        self.assertTrue(any("the issuer is away" in line for line in lines(logged)))
        self.scene.advance(30)
        self.assertTrue(client.status().connected)

    def test_again_after_a_loss(self) -> None:
        """A client whose session is lost logs in under the same run id and registers everything."""
        client = started(self.machine, tcp_proxy())
        run_id = client.identity.run_id
        self.machine.connections[0].cut()
        self.scene.flush()
        self.assertEqual(self.scene.ports, {})
        self.scene.advance(1)
        self.assertEqual(client.identity.run_id, run_id)
        self.assertIn(6000, self.scene.ports)

    def test_unreachable_for_a_while(self) -> None:
        """A client that cannot reach its server tries again, ever more slowly."""
        self.machine.reachable = False
        client = started(self.machine, tcp_proxy())
        waiting = client.when_first_login()
        self.scene.advance(60)
        self.assertNoResult(waiting)
        self.assertGreater(self.machine.dialed, 4)
        self.assertLess(self.machine.dialed, 30)
        self.machine.reachable = True
        self.scene.advance(11)
        self.successResultOf(waiting)

    def test_first_login_must_succeed(self) -> None:
        """Where that is configured, a client gives up when its first login fails, and says why."""
        self.machine.reachable = False
        client = started(self.machine, login_fail_exit=True)
        self.failureResultOf(client.when_first_login(), ConnectionFailed)
        self.machine.reachable = True
        self.scene.advance(30)
        self.assertEqual(self.machine.dialed, 1)

    def test_refused(self) -> None:
        """A login that is refused is a failure with the server's words."""
        client = started(self.machine, token=Secret("wrong"), login_fail_exit=True)
        refused = self.failureResultOf(client.when_first_login(), LoginRefusedError)
        self.assertEqual(refused.value.text, "token in login doesn't match token from configuration")

    def test_defect(self) -> None:
        """A defect while logging in is logged as one and tried again like any other failure."""
        broken = [ValueError("a defect")]
        connect = self.machine._connect

        def fails_once(config: ClientConfig) -> Deferred[Any]:
            return fail(broken.pop()) if broken else connect(config)

        self.patch(self.machine, "_connect", fails_once)
        client = started(self.machine)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.scene.advance(3)
        self.assertTrue(client.status().connected)

    def test_later_failures_do_not_end_it(self) -> None:
        """After the first login no failure ends the client."""
        client = started(self.machine, tcp_proxy(), login_fail_exit=True)
        self.machine.reachable = False
        self.machine.connections[0].cut()
        self.scene.advance(40)
        self.machine.reachable = True
        self.scene.advance(21)
        self.assertIn(6000, self.scene.ports)
        self.assertTrue(client.running)

    def test_refused_proxy(self) -> None:
        """A proxy that is refused is told of with the server's words, and tried again later."""
        first = started(self.machine, tcp_proxy())
        with capturedLogs() as logged:
            second = started(Machine(self.scene), tcp_proxy("other"))
        run = second.identity.run_id
        self.assertIn(f"[{run}] [other] start error: port already used", lines(logged))
        stopping = first.stopService()
        self.scene.advance(31)
        self.successResultOf(stopping)
        self.assertIn(6000, self.scene.ports)


class ReconnectTests(SynchronousTestCase):
    """What a client does when the way to its server may be another one."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machine = Machine(self.scene)

    def change_network(self) -> None:
        """The network changes."""
        self.machine.network_changed("the network has changed")
        self.scene.flush()

    def test_resting(self) -> None:
        """A client that rests between two attempts tries at once, and says why."""
        client = started(self.machine, tcp_proxy())
        self.machine.reachable = False
        self.machine.connections[0].cut()
        self.scene.advance(120)
        dialed = self.machine.dialed
        self.machine.reachable = True
        with capturedLogs() as logged:
            self.change_network()
        self.assertEqual(self.machine.dialed, dialed + 1)
        self.assertIn(6000, self.scene.ports)
        self.assertEqual(
            (lines(logged)[0], logged[0]["run"]), ("the network has changed", client.identity.run_id)
        )

    def test_short_rests_again(self) -> None:
        """After that its rests are short again, though the server is still out of reach."""
        started(self.machine)
        self.machine.reachable = False
        self.machine.connections[0].cut()
        self.scene.advance(300)
        self.change_network()
        dialed = self.machine.dialed
        self.scene.advance(2)
        self.assertGreaterEqual(self.machine.dialed, dialed + 2)

    def test_dialing(self) -> None:
        """An attempt that began on another network is given up for a new one."""
        self.machine.answered = False
        started(self.machine, tcp_proxy())
        self.machine.answered = True
        self.change_network()
        self.assertEqual(self.machine.dialed, 2)
        self.assertIn(6000, self.scene.ports)

    def test_dialing_that_fails_when_given_up(self) -> None:
        """Whatever an attempt fails with when it is given up, the new one alone counts."""
        old: list[Deferred[Any]] = [Deferred(lambda it: it.errback(ConnectionFailed("given up")))]
        connect = self.machine._connect
        self.patch(self.machine, "_connect", lambda config: old.pop() if old else connect(config))
        client = started(self.machine, tcp_proxy(), login_fail_exit=True)
        self.change_network()
        self.assertIn(6000, self.scene.ports)
        self.scene.advance(60)
        self.assertEqual((client.status().connected, self.machine.dialed), (True, 1))

    def test_defect_at_the_end_of_a_session(self) -> None:
        """A defect while a session is cleared away is logged."""
        started(self.machine)

        def broken(visitors: Visitors) -> None:
            raise ValueError("a defect")

        self.patch(Visitors, "session_ended", broken)
        with capturedLogs() as logged:
            self.machine.connections[0].cut()
            self.scene.flush()
        self.assertIn("a defect in the life of the client", lines(logged))
        self.flushLoggedErrors(ValueError)

    def test_session_that_stands(self) -> None:
        """A session whose server answers goes on."""
        for muxed in (True, False):
            scene = Scene()
            machine = Machine(scene, muxed)
            started(machine, tcp_proxy())
            dialed = machine.dialed
            machine.network_changed("the network has changed")
            scene.advance(20)
            self.assertEqual((machine.dialed, len(scene.sessions)), (dialed, 1))

    def test_session_that_is_dead(self) -> None:
        """A session whose server does not answer is replaced within seconds."""
        for muxed in (True, False):
            scene = Scene()
            machine = Machine(scene, muxed)
            client = started(machine, tcp_proxy())
            dialed = machine.dialed
            for connection in machine.connections:
                connection.stall()
            machine.network_changed("the network has changed")
            scene.advance(PROBE_TIMEOUT_S - 0.5)
            self.assertEqual(machine.dialed, dialed)
            scene.advance(1.5)
            self.assertGreater(machine.dialed, dialed)
            self.assertEqual((len(scene.sessions), list(scene.ports)), (1, [6000]))
            self.assertTrue(client.running)

    def test_moved(self) -> None:
        """A session whose own address was replaced has less time, unless the server answers even so."""
        for stalled in (True, False):
            scene = Scene()
            machine = Machine(scene)
            started(machine, tcp_proxy())
            dialed = machine.dialed
            for connection in machine.connections:
                if stalled:
                    connection.stall()
            machine.moved = True
            machine.network_changed("the network has changed")
            scene.advance(UNREACHABLE_TIMEOUT_S - 0.5)
            self.assertEqual(machine.dialed, dialed)
            scene.advance(1.5)
            self.assertEqual(machine.dialed > dialed, stalled)
            self.assertEqual((len(scene.sessions), list(scene.ports)), (1, [6000]))

    def test_stopping(self) -> None:
        """A client that stops dials no more."""
        client = started(self.machine)
        stopping = client.stopService()
        self.change_network()
        self.scene.advance(1)
        self.successResultOf(stopping)
        self.assertEqual(self.machine.dialed, 1)


class CutShortTests(SynchronousTestCase):
    """Logins that are given up before they are through, after every turn that one takes."""

    def every_turn(self, muxed: bool, tls: bool) -> Iterator[tuple[Scene, Machine, RelayClient]]:
        """A client after each turn of its login, which is bound where there is TLS, the last one included."""
        for turns in range(100):
            scene = Scene()
            machine = Machine(scene, muxed, tls)
            client = make_client(machine, pool_count=0)
            client.startService()
            for _ in range(turns):
                scene.network.turn()
            connected = client.status().connected
            yield scene, machine, client
            if connected:
                self.assertGreater(turns, 1)
                return
        raise AssertionError("no login within 100 turns")

    def check_nothing_left(self, scene: Scene) -> None:
        """At the server nothing is left but the timers that it has without clients."""
        self.assertEqual((len(scene.sessions), scene.network.connections), (0, []))
        self.assertEqual(scene.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        """A client that is stopped during its login leaves no session, connection or timer."""
        for way in product((True, False), repeat=2):
            for scene, _, client in self.every_turn(*way):
                stopping = client.stopService()
                scene.flush()
                self.successResultOf(stopping)
                self.check_nothing_left(scene)

    def test_network_changed(self) -> None:
        """A login that is begun again on another network leaves nothing of the first one."""
        for way in product((True, False), repeat=2):
            for scene, machine, client in self.every_turn(*way):
                machine.network_changed("the network has changed")
                scene.flush()
                self.assertTrue(client.status().connected)
                self.assertEqual((len(scene.sessions), len(scene.network.connections)), (1, 1))
                self.successResultOf(self._stopped(scene, client))
                self.check_nothing_left(scene)

    def test_succeeds_all_the_same(self) -> None:
        """A login that is given up and succeeds even so leaves no second session."""
        scene = Scene()
        machine = Machine(scene)
        log_in = ClientRun.log_in
        made: list[Session] = []

        def late(run: ClientRun, *, stand_by: bool) -> Deferred[Session]:
            login = log_in(run, stand_by=stand_by)
            if made:
                return login
            login.addCallback(made.append)
            return Deferred(lambda given_up: given_up.callback(made[0]))

        self.patch(ClientRun, "log_in", late)
        client = started(machine)
        self.assertEqual((len(made), client.status().connected), (1, False))
        machine.network_changed("the network has changed")
        scene.flush()
        self.assertTrue(client.status().connected)
        self.assertEqual((len(scene.sessions), len(scene.network.connections)), (1, 1))
        self.successResultOf(self._stopped(scene, client))
        self.check_nothing_left(scene)

    def _stopped(self, scene: Scene, client: RelayClient) -> Deferred[None]:
        stopping = client.stopService()
        scene.flush()
        return stopping


class BrokenPluginTests(SynchronousTestCase):
    """Backends and visitors that cannot start."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machine = Machine(self.scene)

    def start(self, broken: type[Service]) -> RelayClient:
        """A client with a proxy and a visitor of which one cannot start."""

        def start(service: Service) -> None:
            raise ValueError("a defect")

        self.patch(broken, "startService", start)
        client = started(self.machine, stcp_proxy(), stcp_visitor())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertTrue(client.status().connected)
        self.assertEqual((len(self.scene.sessions), len(self.scene.network.connections)), (1, 1))
        return client

    def test_visitor(self) -> None:
        """With a visitor that cannot start the proxies are registered, and there is one session."""
        (proxy,) = self.start(StcpVisitor).status().proxies
        self.assertIs(proxy.state, RegistrationState.RUNNING)

    def test_backend(self) -> None:
        """A proxy whose backend cannot start is not registered, and says why; the visitors start."""
        client = self.start(LocalServiceBackend)
        (proxy,) = client.status().proxies
        self.assertEqual(
            (proxy.state, proxy.reason),
            (RegistrationState.REFUSED, "a defect while it was started: a defect"),
        )
        self.assertEqual(list(self.machine.ports), [7000])


class HalfOpenTests(SynchronousTestCase):
    """A connection that is open at both ends while nothing comes through."""

    def check_replaced(self, muxed: bool, within_s: float) -> None:
        """The client notices, and has everything published again, within this time."""
        scene = Scene(heartbeat=Heartbeat(timeout_s=None if muxed else 90.0))
        machine = Machine(scene, muxed)
        started(machine, tcp_proxy())
        scene.advance(3600)
        dialed = machine.dialed
        for connection in machine.connections:
            connection.stall()
        scene.advance(within_s)
        self.assertGreater(machine.dialed, dialed)
        self.assertEqual((len(scene.sessions), list(scene.ports)), (1, [6000]))

    def test_muxed(self) -> None:
        """With mux it is replaced within two intervals between pings."""
        self.check_replaced(True, 2 * 30.0)

    def test_direct(self) -> None:
        """Without mux it is replaced within two intervals between heartbeats, and a moment."""
        self.check_replaced(False, 2 * 30.0 + 1.0)


class FlowTests(SynchronousTestCase):
    """Users and visitors."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machine = Machine(self.scene)

    def test_local_service_is_down(self) -> None:
        """When the local service refuses, the user is let go; the log says which, why, for whom."""
        client = started(self.machine, tcp_proxy(local="unix:/run/app.sock"))
        with capturedLogs() as logged:
            user, received = self.scene.dial(6000)
        self.assertTrue(received.ended or received.lost)
        (line,) = [each for each in lines(logged) if "connect to local service" in each]
        self.assertEqual(
            line,
            f"[{client.identity.run_id}] [web] connect to local service [unix:/run/app.sock] error: "
            f"cannot connect to unix:/run/app.sock: connection refused (for {user.host})",
        )

    def test_visit(self) -> None:
        """A local user of a visitor reaches the secret proxy of another client."""
        for framing in ("v1", "v2"):
            self.setUp()
            started(self.machine, stcp_proxy(), wire_protocol=framing)
            visiting = Machine(self.scene)
            started(visiting, stcp_visitor(), wire_protocol=framing)
            user, received = visiting.user(7000)
            user.write(b"select")
            self.scene.flush()
            service = RecordingReceiver(self.machine.services[SERVICE][0])
            self.machine.services[SERVICE][0].write(b"rows")
            self.scene.flush()
            self.assertEqual((service.data, received.data), (b"select", b"rows"))

    def test_user_prefixes(self) -> None:
        """Names carry the user; a visitor finds its own user's proxy, or another's by serverUser."""
        started(self.machine, stcp_proxy(), user="alice")
        own, other = Machine(self.scene), Machine(self.scene)
        started(own, stcp_visitor(), user="alice")
        started(other, stcp_visitor(server_user="alice"), user="bob")
        own.user(7000)
        self.assertEqual(len(self.machine.services[SERVICE]), 1)
        _, refused = other.user(7000)
        self.assertTrue(refused.ended or refused.lost)
        self.assertEqual(len(self.machine.services[SERVICE]), 1)

    def test_refused_visit(self) -> None:
        """A user whose visit is refused is let go, and the log has the server's words."""
        started(self.machine, stcp_proxy())
        visiting = Machine(self.scene)
        started(visiting, stcp_visitor(key="wrong"))
        with capturedLogs() as logged:
            _, received = visiting.user(7000)
        self.assertTrue(received.ended or received.lost)
        self.assertTrue(any("visitor connection of [db] auth failed" in line for line in lines(logged)))

    def test_visit_without_session(self) -> None:
        """While there is no session a visitor's users are let go at once."""
        started(self.machine, stcp_visitor())
        self.machine.reachable = False
        self.machine.connections[0].cut()
        self.scene.flush()
        _, received = self.machine.user(7000)
        self.assertTrue(received.ended or received.lost)

    def test_visitors_follow_sessions(self) -> None:
        """Visitors are told when a session begins and when it has ended, every time."""
        told: list[str] = []
        for what in ("session_started", "session_ended"):
            self.patch(Visitors, what, lambda visitors, what=what: told.append(what))
        started(self.machine, stcp_visitor())
        self.machine.connections[0].cut()
        self.scene.advance(2)
        self.assertEqual(told, ["session_started", "session_ended", "session_started"])

    def test_visitor_port_is_taken(self) -> None:
        """A visitor whose port is taken is tried again until it is free."""
        self.machine.taken.add(7000)
        started(self.machine, stcp_visitor())
        self.assertEqual(self.machine.ports, {})
        self.machine.taken.clear()
        self.scene.advance(11)
        self.assertIn(7000, self.machine.ports)

    def test_visitor_without_port(self) -> None:
        """A visitor whose port is negative listens nowhere."""
        started(self.machine, stcp_visitor(bind_port=-1))
        self.assertEqual(self.machine.ports, {})


class UpdateTests(SynchronousTestCase):
    """Proxies and visitors that change while the client runs, or does not."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machine = Machine(self.scene)
        self.machine.services["tcp:127.0.0.1:81"] = []

    def names(self, client: RelayClient) -> tuple[list[str], list[str]]:
        """What a client registers and visits."""
        status = client.status()
        return [each.name for each in status.proxies], [each.name for each in status.visitors]

    def test_changed(self) -> None:
        """New users of a proxy that changed get what it is now; who is served already stays there."""
        client = started(self.machine, tcp_proxy())
        _, received = self.scene.dial(6000)
        with capturedLogs() as logged:
            client.update([tcp_proxy(local="tcp:127.0.0.1:81")], [])
            self.scene.flush()
        run = client.identity.run_id
        for line in (f"[{run}] proxy removed: [web]", f"[{run}] proxy added: [web]"):
            self.assertIn(line, lines(logged))
        self.scene.dial(6000)
        self.assertEqual(len(self.machine.services["tcp:127.0.0.1:81"]), 1)
        self.machine.services[SERVICE][0].write(b"still there")
        self.scene.flush()
        self.assertEqual(received.data, b"still there")
        self.assertEqual(self.machine.dialed, 1)

    def test_removed(self) -> None:
        """A proxy and a visitor that are gone let no user in; those that are served already stay."""
        started(Machine(self.scene), stcp_proxy())
        client = started(self.machine, tcp_proxy(), stcp_visitor())
        _, received = self.machine.user(7000)
        client.update([], [])
        self.scene.flush()
        self.assertEqual((self.scene.ports, self.machine.ports, self.names(client)), ({}, {}, ([], [])))
        self.assertFalse(received.ended or received.lost)

    def test_added(self) -> None:
        """What is added is registered and opened at once; what was there keeps its port and its session."""
        client = started(self.machine, stcp_proxy(), stcp_visitor())
        port = self.machine.ports[7000]
        with capturedLogs() as logged:
            client.update([stcp_proxy(), tcp_proxy()], [stcp_visitor(), stcp_visitor("w", bind_port=7001)])
            self.scene.flush()
        self.assertEqual(self.names(client), (["db", "web"], ["v", "w"]))
        self.assertIn(6000, self.scene.ports)
        self.assertEqual((sorted(self.machine.ports), self.machine.ports[7000]), ([7000, 7001], port))
        run = client.identity.run_id
        said = [line for line in lines(logged) if "added" in line or "removed" in line]
        self.assertEqual(said, [f"[{run}] visitor added: [w]", f"[{run}] proxy added: [web]"])

    def test_changed_port(self) -> None:
        """A visitor that changed has its port opened anew, the same one or another."""
        client = started(self.machine, stcp_visitor())
        client.update([], [stcp_visitor(key="another")])
        self.assertEqual(list(self.machine.ports), [7000])
        client.update([], [stcp_visitor(bind_port=7001)])
        self.assertEqual(list(self.machine.ports), [7001])

    def test_refused(self) -> None:
        """With an entry that cannot be used nothing changes, whether the client runs or not."""
        visitor = stcp_visitor("w")
        wrong = ConfiguredVisitor(visitor.common, visitor.options, "tcp")
        for running in (False, True):
            client = make_client(self.machine, tcp_proxy())
            if running:
                client.startService()
                self.scene.flush()
            error = self.assertRaises(BrokenProxyType, client.update, [tcp_proxy("other")], [wrong])
            self.assertEqual(str(error), 'visitor "w": proxy type "tcp" has no visitors')
            if not running:
                client.startService()
                self.scene.flush()
            self.assertEqual(self.names(client), (["web"], []))

    def test_refused_at_the_start(self) -> None:
        """A client with an entry that cannot be used does not start, and can be mended."""
        proxy = tcp_proxy()
        client = make_client(self.machine, ConfiguredProxy(proxy.common, proxy.options, "nosuch"))
        error = self.assertRaises(UnknownProxyType, client.startService)
        self.assertIn('proxy "web": no proxy type "nosuch"', str(error))
        self.assertEqual((client.running, self.machine.dialed), (0, 0))
        client.update([proxy], [])
        client.startService()
        self.scene.flush()
        self.assertIn(6000, self.scene.ports)

    def test_in_every_state(self) -> None:
        """Whatever the client does when it is told, it has what it was told as soon as it is connected."""

        def reached(state: LifeState, machine: Machine) -> RelayClient:
            client = make_client(machine, tcp_proxy("old"), login_fail_exit=state is LifeState.GAVE_UP)
            machine.answered = state is not LifeState.CONNECTING
            machine.reachable = state not in (LifeState.WAITING, LifeState.GAVE_UP)
            if state is not LifeState.STOPPED:
                client.startService()
                machine.scene.flush()
            if state in (LifeState.STANDING_BY, LifeState.ASKING):
                assert client._run is not None and client._run.session is not None
                client._run.session.close(Ended.REPLACED)
                machine.scene.flush()
            if state is LifeState.ASKING:
                machine.answered = False
                machine.network_changed("the network has changed")
            if state is LifeState.RENEWING:
                machine.answered = False
                client.reload(changed(client, client_id="another"), TOKEN)
            if state in (LifeState.DRAINING, LifeState.CLOSING, LifeState.ABORTING):
                machine.scene.dial(6000)
                for connection in machine.connections:
                    connection.stall()
                client.stopService()
                machine.scene.advance(1 if state is LifeState.DRAINING else DRAIN_S)
            if state is LifeState.ABORTING:
                # What is dropped is gone before anybody could look.
                client._life.wake(machine.scene.clock.seconds() + CLOSE_S)
            self.assertIs(client._life.state, state)
            return client

        for state in LifeState:
            machine = Machine(Scene(), muxed=False)
            client = reached(state, machine)
            client.update([tcp_proxy("new")], [stcp_visitor()])
            machine.answered = machine.reachable = True
            if state in (*_ENDING, LifeState.GAVE_UP):
                stopping = client.stopService()
                machine.scene.advance(DRAIN_S + CLOSE_S)
                self.successResultOf(stopping)
                client.startService()
            machine.network_changed("the network has changed")
            # The server lets go of a session that is dead within seconds.
            machine.scene.advance(40)
            self.assertEqual(self.names(client), (["new"], ["v"]))
            self.assertIs(client.status().proxies[0].state, RegistrationState.RUNNING)
            self.assertEqual(list(machine.ports), [7000])

    def test_flows(self) -> None:
        """The users of all proxies and visitors are listed, counted, and can be ended one by one."""
        client = started(self.machine, stcp_proxy(), stcp_visitor())
        _, first = self.machine.user(7000)
        self.machine.user(7000)
        for service in self.machine.services[SERVICE]:
            RecordingReceiver(service)
        self.assertEqual(sorted(name for name, _, _ in client.flows()), ["db", "db", "v", "v"])
        status = client.status()
        self.assertEqual((status.proxies[0].users, status.visitors[0].users), (2, 2))
        flow = next(flow for name, flow, _ in client.flows() if name == "v")
        flow.end(Ended.STOPPED)
        self.scene.advance(3)
        self.assertTrue(first.lost)
        self.assertEqual(sorted(name for name, _, _ in client.flows()), ["db", "v"])
        client.update([], [])
        self.assertEqual(sorted(name for name, _, _ in client.flows()), ["db", "v"])
        for _, flow, _ in client.flows():
            flow.end(Ended.STOPPED)
        self.scene.advance(3)
        self.assertEqual(list(client.flows()), [])


def changed(
    client: RelayClient, *configured: ConfiguredProxy | ConfiguredVisitor, **keys: Any
) -> LoadedClient:
    """What a client's file may say another time."""
    return LoadedClient(
        msgspec.structs.replace(client._config, **keys),
        tuple(each for each in configured if isinstance(each, ConfiguredProxy)),
        tuple(each for each in configured if isinstance(each, ConfiguredVisitor)),
        (),
    )


class ReloadTests(SynchronousTestCase):
    """A configuration that is read again while the client runs."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.other = Scene(beside=self.scene, token=Secret("other"))
        self.machine = Machine(self.scene)
        self.machine.others["other.example"] = self.other

    def reload(
        self,
        client: RelayClient,
        *configured: ConfiguredProxy | ConfiguredVisitor,
        token: Secret = TOKEN,
        **keys: Any,
    ) -> Deferred[Any]:
        """Has a client go on with these entries and keys."""
        reloaded = client.reload(changed(client, *configured, **keys), token)
        self.scene.advance(5)
        return reloaded

    def test_entries(self) -> None:
        """Where entries alone are different the session stays, and what is unchanged keeps its users."""
        client = started(self.machine, tcp_proxy(), tcp_proxy("gone", 6001))
        run_id = client.identity.run_id
        _, received = self.scene.dial(6000)
        found = self.successResultOf(self.reload(client, tcp_proxy(), tcp_proxy("new", 6002), start=("a",)))
        self.assertEqual(found.keys[Effect.AT_ONCE], ("start",))
        self.assertEqual(sorted(self.scene.ports), [6000, 6002])
        self.assertEqual((self.machine.dialed, client.identity.run_id), (1, run_id))
        self.machine.services[SERVICE][0].write(b"still there")
        self.scene.flush()
        self.assertEqual(received.data, b"still there")

    def test_another_login(self) -> None:
        """Another login is a new session, at the same server or another; users stay, and new ones come."""
        for muxed, server, token in product((True, False), ("relay.example", "other.example"), (0, 1)):
            self.setUp()
            self.machine.muxed = muxed
            there = self.scene if server == "relay.example" else self.other
            if token != (there is self.other):
                continue
            client = started(self.machine, tcp_proxy())
            user, received = self.scene.dial(6000)
            with capturedLogs() as logged:
                found = self.successResultOf(
                    self.reload(
                        client,
                        tcp_proxy(),
                        token=Secret("other") if token else TOKEN,
                        server_addr=server,
                        metadatas={"a": "b"},
                    )
                )
            self.assertIn("metadatas", found.keys[Effect.AT_LOGIN])
            self.assertTrue(client.status().connected)
            self.assertNotIn("another client", "".join(lines(logged)))
            self.assertEqual(list(there.ports), [6000])
            self.assertEqual(len(self.scene.sessions) + len(self.other.sessions), 1)
            self.machine.services[SERVICE][0].write(b"still there")
            self.scene.flush()
            self.assertEqual(received.data, b"still there")
            there.dial(6000)
            self.assertEqual(len(self.machine.services[SERVICE]), 2)
            if muxed:
                self.assertFalse(self.machine.connections[0].settled)
            self.machine.services[SERVICE][0].close()
            user.close()
            self.scene.advance(5)
            self.assertTrue(self.machine.connections[0].settled)
            stopped = client.stopService()
            self.scene.advance(60)
            self.successResultOf(stopped)

    def test_login_that_fails(self) -> None:
        """Where the new login fails nothing is changed: session, entries, and what the next login is."""
        for keys, token, error in (
            ({"server_addr": "other.example"}, TOKEN, LoginRefusedError),
            ({"client_id": "x"}, Secret("wrong"), LoginRefusedError),
            ({}, Secret("wrong"), LoginRefusedError),
        ):
            client = started(self.machine, tcp_proxy(), user="u")
            _, received = self.scene.dial(6000)
            run_id = client.identity.run_id
            self.failureResultOf(self.reload(client, tcp_proxy("new", 6001), token=token, **keys), error)
            self.assertEqual((client.identity.run_id, list(self.scene.ports)), (run_id, [6000]))
            self.assertFalse(received.lost)
            found = self.successResultOf(self.reload(client, tcp_proxy(), log=LogConfig(level="debug")))
            self.assertEqual(found.keys[Effect.AT_ONCE], ("log.level",))
            client.stopService()
            self.scene.advance(60)

    def test_unreachable(self) -> None:
        """A server that cannot be reached, or a client that is stopped meanwhile, is told as well."""
        client = started(self.machine, tcp_proxy())
        self.machine.reachable = False
        self.failureResultOf(self.reload(client, server_addr="other.example"), ConnectionFailed)
        self.machine.reachable, self.machine.answered = True, False
        reloaded = self.reload(client, server_addr="other.example")
        self.assertNoResult(reloaded)
        client.stopService()
        self.scene.advance(20)
        self.failureResultOf(reloaded, SessionLost)

    def test_session_lost_meanwhile(self) -> None:
        """Where the session ends while the next login is under way, that login goes on and counts."""
        client = started(self.machine, tcp_proxy())
        self.machine.answered = False
        reloaded = self.reload(client, tcp_proxy(), client_id="x")
        self.machine.connections[0].cut()
        self.scene.advance(1)
        self.assertNoResult(reloaded)
        self.machine.answered = True
        self.machine.network_changed("the network has changed")
        self.scene.advance(5)
        self.failureResultOf(reloaded, SessionLost)
        self.assertEqual((list(self.scene.ports), client.identity.client_id), ([6000], ""))

    def test_without_session(self) -> None:
        """While there is none, or before the start, the next login is the new one."""
        for is_started in (True, False):
            self.setUp()
            client = make_client(self.machine, tcp_proxy())
            self.machine.reachable = False
            if is_started:
                client.startService()
                self.scene.flush()
            self.machine.reachable = not is_started
            self.successResultOf(
                self.reload(client, tcp_proxy("new"), token=Secret("other"), server_addr="other.example")
            )
            self.machine.reachable = True
            if not is_started:
                client.startService()
            self.scene.advance(30)
            self.assertEqual((list(self.other.ports), list(self.scene.ports)), ([6000], []))

    def test_needs_restart(self) -> None:
        """What cannot be changed is named, and is as it was."""
        client = started(self.machine, tcp_proxy())
        found = self.successResultOf(self.reload(client, tcp_proxy(), user="me", client_id="x"))
        self.assertEqual(found.keys[Effect.AFTER_RESTART], ("user",))
        self.assertEqual((client.identity.user, client.identity.client_id), ("", "x"))

    def test_wrong_entry(self) -> None:
        """An entry that cannot be used changes nothing, and nobody logs in for it."""
        client = started(self.machine, tcp_proxy())
        wrong = ConfiguredProxy(tcp_proxy("a").common, tcp_proxy("a").options, "nosuch")
        more: list[dict[str, Any]] = [{}, {"client_id": "x"}]
        for keys in more:
            self.failureResultOf(self.reload(client, wrong, **keys), UnknownProxyType)
        self.assertEqual((self.machine.dialed, list(self.scene.ports)), (1, [6000]))

    def test_again_and_again(self) -> None:
        """Of sessions that were given up and still have users, the oldest loses them when there are many."""
        client = started(self.machine, tcp_proxy())
        users = []
        for number in range(MOST_OUTLIVED + 1):
            users.append(self.scene.dial(6000)[1])
            self.successResultOf(self.reload(client, tcp_proxy(), client_id=f"c{number}"))
        self.assertEqual([each.lost for each in users], [Ended.RESET, *[None] * MOST_OUTLIVED])


class StopTests(SynchronousTestCase):
    """How the client ends."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machine = Machine(self.scene)

    def test_idle(self) -> None:
        """A client without flows stops at once, takes its proxies back and leaves no timers."""
        client = started(self.machine, tcp_proxy(), stcp_visitor())
        stopping = client.stopService()
        self.scene.flush()
        self.successResultOf(stopping)
        self.scene.flush()
        self.assertEqual((self.scene.ports, self.machine.ports), ({}, {}))
        self.assertEqual(len(self.scene.sessions), 0)
        self.assertEqual([each for each in self.scene.clock.getDelayedCalls() if each.active()], [])

    def test_flow_goes_on(self) -> None:
        """A flow that runs when the client is stopped may end first; new users are not let in."""
        client = started(self.machine, tcp_proxy())
        user, received = self.scene.dial(6000)
        stopping = client.stopService()
        self.scene.flush()
        self.assertNoResult(stopping)
        self.assertEqual(self.scene.ports, {})
        service = self.machine.services[SERVICE][0]
        service.write(b"last words")
        self.scene.flush()
        self.assertEqual(received.data, b"last words")
        user.close()
        service.close()
        self.scene.flush()
        self.successResultOf(stopping)

    def test_flow_is_cut(self) -> None:
        """A flow that does not end is cut after the drain time."""
        client = started(self.machine, tcp_proxy())
        _, received = self.scene.dial(6000)
        stopping = client.stopService()
        self.scene.advance(DRAIN_S - 1)
        self.assertNoResult(stopping)
        self.scene.advance(2)
        self.successResultOf(stopping)
        self.scene.flush()
        self.assertTrue(received.ended or received.lost)

    def test_flow_is_cut_without_mux(self) -> None:
        """Likewise where each flow has a connection of its own; once the client has stopped none is left."""
        machine = Machine(self.scene, muxed=False)
        client = started(machine, tcp_proxy())
        _, received = self.scene.dial(6000)
        stopping = client.stopService()
        self.scene.advance(DRAIN_S + 1)
        self.successResultOf(stopping)
        self.assertEqual(client.status().flows.present, 0)
        self.assertTrue(received.ended or received.lost)
        self.assertEqual(len(self.scene.network.connections), 0)

    def test_dead_network(self) -> None:
        """A client whose server does not take the end of its session drops it after a few seconds."""
        for muxed in (True, False):
            machine = Machine(Scene(), muxed)
            client = started(machine, tcp_proxy())
            machine.scene.dial(6000)
            for connection in machine.connections:
                connection.stall()
            stopping = client.stopService()
            machine.scene.advance(DRAIN_S + CLOSE_S + 1)
            self.successResultOf(stopping)

    def test_defect(self) -> None:
        """A defect keeps a client neither from coming to its end, nor from being started again."""
        client = started(self.machine, tcp_proxy())
        with contextlib.ExitStack() as broken:
            self.break_when_idle(broken, lambda: fail(ValueError("a defect")))
            stopping = client.stopService()
            self.scene.advance(DRAIN_S + CLOSE_S + ABORT_S)
        self.successResultOf(stopping)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        client.startService()
        self.scene.flush()
        self.assertIn(6000, self.scene.ports)

    def test_end_that_comes_late(self) -> None:
        """What comes to its end only after the client was started again says nothing of what runs then."""
        client = started(self.machine, tcp_proxy())
        late: Deferred[None] = Deferred()
        with contextlib.ExitStack() as broken:
            self.break_when_idle(broken, lambda: late)
            client.stopService()
            self.scene.advance(DRAIN_S + CLOSE_S + ABORT_S)
        client.startService()
        self.scene.flush()
        self.scene.dial(6000)
        stopping = client.stopService()
        late.callback(None)
        self.scene.flush()
        self.assertNoResult(stopping)
        self.scene.advance(DRAIN_S)
        self.successResultOf(stopping)

    def break_when_idle(self, until: contextlib.ExitStack, idle: Callable[[], Deferred[None]]) -> None:
        """Lets the client wait for this in place of the end of its flows."""
        until.callback(self.patch(DataPlane, "when_idle", lambda plane: idle()).restore)

    def test_what_takes_longer(self) -> None:
        """What a backend or a visitor still has to end, such as a direct path, is waited for for a while."""
        for ends in (True, False):
            ended: Deferred[None] = Deferred()
            service = Service()
            service.stopService = lambda ended=ended: ended  # type: ignore[method-assign, misc]
            client = started(self.machine, tcp_proxy())
            service.setServiceParent(client)
            self.scene.dial(6000)
            stopping = client.stopService()
            self.scene.advance(DRAIN_S + CLOSE_S / 2)
            self.assertNoResult(stopping)
            if ends:
                ended.callback(None)
            self.scene.advance(0 if ends else CLOSE_S + ABORT_S)
            self.successResultOf(stopping)
            service.disownServiceParent()

    def test_before_the_first_login(self) -> None:
        """Who waits for the first login is told that it will not come; later ones wait for the next start."""
        self.machine.reachable = False
        client = started(self.machine)
        waiting = client.when_first_login()
        self.successResultOf(client.stopService())
        self.failureResultOf(waiting, SessionLost)
        waiting = client.when_first_login()
        self.machine.reachable = True
        client.startService()
        self.scene.flush()
        self.successResultOf(waiting)

    def test_twice(self) -> None:
        """Stopping what stops, or does not run, is no mistake."""
        client = make_client(self.machine)
        self.successResultOf(client.stopService())
        client.startService()
        self.scene.flush()
        first, second = client.stopService(), client.stopService()
        self.scene.flush()
        self.successResultOf(first)
        self.successResultOf(second)
        self.successResultOf(client.stopService())

    def test_started_while_stopping(self) -> None:
        """A client that is still stopping cannot be started yet."""
        client = started(self.machine, tcp_proxy())
        self.scene.dial(6000)
        client.stopService()
        self.assertRaises(LocalProtocolError, client.startService)

    def test_while_unreachable(self) -> None:
        """A client that waits to dial again can be stopped."""
        self.machine.reachable = False
        client = started(self.machine)
        self.successResultOf(client.stopService())
        self.scene.advance(30)
        self.assertEqual(self.machine.dialed, 1)

    def test_again(self) -> None:
        """A client that was stopped can be started again."""
        client = started(self.machine, tcp_proxy())
        stopping = client.stopService()
        self.scene.flush()
        self.successResultOf(stopping)
        client.startService()
        self.scene.flush()
        self.assertIn(6000, self.scene.ports)
