"""Tests of sessions over TLS in memory, from end to end: bound, downgraded, replaced."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates.own import fingerprint
from relaykit.client.remembered import Remembered, RememberedServers
from relaykit.client.service import RelayClient
from relaykit.errors import BindingFailedError, SessionLost
from relaykit.sansio.control.client_life import STAND_BY_S
from relaykit.sansio.control.login_proofs import BoundLogin, PeerProof
from relaykit.state import StateDirectory
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Secret
from tests.client.scene import SERVICE, Machine, started, stcp_proxy, stcp_visitor, tcp_proxy
from tests.client.test_service import lines
from tests.server.scene import OWN, Scene, certificate

SERVER = "relay.example:7000"


class BoundSessionTests(SynchronousTestCase):
    """Between our own ends, with mux and without."""

    def setUp(self) -> None:
        self.state = StateDirectory(Path(self.mktemp()))

    def known(self) -> Remembered:
        """What a client with this state directory knows of the server."""
        return RememberedServers(self.state).get(SERVER)

    def check_user(self, scene: Scene, machine: Machine) -> None:
        """A user is served."""
        user, received = scene.dial(6000)
        user.write(b"hello")
        scene.flush()
        service = RecordingReceiver(machine.services[SERVICE][-1])
        machine.services[SERVICE][-1].write(b"welcome")
        scene.flush()
        self.assertEqual((service.data, received.data), (b"hello", b"welcome"))

    def test_users(self) -> None:
        """Users are served over work connections that the server takes and the client believes."""
        for muxed in (True, False):
            scene = Scene(bound=BoundLogin.REQUIRE)
            machine = Machine(scene, muxed, tls=True)
            client = started(machine, tcp_proxy(), bound="require")
            assert client._run is not None and client._run.session is not None
            self.assertTrue(client._run.session.is_bound)
            self.check_user(scene, machine)

    def test_visits(self) -> None:
        """So are visitors."""
        for muxed in (True, False):
            scene = Scene(bound=BoundLogin.REQUIRE)
            machine, visiting = Machine(scene, muxed, tls=True), Machine(scene, muxed, tls=True)
            started(machine, stcp_proxy(), bound="require")
            started(visiting, stcp_visitor(), bound="require")
            user, received = visiting.user(7000)
            user.write(b"select")
            scene.flush()
            service = RecordingReceiver(machine.services[SERVICE][0])
            machine.services[SERVICE][0].write(b"rows")
            scene.flush()
            self.assertEqual((service.data, received.data), (b"select", b"rows"))

    def test_remembered(self) -> None:
        """After a bound login the server is remembered with its certificate; other logins prove less."""
        scene = Scene(bound=BoundLogin.OFF)
        started(Machine(scene, tls=True), state=self.state, pool_count=0)
        self.assertEqual(self.known(), Remembered())
        started(Machine(scene, tls=True), tcp_proxy(), state=self.state)
        self.assertEqual(self.known(), Remembered(speaks_v2=True, carriers={}))
        scene = Scene()
        started(Machine(scene, tls=True), state=self.state)
        self.assertEqual(self.known(), Remembered(True, True, fingerprint(certificate(OWN).certificate), {}))

    def test_without_tls(self) -> None:
        """Without TLS nothing is bound, and nothing of the kind remembered."""
        started(Machine(Scene()), state=self.state)
        self.assertEqual(self.known(), Remembered(speaks_v2=True, carriers={}))

    def test_other_certificate(self) -> None:
        """A server that proves itself may have another certificate than before; it is told and remembered."""
        scene = Scene()
        machine = Machine(scene, tls=True)
        started(machine, state=self.state)
        scene.certificate_name = "a new one"
        machine.connections[-1].cut()
        with capturedLogs() as logged:
            scene.advance(2)
        self.assertTrue(any("proved itself with another certificate" in line for line in lines(logged)))
        self.assertEqual(self.known().certificate, fingerprint(certificate("a new one").certificate))

    def test_other_certificate_of_a_work_connection(self) -> None:
        """Without mux, who answers with another certificate gets no work connection to start work on."""
        scene = Scene()
        machine = Machine(scene, muxed=False, tls=True)
        started(machine, tcp_proxy(), pool_count=0)
        scene.certificate_name = "somebody else's"
        with capturedLogs() as logged:
            _, received = scene.dial(6000)
            scene.advance(11)
        self.assertTrue(received.ended or received.lost)
        self.assertEqual(machine.services[SERVICE], [])
        self.assertTrue(any("who answers now has another certificate" in line for line in lines(logged)))

    def test_certificate_renewed_without_mux(self) -> None:
        """Without mux, too, a server that has renewed its certificate is known again, by a new login."""
        scene = Scene()
        machine = Machine(scene, muxed=False, tls=True)
        started(machine, tcp_proxy(), pool_count=0)
        scene.certificate_name = "a new one"
        scene.dial(6000)
        scene.advance(11)
        user, _ = scene.dial(6000)
        user.write(b"hello")
        scene.advance(2)
        self.assertEqual(len(machine.services[SERVICE]), 1)

    def test_wrong_token(self) -> None:
        """A wrong token is told as what it may be, at both ends."""
        scene = Scene()
        with capturedLogs() as logged:
            client = started(Machine(scene, tls=True), token=Secret("wrong"), login_fail_exit=True)
        failed = self.failureResultOf(client.when_first_login(), BindingFailedError)
        self.assertIn("the token is not the server's, or somebody is between you", str(failed.value))
        said = "register control error: token in login doesn't match token from configuration, or TLS"
        self.assertTrue(any(said in line for line in lines(logged)))


class ServerProofTests(SynchronousTestCase):
    """What a client says of whether the server proved itself."""

    def proof_lines(self, machine: Machine, **settings: object) -> tuple[RelayClient, list[LogEvent]]:
        """A client that logs in twice, and what its log says of the server's proof."""
        with capturedLogs() as logged:
            client = started(machine, **settings)
            machine.connections[-1].abort()
            machine.scene.advance(2)
        return client, [each for each in logged if each["log_format"].startswith("[{run}] the server ")]

    def test_proved(self) -> None:
        """It did, in a bound login: each session says so."""
        client, told = self.proof_lines(Machine(Scene(), tls=True))
        self.assertEqual([each["proof"] for each in told], ["token", "token"])
        self.assertEqual({each["log_level"] for each in told}, {LogLevel.info})
        self.assertIs(client.status().server_proof, PeerProof.TOKEN)

    def test_not_proved(self) -> None:
        """It did not: that is a warning once, and the status has it."""
        client, told = self.proof_lines(Machine(Scene(), tls=True), bound="off")
        self.assertEqual([each["proof"] for each in told], ["none", "none"])
        self.assertEqual([each["log_level"] for each in told], [LogLevel.warn, LogLevel.info])
        self.assertIn("the server did not prove itself: whoever is in between", formatEvent(told[0]))
        self.assertIs(client.status().server_proof, PeerProof.NONE)

    def test_certificate(self) -> None:
        """A certificate that was asked for is a proof, too."""
        machine = Machine(Scene(), tls=True)
        machine.pinned = fingerprint(certificate(OWN).certificate)
        client, told = self.proof_lines(machine, bound="off")
        self.assertEqual([each["proof"] for each in told], ["certificate", "certificate"])
        self.assertIs(client.status().server_proof, PeerProof.CERTIFICATE)

    def test_no_session(self) -> None:
        """Without a session there is nobody to have proved anything."""
        machine = Machine(Scene())
        machine.reachable = False
        self.assertIsNone(started(machine).status().server_proof)


class DowngradeTests(SynchronousTestCase):
    """What somebody in between would like to bring about."""

    def setUp(self) -> None:
        self.state = StateDirectory(Path(self.mktemp()))

    def failure(self, machine: Machine, **settings: object) -> Exception:
        """Why a client with this state directory cannot log in."""
        client = started(machine, state=self.state, login_fail_exit=True, **settings)
        machine.scene.flush()
        error = self.failureResultOf(client.when_first_login()).value
        assert isinstance(error, Exception)
        self.successResultOf(client.stopService())
        return error

    def test_no_extension(self) -> None:
        """A server that proved itself must do so again; a new one need not, unless that is required."""
        plain = Scene(bound=BoundLogin.OFF)
        self.assertIsInstance(self.failure(Machine(plain, tls=True), bound="require"), BindingFailedError)
        client = started(Machine(plain, tls=True), state=self.state)
        self.successResultOf(client.when_first_login())
        started(Machine(Scene(), tls=True), state=self.state)
        error = self.failure(Machine(plain, tls=True))
        self.assertIn(f"relaykit forget {SERVER}", str(error))
        RememberedServers(self.state).forget("relay.example")
        client = started(Machine(plain, tls=True), state=self.state)
        self.successResultOf(client.when_first_login())

    def test_no_tls(self) -> None:
        """A connection without TLS 1.3 is not enough where the login must be bound; nothing is sent."""
        scene = Scene()
        machine = Machine(scene, muxed=False)
        error = self.failure(machine, bound="require")
        self.assertIn("takes TLSv1.3, and the connection has no TLS", str(error))

    def test_version_1(self) -> None:
        """Version 1 is not tried with a server that spoke version 2 before, nor where bound is required."""
        started(Machine(Scene(), tls=True), state=self.state)
        for bound in ("prefer", "require"):
            closing = Closing(Scene())
            error = self.failure(closing, bound=bound)
            self.assertIsInstance(error, SessionLost)
            self.assertEqual(closing.dialed, 1)
            if bound == "prefer":
                self.assertIn("so version 1 is not tried", str(error))

    def test_switched_off(self) -> None:
        """Whoever configures a client may switch all of it off."""
        started(Machine(Scene(), tls=True), state=self.state)
        for settings in ({"bound": "off"}, {"wire_protocol": "v1"}):
            client = started(Machine(Scene(bound=BoundLogin.OFF), tls=True), state=self.state, **settings)
            self.successResultOf(client.when_first_login())


class Closing(Machine):
    """The way to a server that ends every connection after the first bytes, as an old one would."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene, muxed=False, tls=True)
        scene.bind_port.on_opened = lambda leg, origin, link: leg.close()


class ReplacedTests(SynchronousTestCase):
    """Two live clients with one identity."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machines = [Machine(self.scene), Machine(self.scene)]
        original = StateDirectory(Path(self.mktemp()))
        self.first = started(self.machines[0], tcp_proxy(), state=original)
        self.copy = StateDirectory(Path(self.mktemp()))
        content = original.read("identity.pem")
        assert content is not None
        self.copy.write("identity.pem", content)

    def start_copy(self) -> list[str]:
        """Starts a client whose state directory is a copy; answers what is logged."""
        with capturedLogs() as logged:
            self.second = started(self.machines[1], tcp_proxy(), state=self.copy)
            self.scene.flush()
        return lines(logged)

    def test_no_fight(self) -> None:
        """The one that was there is told, stands by, and does not take anything again."""
        said = self.start_copy()
        self.assertTrue(any("was its state directory copied?" in line for line in said))
        self.assertFalse(self.first.status().connected)
        self.assertIn(6000, self.scene.ports)
        dialed = self.machines[0].dialed
        self.scene.advance(10 * STAND_BY_S + 5)
        self.assertFalse(self.first.status().connected)
        self.assertTrue(self.second.status().connected)
        self.assertEqual(self.machines[1].dialed, 1)
        self.assertEqual(self.machines[0].dialed - dialed, 10)

    def test_both_are_named(self) -> None:
        """While both live the server says so, and names them."""
        self.start_copy()
        with capturedLogs() as logged:
            self.scene.advance(STAND_BY_S + 1)
        self.assertTrue(any("two clients have the same identity" in line for line in lines(logged)))

    def test_free_again(self) -> None:
        """Once the other one is gone, it takes its place again."""
        self.start_copy()
        stopping = self.second.stopService()
        self.scene.flush()
        self.successResultOf(stopping)
        self.scene.advance(STAND_BY_S + 1)
        self.assertTrue(self.first.status().connected)
        self.assertIn(6000, self.scene.ports)

    def test_lost_afterwards(self) -> None:
        """Having its place again, it fights for its connection as before."""
        self.test_free_again()
        self.machines[0].connections[-1].cut()
        self.scene.advance(2)
        self.assertTrue(self.first.status().connected)

    def test_restarted(self) -> None:
        """A client that is started again after a crash takes over what its dead session still has."""
        self.machines[0].connections[-1].pauseProducing()
        self.start_copy()
        self.assertTrue(self.second.status().connected)
        self.assertIn(6000, self.scene.ports)
