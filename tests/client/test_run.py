"""Tests of one run of a client: what its parts have of the session that there is at the moment."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.registrar import ProxyRegistrar
from relaykit.client.run import ClientRun
from relaykit.client.service import RelayClient
from relaykit.errors import RefusedError, SessionLost, VirtualNetworkError
from relaykit.sansio.control.extensions import EXTENSIONS
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.wire.framing import V1, V2
from relaykit.values import Ended, Origin, Secret
from tests.client.scene import Machine, make_client, started, stcp_proxy, stcp_visitor
from tests.server.scene import Scene


class ClientRunTests(SynchronousTestCase):
    """Tests for :class:`ClientRun`."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.machine = Machine(self.scene)

    def run_of(self, client: RelayClient) -> ClientRun:
        """What a client that was started runs with."""
        assert client._run is not None
        return client._run

    def test_hosts(self) -> None:
        """Backends and visitors have hosts, which know the session that there is."""
        run = self.run_of(started(self.machine, stcp_proxy(), stcp_visitor()))
        backend, visitor = run.proxies.find("db"), run.visitors.find("v")
        assert backend is not None and visitor is not None
        self.assertTrue(backend[1].takes_signals)
        self.assertEqual(visitor[1].identity.run_id, run.identity.run_id)

    def test_virtual_network(self) -> None:
        """A client whose file has an address has a device from its start, not its login, to its end."""
        self.machine.reachable = False
        client = started(self.machine, virtual_net="10.0.0.1/24")
        [(own, device)] = self.machine.devices
        self.assertEqual((own, device.closed), ("10.0.0.1/24", False))
        client.stopService()
        self.assertTrue(device.closed)

    def test_no_device(self) -> None:
        """Without the device that its file asks for it does not start, and can be started again."""
        client = make_client(self.machine, virtual_net="10.0.0.1/24")
        self.machine.no_device = "no right"
        self.assertRaises(VirtualNetworkError, client.startService)
        self.assertFalse(client.running)
        self.assertEqual(self.machine.connections, [])
        self.machine.no_device = ""
        client.startService()
        self.assertEqual(len(self.machine.devices), 1)

    def test_lanes(self) -> None:
        """A lane has relaykit's own format where both ends have it, and frp's in the version of the wire."""
        for wire_protocol, extensions in (("v1", ()), ("v2", EXTENSIONS)):
            run = self.run_of(started(self.machine, wire_protocol=wire_protocol))
            framing = V1 if wire_protocol == "v1" else V2
            self.assertEqual(run.lane_codec(1500).keep_alive, agreed_codec(framing, extensions).keep_alive)

    def test_without_session(self) -> None:
        """While there is no session nothing is signaled, visited or passed through."""
        self.machine.reachable = False
        run = self.run_of(started(self.machine, stcp_visitor()))
        found = run.visitors.find("v")
        assert found is not None
        self.failureResultOf(found[1].open_visit(Origin(), Secret("k")), SessionLost)
        self.failureResultOf(found[1].open_lane(Secret("k"), 1500), SessionLost)
        self.assertRaises(RefusedError, found[1].signal, {})
        self.assertFalse(run.half_close)

    def test_after_a_session(self) -> None:
        """Users who come by a direct path after a session has ended keep half-close as it was."""
        run = self.run_of(started(self.machine, stcp_proxy()))
        run.abort_session(Ended.STOPPED)
        self.scene.flush()
        self.assertEqual((run.session, run.half_close), (None, True))

    def test_defect_at_the_beginning(self) -> None:
        """A session that cannot be begun because of a defect is closed, and another one is tried."""
        begin = ProxyRegistrar.session_started
        defects = [ValueError("a defect")]

        def fails_once(registrar: ProxyRegistrar, session: object, **how: bool) -> None:
            if defects:
                raise defects.pop()
            begin(registrar, session, **how)  # type: ignore[arg-type]  # it is one

        self.patch(ProxyRegistrar, "session_started", fails_once)
        client = make_client(self.machine, stcp_proxy())
        client.startService()
        self.scene.flush()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual((len(self.scene.sessions), client.status().connected), (0, False))
        self.scene.advance(1)
        self.assertEqual((len(self.scene.sessions), client.status().connected), (1, True))
