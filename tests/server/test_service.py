"""Tests of the server as a service: its life, what it says when, how a start fails."""

from __future__ import annotations

from typing import Any

import msgspec
from attrs import define, evolve, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.config.load import LoadedServer
from relaykit.config.rules.changing import Changes
from relaykit.config.schema import HttpPlugin, PortRange, ServerConfig, ServerTls, ServerTransport
from relaykit.dataplane import passed_sockets
from relaykit.dataplane.listening import ListenFailed
from relaykit.errors import (
    BrokenCarrier,
    LocalProtocolError,
    ProxyRefusedError,
    TransportSecurityError,
)
from relaykit.interfaces import IExposure, IIngress, IListeningPort
from relaykit.options import Effect, Options
from relaykit.plugins import CarrierReference
from relaykit.policy_requests import UserRequest
from relaykit.proxies import tcp
from relaykit.proxies.tcp import TcpOptions
from relaykit.proxies.tcpmux import TcpmuxKeys
from relaykit.sansio.control.server_life import CLOSE_S, DRAIN_S, ServerState
from relaykit.server import composition
from relaykit.server.network import Network, make_network
from relaykit.server.service import RelayServer
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published, echoing
from relaykit.values import Address, Secret
from tests.server.scene import TYPES


@implementer(IListeningPort)
@define(eq=False)
class Port:
    """A port that nobody can dial."""

    address: Address
    is_open: bool = field(default=True, init=False)

    def close(self) -> None:
        self.is_open = False


@implementer(IIngress)
class Slow(Service):
    """An ingress that starts and stops when the test says so."""

    def __init__(self) -> None:
        self.starting: Deferred[None] = Deferred()
        self.stopping: Deferred[None] | None = None

    def startService(self) -> Deferred[None]:
        super().startService()
        return self.starting

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        return self.stopping

    async def expose(self, proxy: Any) -> IExposure:
        raise NotImplementedError


class SlowType:
    """A proxy type with one ingress."""

    name = "slow"
    ingress_options = Options

    def __init__(self) -> None:
        self.ingress = Slow()

    def make_ingress(self, options: Any, host: Any) -> Slow:
        return self.ingress


class BrokenCarriers:
    """What is installed where a package with a carrier is broken."""

    @staticmethod
    def installed() -> list[CarrierReference]:
        """The one."""
        return [CarrierReference("kcp", "tests.no_such_module")]


@define
class Types:
    """Only the one."""

    slow: SlowType

    def get(self, name: str) -> Any:
        return self.slow


class RelayServerTests(SynchronousTestCase):
    """The life of the service."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.ports: list[Port] = []
        self.failure: Exception | None = None
        self.patch(passed_sockets, "listen_tcp", self.listen)
        self.slow = SlowType()

    def listen(
        self, poller: Any, host: str, port: int, acceptor: Any, for_users: bool, keepalive_s: int
    ) -> Port:
        """Opens a port of this test."""
        if self.failure is not None:
            raise self.failure
        self.ports.append(Port(Address(host, port)))
        return self.ports[-1]

    def make(self, configured: bool = False, **config: Any) -> RelayServer:
        """A server without STUN; its one proxy type may be configured."""
        options: dict[str, Options] = {"slow": Options()} if configured else {}
        made = ServerConfig(stun_port=-1, **config)
        types: Any = Types(self.slow)
        return RelayServer(made, Secret("t"), types, self.reactor, None, options)

    def test_constructing_opens_nothing(self) -> None:
        """A server that is not started has no port."""
        server = self.make()
        self.assertEqual((server.port, server.fingerprint, server.state), (0, "", ServerState.STOPPED))
        self.assertEqual((self.ports, list(self.reactor.readers)), ([], []))

    def test_ready(self) -> None:
        """Who waits is told once clients can log in, not before the start; then at once."""
        server = self.make()
        waiting = server.when_ready()
        server.privilegedStartService()
        self.assertNoResult(waiting)
        self.assertEqual(server.port, 7000)
        with capturedLogs() as logged:
            server.startService()
        self.assertEqual([event["log_format"] for event in logged], ["the server started successfully"])
        self.successResultOf(waiting)
        self.successResultOf(server.when_ready())
        self.assertTrue(server.fingerprint)
        self.successResultOf(server.stopService())

    def test_children(self) -> None:
        """Services that are its children live as long as it does, and it waits for their end."""

        class Child(Service):
            stopping: Deferred[None] | None = None

            def stopService(self) -> Deferred[None] | None:
                super().stopService()
                self.stopping = Deferred()
                return self.stopping

        server, child = self.make(), Child()
        child.setServiceParent(server)
        server.startService()
        self.assertTrue(child.running)
        stopped = server.stopService()
        self.assertFalse(child.running)
        self.assertNoResult(stopped)
        assert child.stopping is not None
        child.stopping.callback(None)
        self.successResultOf(stopped)

    def test_passed_sockets(self) -> None:
        """Sockets that the process was started with, and that nobody has asked for, are told at the start."""
        unused: list[str] = []

        def make(reactor: Any) -> Network:
            return evolve(make_network(reactor), unused=lambda: unused)

        server = RelayServer(ServerConfig(stun_port=-1), Secret("t"), TYPES, self.reactor, make_network=make)
        for now in ([], ["tcp 0.0.0.0:80", "udp 0.0.0.0:53"]):
            unused[:] = now
            with capturedLogs() as logged:
                server.startService()
            told = [each["sockets"] for each in logged if "sockets" in each]
            self.assertEqual(told, [", ".join(now)] if now else [])
            self.successResultOf(server.stopService())

    def test_started_again(self) -> None:
        """A server that was stopped can be started again."""
        server = self.make()
        for count in (1, 2):
            server.startService()
            self.assertEqual(len(self.ports), count)
            self.successResultOf(server.when_ready())
            self.successResultOf(server.stopService())
            self.assertFalse(self.ports[-1].is_open)
            self.assertEqual((server.port, server.state), (0, ServerState.STOPPED))
        self.assertNoResult(server.when_ready())

    def test_start_fails(self) -> None:
        """A start that fails is told to who waits for it; stopping afterwards is harmless."""
        tls = ServerTls(cert_file="/nonexistent/cert.pem", key_file="/nonexistent/key.pem")
        server = self.make(transport=ServerTransport(tls=tls))
        waiting = server.when_ready()
        server.privilegedStartService()
        server.startService()
        for ready in (waiting, server.when_ready()):
            failure = self.failureResultOf(ready, TransportSecurityError)
            self.assertIn("transport.tls.certFile: /nonexistent/cert.pem cannot be read", str(failure.value))
        self.assertEqual(server.port, 0)
        self.successResultOf(server.stopService())

    def test_port_is_taken(self) -> None:
        """A start that fails for a reason that passes succeeds later."""
        server = self.make()
        self.failure = ListenFailed("cannot listen")
        server.startService()
        self.failureResultOf(server.when_ready(), ListenFailed)
        self.successResultOf(server.stopService())
        self.failure = None
        server.startService()
        self.successResultOf(server.when_ready())
        self.successResultOf(server.stopService())

    def test_configured_types_start_first(self) -> None:
        """A server is ready when the configured proxy types have started."""
        server = self.make(configured=True)
        server.startService()
        waiting = server.when_ready()
        self.assertNoResult(waiting)
        self.assertEqual(server.state, ServerState.STARTING)
        self.slow.ingress.starting.callback(None)
        self.successResultOf(waiting)
        self.successResultOf(server.stopService())
        self.assertFalse(self.slow.ingress.running)

    def test_configured_type_fails(self) -> None:
        """A configured proxy type that cannot start is the failure of the server, and nothing stays open."""
        server = self.make(configured=True)
        self.slow.ingress.starting.errback(ListenFailed("cannot listen on :80"))
        server.startService()
        self.failureResultOf(server.when_ready(), ListenFailed)
        self.assertFalse(self.ports[0].is_open)
        self.assertFalse(self.slow.ingress.running)
        self.successResultOf(server.stopService())

    def test_broken_carrier(self) -> None:
        """A carrier that cannot be used is told of, and stops only a server whose file has a port for it."""
        self.patch(composition, "Carriers", BrokenCarriers)
        server = self.make()
        with capturedLogs() as logged:
            server.startService()
        self.successResultOf(server.when_ready())
        (told,) = [event for event in logged if event["log_level"] is LogLevel.error]
        self.assertIn('carrier "kcp" cannot be used', told["reason"])
        self.assertEqual(told["problem"], "broken-type")
        self.successResultOf(server.stopService())
        server = self.make(kcp_bind_port=7000)
        server.startService()
        self.failureResultOf(server.when_ready(), BrokenCarrier)
        self.successResultOf(server.stopService())

    def test_stopped_while_it_starts(self) -> None:
        """A start that is cut short is given up, and is no failure."""
        server = self.make(configured=True)
        server.startService()
        self.successResultOf(server.stopService())
        self.assertEqual((server.state, self.slow.ingress.running), (ServerState.STOPPED, 0))
        self.assertNoResult(server.when_ready())
        self.assertFalse(self.ports[0].is_open)

    def test_stop_is_bounded(self) -> None:
        """What does not stop is left after some seconds; before that the server cannot be started."""
        server = self.make(configured=True)
        self.slow.ingress.starting.callback(None)
        self.slow.ingress.stopping = Deferred()
        server.startService()
        stopped = server.stopService()
        self.assertNoResult(stopped)
        self.assertNoResult(server.stopService())
        self.assertRaises(LocalProtocolError, server.startService)
        self.reactor.advance(CLOSE_S)
        self.successResultOf(stopped)
        server.startService()
        self.successResultOf(server.when_ready())
        self.slow.ingress.stopping.callback(None)
        self.assertEqual(server.state, ServerState.READY)
        self.successResultOf(server.stopService())

    def test_flows_are_cut(self) -> None:
        """Running flows get some seconds to end; then they are cut, whatever they run over."""
        server = self.make()
        server.startService()
        network = MemoryNetwork()
        near, far = network.pair()[0], network.pair()[0]
        assert server._parts is not None
        flow = server._parts.data_plane.forward(near, far, True)
        with capturedLogs() as logged:
            stopped = server.stopService()
        self.assertEqual([event["flows"] for event in logged], [1])
        self.reactor.advance(DRAIN_S / 2)
        self.assertNoResult(stopped)
        self.assertNoResult(flow.when_ended())
        self.reactor.advance(DRAIN_S / 2)
        self.successResultOf(stopped)
        network.flush()
        self.assertEqual(self.successResultOf(flow.when_ended()).ended.value, "stopped")

    def test_drained(self) -> None:
        """A server whose last flow ends is stopped at once."""
        server = self.make()
        server.startService()
        network = MemoryNetwork()
        (user, near), (provider, far) = network.pair(), network.pair()
        assert server._parts is not None
        server._parts.data_plane.forward(near, far, True)
        stopped = server.stopService()
        self.assertNoResult(stopped)
        user.abort()
        provider.abort()
        network.flush()
        self.successResultOf(stopped)


class ReloadTests(SynchronousTestCase):
    """A configuration that is read again while the server runs."""

    def setUp(self) -> None:
        self.relay = MemoryRelay(allow_ports=(PortRange(start=6000, end=6009),))
        self.addCleanup(self.relay.stop)

    def reload(self, token: Secret | None = None, **keys: Any) -> Changes[ServerConfig]:
        """Goes on with these keys."""
        server = self.relay.server
        loaded = LoadedServer(msgspec.structs.replace(server.config, **keys), {"probe": Options()}, ())
        return self.successResultOf(server.reload(loaded, token or server._composition.token))

    def publish(self, name: str, port: int) -> Published:
        """Has a client of its own publish a port."""
        return self.relay.publish(tcp.proxy_type, TcpOptions(remote_port=port), name=name, local=echoing)

    def test_token(self) -> None:
        """Another token counts for logins from then on; who is logged in lives on, with all users."""
        self.publish("old", 6000)
        user = self.relay.dial(6000)
        received = RecordingReceiver(user)
        found = self.reload(Secret("another"))
        self.assertEqual(set(found.keys.values()), {()})
        with capturedLogs() as logged:
            # It goes on trying.
            self.assertRaises(AssertionError, self.publish, "new", 6001)
        self.assertIn("token in login doesn't match", str([each.get("reason") for each in logged]))
        for dialed in (user, self.relay.dial(6000)):
            dialed.write(b"here")
            self.relay.settle()
        self.assertEqual(received.data, b"here")
        self.assertEqual(self.relay.server.counts()[:2], (1, 1))

    def test_limits(self) -> None:
        """Ports, and how many a client may have, count at once; what is open stays open."""
        self.publish("old", 6000)
        found = self.reload(
            allow_ports=(PortRange(single=7001),), max_proxies_per_client=1, max_ports_per_client=1
        )
        self.assertEqual(
            found.keys[Effect.AT_ONCE], ("maxPortsPerClient", "maxProxiesPerClient", "allowPorts")
        )
        self.assertRaises(ProxyRefusedError, self.publish, "refused", 6001)
        self.publish("new", 7001)
        self.assertEqual(sorted(self.relay.open_ports), [6000, 7001])

    def test_plugins(self) -> None:
        """Other plugins over HTTP count at once, and those that are the same go on."""
        parts = self.relay.server._parts
        assert parts is not None
        first, second = (
            HttpPlugin(name=name, addr=Secret("127.0.0.1:1"), ops=("NewUserConn",)) for name in "ab"
        )
        self.assertEqual(self.reload(http_plugins=(first,)).keys[Effect.AT_ONCE], ("httpPlugins",))
        policies = parts._rules.policies
        self.assertTrue(policies.decides(UserRequest))
        (kept,) = policies.judges
        self.reload(http_plugins=(second, first))
        self.assertEqual([each.name for each in policies.judges], ["b", "a"])
        self.assertIs(policies.judges[1], kept)
        self.reload(http_plugins=())
        self.assertFalse(policies.decides(UserRequest))
        self.assertIs(parts._rules.policies, policies)

    def test_needs_restart(self) -> None:
        """What can only be changed by a restart is named, and stays as it is."""
        server = self.relay.server
        config = msgspec.structs.replace(server.config, bind_port=7001)
        options: dict[str, Options] = {"probe": Options(), "tcpmux": TcpmuxKeys(passthrough=True)}
        found = self.successResultOf(server.reload(LoadedServer(config, options, ()), Secret("t")))
        self.assertEqual(found.keys[Effect.AFTER_RESTART], ("bindPort", "tcpmuxPassthrough"))
        self.assertEqual((server.config.bind_port, server.port), (7000, 7000))

    def test_wrong_file(self) -> None:
        """A certificate that cannot be used changes nothing; one that can is the next client's."""
        server = self.relay.server
        before, config = server.fingerprint, server.config
        tls = ServerTls(cert_file="/no/such.crt", key_file="/no/such.key")
        wrong = msgspec.structs.replace(
            config, allow_ports=(), transport=msgspec.structs.replace(config.transport, tls=tls)
        )
        self.failureResultOf(
            server.reload(LoadedServer(wrong, {"probe": Options()}, ()), Secret("t")), TransportSecurityError
        )
        self.assertEqual((server.fingerprint, server.config), (before, config))
        found = self.reload(transport=msgspec.structs.replace(config.transport, tls=ServerTls(force=True)))
        self.assertEqual(found.keys[Effect.AT_LOGIN], ("transport.tls.force",))
        self.assertNotEqual(server.fingerprint, before)

    def test_at_rest(self) -> None:
        """A server that does not run starts with it."""
        server = RelayServer(ServerConfig(stun_port=-1), Secret("t"), TYPES, MemoryReactorClock())
        config = msgspec.structs.replace(server.config, user_conn_timeout=5)
        self.successResultOf(server.reload(LoadedServer(config, {}, ()), Secret("t")))
        self.assertEqual(server.config.user_conn_timeout, 5)
