"""Tests of the proxies of a client."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from relaykit.client.registrar import ProxyRegistrar, wire_name
from relaykit.client.status import Health, HealthState, ProxyStatus, RegistrationState
from relaykit.config.load import ConfiguredProxy
from relaykit.errors import (
    BrokenProxyType,
    ConnectionFailed,
    PluginError,
    ProxyRefusedError,
    RefusalCode,
    UnknownProxyType,
)
from relaykit.interfaces import IRegistrant
from relaykit.options import HealthCheck, ProxyTransport
from relaykit.proxies.tcp import LocalServiceBackend, TcpOptions
from relaykit.sansio.wire.framing import MessageTooLong
from relaykit.values import Address
from tests.client.scene import no_messages, tcp_proxy
from tests.server.scene import TYPES

RUNNING = RegistrationState.RUNNING


class Session:
    """Notes what it is asked for."""

    run_id = "run"
    peer = Address("192.0.2.1", 7000)

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.too_long: list[str] = []
        self.fields: Mapping[str, Any] = {}

    def register(self, name: str, type_name: str, fields: Mapping[str, Any]) -> None:
        if name in self.too_long:
            raise MessageTooLong("too long")
        self.asked.append(("register", name, type_name))
        self.fields = fields

    def withdraw(self, name: str) -> None:
        self.asked.append(("withdraw", name))


class ProxyRegistrarTests(SynchronousTestCase):
    """Registrations, again and again."""

    def setUp(self) -> None:
        self.clock = Clock()
        client: Any = SimpleNamespace(clock=self.clock, messages=no_messages())
        self.proxies = ProxyRegistrar(client, TYPES, "alice", lambda: "relay.example")
        self.update(tcp_proxy(transport=ProxyTransport(use_encryption=True)))
        self.proxies.startService()
        self.session = Session()

    def update(self, *configured: ConfiguredProxy) -> tuple[list[str], list[str]]:
        """These are to be registered, and no others."""
        return self.proxies.update(self.proxies.planned(configured))

    def start(self) -> None:
        """A session starts."""
        session: Any = self.session
        self.proxies.session_started(session)

    def test_names(self) -> None:
        """On the server a name has its user in front."""
        self.assertEqual((wire_name("", "web"), wire_name("alice", "web")), ("web", "alice.web"))
        self.assertEqual(self.proxies.names, ["web"])

    def test_registered(self) -> None:
        """With the session everything is registered, with what travels of its options."""
        self.start()
        self.assertEqual(self.session.asked, [("register", "alice.web", "tcp")])
        self.assertEqual(self.session.fields, {"remote_port": 6000, "use_encryption": True})

    def test_told_otherwise(self) -> None:
        """A backend may have the server told of other options than those of the file, each time anew."""
        backend: Any = self.proxies.find("alice.web")
        assert backend is not None
        directlyProvides(backend[0], IRegistrant)
        ports = iter((7000, 8000))
        backend[0].registered_options = lambda: TcpOptions(remote_port=next(ports))
        for expected in (7000, 8000):
            self.start()
            self.assertEqual(self.session.fields["remote_port"], expected)
            self.proxies.session_ended()

    def test_not_told(self) -> None:
        """A server that a backend does not want told counts as one that refuses."""
        backend: Any = self.proxies.find("alice.web")
        directlyProvides(backend[0], IRegistrant)

        def refuse() -> None:
            raise ProxyRefusedError(RefusalCode.OTHER, "not to this server")

        backend[0].registered_options = refuse
        with capturedLogs() as logged:
            self.start()
        self.assertEqual(self.session.asked, [])
        self.assertIn("[web] start error: not to this server", formatEvent(logged[-1]))
        self.assertEqual(self.proxies.status()[0].state, RegistrationState.REFUSED)

    def test_found_while_it_runs(self) -> None:
        """A proxy is found by the server's name for it, between its registration and the session's end."""
        self.start()
        self.assertIsNone(self.proxies.exposed("alice.web"))
        self.proxies.accepted("alice.web", ":6000")
        found = self.proxies.exposed("alice.web")
        assert found is not None
        self.assertIsInstance(found.backend, LocalServiceBackend)
        self.assertIsNone(self.proxies.exposed("web"))
        self.proxies.session_ended()
        self.assertIsNone(self.proxies.exposed("alice.web"))
        self.assertEqual(self.proxies.find("alice.web"), (found.backend, found.host))

    def test_retried(self) -> None:
        """A refused proxy is asked for again after a while, one without answer too."""
        self.start()
        with capturedLogs() as logged:
            self.proxies.refused("alice.web", "port already used")
        self.assertEqual(logged[-1]["by_server"], "192.0.2.1")
        self.clock.advance(29)
        self.assertEqual(len(self.session.asked), 1)
        self.clock.advance(2)
        self.assertEqual(len(self.session.asked), 2)
        self.clock.advance(21)
        self.assertEqual(len(self.session.asked), 3)

    def test_next_try(self) -> None:
        """It is known when a refused proxy is asked for again, and of no other."""
        self.start()
        (asked,) = self.proxies.status()
        self.proxies.refused("alice.web", "port already used")
        (refused,) = self.proxies.status()
        self.assertEqual((asked.next_try, refused.next_try), (None, 30.0))

    def test_when_registered(self) -> None:
        """Whoever waits for all proxies is told once each is open, or of the first that is refused."""
        self.update(tcp_proxy("a"), tcp_proxy("b"))
        waiting = self.proxies.when_registered()
        self.start()
        self.proxies.accepted("alice.a", ":6000")
        self.assertNoResult(waiting)
        self.proxies.accepted("alice.b", ":6001")
        self.successResultOf(waiting)
        self.successResultOf(self.proxies.when_registered())
        self.proxies.session_ended()
        again = self.proxies.when_registered()
        self.start()
        self.proxies.refused("alice.b", "port not allowed")
        refused = self.failureResultOf(again, ProxyRefusedError).value
        self.assertEqual(
            (str(refused), refused.problem), ("[b] start error: port not allowed", "port-not-allowed")
        )

    def test_too_long(self) -> None:
        """One that does not fit into a message counts as refused, and keeps no other from being asked for."""
        self.update(tcp_proxy("a"), tcp_proxy("b"))
        self.session.too_long = ["alice.a"]
        with capturedLogs() as logged:
            self.start()
        self.assertEqual(self.session.asked, [("register", "alice.b", "tcp")])
        self.assertIn("[a] start error: it does not fit into a message: too long", formatEvent(logged[-1]))
        self.assertEqual(self.proxies.status()[0].state, RegistrationState.REFUSED)

    def test_not_after_the_session(self) -> None:
        """Without a session nothing is asked and no timer is left."""
        self.start()
        self.proxies.session_ended()
        self.clock.advance(100)
        self.assertEqual(len(self.session.asked), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_withdrawn(self) -> None:
        """Taking everything back tells the server and is final."""
        self.start()
        self.proxies.accepted("alice.web", ":6000")
        self.proxies.withdraw_all()
        self.assertEqual(self.session.asked[-1], ("withdraw", "alice.web"))
        self.assertIsNone(self.proxies.exposed("alice.web"))


class UpdateTests(ProxyRegistrarTests):
    """Changes while there is a session: all of the above holds after one, too."""

    def setUp(self) -> None:
        super().setUp()
        self.update()
        self.update(tcp_proxy(transport=ProxyTransport(use_encryption=True)))

    def running(self, *configured: ConfiguredProxy) -> None:
        """These run."""
        self.update(*configured)
        self.start()
        for each in configured:
            self.proxies.accepted(f"alice.{each.common.name}", ":6000")
        self.session.asked.clear()

    def test_unchanged(self) -> None:
        """What stays the same keeps its registration, its backend and its flows."""
        self.running(tcp_proxy("a"), tcp_proxy("b"))
        before = self.proxies.find("alice.a")
        self.assertEqual(self.update(tcp_proxy("b"), tcp_proxy("a")), ([], []))
        self.assertEqual((self.session.asked, self.proxies.find("alice.a")), ([], before))
        self.assertEqual([each.name for each in self.proxies.status()], ["b", "a"])

    def test_changed(self) -> None:
        """What changed is withdrawn and registered again, with a backend of its own; so is what is new."""
        self.running(tcp_proxy("a"), tcp_proxy("b"))
        before = self.proxies.find("alice.a")
        assert before is not None
        changed = tcp_proxy("a", local="unix:/run/other.sock")
        self.assertEqual(self.update(changed, tcp_proxy("c")), (["a", "b"], ["a", "c"]))
        self.assertEqual(
            self.session.asked,
            [
                ("withdraw", "alice.a"),
                ("withdraw", "alice.b"),
                ("register", "alice.a", "tcp"),
                ("register", "alice.c", "tcp"),
            ],
        )
        after = self.proxies.find("alice.a")
        assert after is not None
        self.assertEqual((before[0].running, after[0].running), (0, 1))
        self.assertIsNone(self.proxies.find("alice.b"))
        self.proxies.accepted("alice.a", ":6000")
        self.assertIsNotNone(self.proxies.exposed("alice.a"))

    def test_refused(self) -> None:
        """What was refused and has changed is asked for at once, and the old reason is gone."""
        self.start()
        self.proxies.refused("alice.web", "port not allowed")
        self.assertEqual(self.proxies.status()[0].reason, "port not allowed")
        self.update(tcp_proxy(port=6001))
        self.assertEqual(self.session.asked[-1], ("register", "alice.web", "tcp"))
        self.assertEqual(self.proxies.status()[0].reason, "")

    def test_old_answer(self) -> None:
        """The answer to a registration that was taken back meanwhile counts for nothing."""
        self.start()
        self.update(tcp_proxy(local="unix:/run/other.sock"))
        self.proxies.accepted("alice.web", ":6000")
        self.assertIsNone(self.proxies.exposed("alice.web"))
        self.proxies.accepted("alice.web", ":6000")
        self.assertIsNotNone(self.proxies.exposed("alice.web"))

    def test_cannot_be_made(self) -> None:
        """A configuration with an entry that cannot be used changes nothing."""
        self.running(tcp_proxy("a"))
        good, other = tcp_proxy("b"), tcp_proxy("c")
        unknown = ConfiguredProxy(other.common, other.options, "nosuch")
        error: Exception = self.assertRaises(UnknownProxyType, self.update, good, unknown)
        self.assertTrue(str(error).startswith('proxy "c": no proxy type "nosuch" is installed'))
        error = self.assertRaises(PluginError, self.update, good, good)
        self.assertEqual(str(error), '"alice.b" is there twice')

        def broken(self: object, options: object, host: object) -> None:
            raise ValueError("a defect")

        self.patch(type(TYPES.get("tcp")), "make_backend", broken)
        error = self.assertRaises(BrokenProxyType, self.update, good)
        self.assertEqual(str(error), 'proxy "b": its backend cannot be made: a defect')
        self.assertEqual((self.proxies.names, self.session.asked), (["a"], []))

    def test_between_sessions(self) -> None:
        """What changes while there is no session is what the next one registers."""
        self.update(tcp_proxy("other"))
        self.start()
        self.assertEqual(self.session.asked, [("register", "alice.other", "tcp")])


class Server(Session):
    """A server that does what it is asked for, and answers later."""

    def __init__(self) -> None:
        super().__init__()
        self.registered: dict[str, int] = {}
        self.answers: list[tuple[str, bool]] = []

    def register(self, name: str, type_name: str, fields: Mapping[str, Any]) -> None:
        free = name not in self.registered
        if free:
            self.registered[name] = fields["remote_port"]
        self.answers.append((name, free))

    def withdraw(self, name: str) -> None:
        self.registered.pop(name, None)


class HealthTests(SynchronousTestCase):
    """Proxies whose local services are checked."""

    def setUp(self) -> None:
        """Makes a client with one of them, before its first session."""
        self.clock = Clock()
        self.dialing: list[Deferred[Any]] = []
        client: Any = SimpleNamespace(clock=self.clock, dial=self.dial, messages=no_messages())
        self.proxies = ProxyRegistrar(client, TYPES, "alice", lambda: "relay.example")
        self.update(self.checked())
        self.session = Session()

    def dial(self, endpoint: str) -> Deferred[Any]:
        """Connects to the local service, once the test says so."""
        self.dialing.append(Deferred())
        return self.dialing[-1]

    def checked(self, max_failed: int = 1) -> ConfiguredProxy:
        """A proxy whose local service is checked."""
        return tcp_proxy(health_check=HealthCheck(type="tcp", max_failed=max_failed))

    def update(self, *configured: ConfiguredProxy) -> None:
        """These are to be registered, and no others."""
        self.proxies.update(self.proxies.planned(configured))

    def start(self) -> None:
        """The client and a session start."""
        self.proxies.startService()
        session: Any = self.session
        self.proxies.session_started(session)

    def end_check(self, reason: str = "") -> None:
        """The check that runs ends: well, or for a reason."""
        leg: Any = SimpleNamespace(close=lambda: None)
        self.dialing[-1].errback(ConnectionFailed(reason)) if reason else self.dialing[-1].callback(leg)

    def run_proxy(self) -> None:
        """The proxy is registered and runs."""
        self.start()
        self.end_check()
        self.proxies.accepted("alice.web", ":6000")
        self.session.asked.clear()

    def status(self) -> ProxyStatus:
        """How it stands."""
        (status,) = self.proxies.status()
        return status

    def test_first_check(self) -> None:
        """A proxy is not registered before its local service has passed a check, begun at the start."""
        self.proxies.startService()
        self.assertEqual(len(self.dialing), 1)
        self.assertEqual(self.status().reason, "the local service is being checked")
        session: Any = self.session
        self.proxies.session_started(session)
        self.assertEqual((len(self.dialing), self.session.asked), (1, []))
        with capturedLogs() as logs:
            self.end_check()
        self.assertEqual(formatEvent(logs[0]), "[web] health check status change to success")
        self.assertEqual(self.session.asked, [("register", "alice.web", "tcp")])
        self.assertEqual(self.status().reason, "")

    def test_withdrawn(self) -> None:
        """An unhealthy one is withdrawn, and registered again as soon as it is well."""
        self.run_proxy()
        self.clock.advance(10.0)
        with capturedLogs() as logs:
            self.end_check("refused")
        self.assertEqual(self.session.asked, [("withdraw", "alice.web")])
        self.assertIsNone(self.proxies.exposed("alice.web"))
        told = [event for event in logs if event["log_level"] is LogLevel.warn]
        self.assertEqual(
            [(formatEvent(event), event["problem"]) for event in told],
            [("[web] health check status change to failed: refused", "health-check")],
        )
        status = self.status()
        self.assertEqual((status.state, status.reason), (RegistrationState.OFFLINE, "check failed: refused"))
        self.assertEqual(
            status.health, Health(HealthState.UNHEALTHY, since=10.0, checked=10.0, reason="refused")
        )
        self.clock.advance(10.0)
        with capturedLogs() as logs:
            self.end_check("still refused")
        self.assertEqual([event for event in logs if event["log_level"] > LogLevel.debug], [])
        self.assertEqual(self.status().reason, "check failed: still refused")
        self.clock.advance(10.0)
        self.end_check()
        self.assertEqual(self.session.asked[1:], [("register", "alice.web", "tcp")])

    def test_single_failures(self) -> None:
        """Fewer failures in a row than may be change nothing."""
        self.update(self.checked(max_failed=2))
        self.run_proxy()
        for reason in ("refused", "", "refused"):
            self.clock.advance(10.0)
            self.end_check(reason)
        self.assertEqual(self.session.asked, [])
        self.assertIs(self.status().state, RUNNING)

    def test_refused(self) -> None:
        """What was refused is not asked for again while it is unhealthy, and at once when it is well."""
        self.start()
        self.end_check()
        self.proxies.refused("alice.web", "port already used")
        self.session.asked.clear()
        self.clock.advance(10.0)
        self.end_check("refused")
        self.assertEqual(self.status().reason, "check failed: refused")
        for _ in range(6):
            self.clock.advance(10.0)
            self.end_check("refused")
        self.assertEqual(self.session.asked, [])
        self.clock.advance(10.0)
        self.end_check()
        self.assertEqual(self.session.asked, [("register", "alice.web", "tcp")])

    def test_next_session(self) -> None:
        """A session begins with what is known, and with a check: what is known may be old."""
        self.run_proxy()
        self.proxies.session_ended()
        session: Any = self.session
        self.proxies.session_started(session)
        self.assertEqual(self.session.asked, [("register", "alice.web", "tcp")])
        self.end_check("refused")
        self.assertEqual(self.session.asked[1:], [("withdraw", "alice.web")])

    def test_unhealthy_between_sessions(self) -> None:
        """Checks go on without a session, and the next one registers only what is well."""
        self.run_proxy()
        self.proxies.session_ended()
        self.clock.advance(10.0)
        self.end_check("refused")
        session: Any = self.session
        self.proxies.session_started(session)
        self.assertEqual(self.session.asked, [])
        self.end_check()
        self.assertEqual(self.session.asked, [("register", "alice.web", "tcp")])

    def test_changed(self) -> None:
        """A changed check begins anew, and nothing comes of the one that ran."""
        self.run_proxy()
        self.clock.advance(10.0)
        self.update(self.checked(max_failed=2))
        self.assertTrue(self.dialing[1].called)
        self.assertEqual((self.session.asked, len(self.dialing)), ([("withdraw", "alice.web")], 3))
        self.end_check()
        self.assertEqual(self.session.asked[1:], [("register", "alice.web", "tcp")])
        self.update(tcp_proxy())
        self.assertIsNone(self.status().health)
        self.assertEqual(
            self.session.asked[2:], [("withdraw", "alice.web"), ("register", "alice.web", "tcp")]
        )

    def test_stopped(self) -> None:
        """With the client, or once all is taken back, no check is left and none begins."""
        for stop in (ProxyRegistrar.stopService, ProxyRegistrar.withdraw_all):
            self.setUp()
            self.start()
            stop(self.proxies)
            self.assertTrue(self.dialing[-1].called)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual(len(self.dialing), 1)

    def test_unknown_kind(self) -> None:
        """A configuration with a kind of check that does not exist changes nothing."""
        odd = tcp_proxy(health_check=HealthCheck(type="icmp"))
        error = self.assertRaises(PluginError, self.update, odd)
        self.assertEqual(str(error), 'proxy "web": there is no health check of type "icmp"')
        self.assertEqual(self.proxies.names, ["web"])


class AnyChangesTests(SynchronousTestCase):
    """Changes in any order, between sessions, answers and more changes."""

    @given(
        st.lists(
            st.one_of(
                st.dictionaries(st.sampled_from("abc"), st.integers(6000, 6002)),
                st.sampled_from(["session", "loss", "answer"]),
            ),
            max_size=30,
        )
    )
    def test_server_has_what_is_configured(self, steps: list[Any]) -> None:
        """In the end the server has what was configured last, and lets in users of that and nothing else."""
        client: Any = SimpleNamespace(clock=Clock(), messages=no_messages())
        proxies = ProxyRegistrar(client, TYPES, "", lambda: "::1")
        proxies.startService()
        session: Any = None
        configured: dict[str, int] = {}

        def answer() -> None:
            if session is not None and session.answers:
                name, accepted = session.answers.pop(0)
                proxies.accepted(name, ":1") if accepted else proxies.refused(name, "no")

        for step in [*steps, "session"]:
            if isinstance(step, dict):
                configured = step
                proxies.update(proxies.planned([tcp_proxy(each, port=step[each]) for each in step]))
            elif step == "session" and session is None:
                session = Server()
                proxies.session_started(session)
            elif step == "loss" and session is not None:
                session = None
                proxies.session_ended()
            elif step == "answer":
                answer()
        while session.answers:
            answer()
        self.assertEqual(session.registered, configured)
        self.assertEqual({name for name in "abc" if proxies.exposed(name)}, set(configured))
        self.assertEqual([each.state for each in proxies.status()], [RUNNING] * len(configured))
        proxies.session_ended()
        self.assertEqual(client.clock.getDelayedCalls(), [])
