"""Peers that fall silent: packets that are dropped, programs that are frozen.  Who notices, and how soon."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time

from attrs import evolve

from tests.integration.faults.case import ALLOWANCE_S, FaultTestCase, WireTestCase, takes_long, why_short
from tests.integration.programs import PATIENCE_S, Program, frp_command, missing_frp
from tests.integration.relays import NOTHING, Table, Way
from tests.integration.scenarios import EACH_CONNECTION, EVERY_CARRIER, test_each
from tests.integration.traffic import dial, echo, receive_exactly

USERS = 10

INTERVAL_S = 2
"""Seconds between signs of life."""

PINGS: Table = {"transport.tcpMuxKeepaliveInterval": INTERVAL_S}

OLDER = tuple(evolve(EVERY_CARRIER[0], wire="v1", tls=mux, mux=mux) for mux in (True, False))
"""The older version of the wire, in other ways, too."""

BEGUN_BYTES = 1_000_000
"""What comes of a download before it gets stuck."""

TO_SERVER = "sent tcp dport {port}"
FROM_SERVER = "received tcp sport {port}"


def patient_echo(connection: socket.socket) -> None:
    """An echo that waits as long as its user does: a user who was cut off is let go after minutes."""
    connection.settimeout(None)
    echo(connection)


def swallow(connection: socket.socket) -> None:
    """A service that reads, for ever."""
    connection.settimeout(None)
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


class DroppedTests(WireTestCase):
    """Packets between client and server are dropped, in one direction or in both, until they are not."""

    def check_dropped(
        self, interval_s: int, server_within_s: float, client: Table, server: Table, *rules: str
    ) -> None:
        """The client notices within two intervals; users are let go; when packets pass, all is as before."""
        relay = self.start_server(server)
        publishing = self.publish_echo(client, self.start_service(patient_echo))
        crowd = self.crowd(USERS, deadline_s=server_within_s + PATIENCE_S)
        crowd.wait_served()
        dropped = time.monotonic()
        self.wire.drop(*(rule.format(port=self.bind_port) for rule in rules))
        publishing.wait_for("the session ended: timeout")
        noticed_s = time.monotonic() - dropped
        self.took("until the client noticed", noticed_s, 2 * interval_s + ALLOWANCE_S)
        relay.wait_for("client exit success")
        self.figure("until the server noticed", time.monotonic() - dropped)
        crowd.wait_ended(dropped, server_within_s + PATIENCE_S)
        self.figure("until every user was let go", time.monotonic() - dropped)
        self.wire.heal()
        healed = time.monotonic()
        self.until_served()
        self.figure("from the healing until a user was served", time.monotonic() - healed)
        crowd.wait_served()
        crowd.stop()
        self.figure("bytes checked", crowd.content, "bytes")

    def check_mux(self, *rules: str, interval_s: int = 2) -> None:
        """With mux both ends ping."""
        pings: Table = {"transport.tcpMuxKeepaliveInterval": interval_s}
        self.check_dropped(interval_s, 2 * interval_s, pings, pings, *rules)

    def check_direct(self, *rules: str, interval_s: int = 2, server_s: int = 5) -> None:
        """Without mux the client sends heartbeats, and the server counts on them."""
        self.check_dropped(
            interval_s,
            # A flow between two plain connections ends when the kernel gives up.
            150,
            {"transport.tcpMux": False, "transport.heartbeatInterval": interval_s},
            {"transport.tcpMux": False, "transport.heartbeatTimeout": server_s},
            *rules,
        )

    def test_both_directions(self) -> None:
        """Nothing passes any more, with mux."""
        self.check_mux(TO_SERVER, FROM_SERVER)

    @takes_long
    def test_to_server(self) -> None:
        """Nothing reaches the server any more, with mux."""
        self.check_mux(TO_SERVER)

    @takes_long
    def test_from_server(self) -> None:
        """Nothing reaches the client any more, with mux."""
        self.check_mux(FROM_SERVER)


class DroppedForLongTests(DroppedTests):
    """The same with the intervals that nobody configured, and without mux."""

    skip = DroppedTests.skip or why_short()

    def test_both_directions(self) -> None:
        """Nothing passes any more, with the default interval between pings."""
        self.check_mux(TO_SERVER, FROM_SERVER, interval_s=30)

    def test_to_server(self) -> None:
        """Nothing reaches the server any more, without mux."""
        self.check_direct(TO_SERVER)

    def test_from_server(self) -> None:
        """Nothing reaches the client any more, without mux."""
        self.check_direct(FROM_SERVER)


class IdleWorkTests(WireTestCase):
    """Work connections that died while they waited for a user, the session being alive."""

    def test_forgotten_by_a_router(self) -> None:
        """A router forgot the idle ones: the user gets a new one, and none of its bytes twice or late."""
        server = self.start_server({"transport.tcpMux": False})
        client = self.publish_echo({"transport.tcpMux": False, "transport.poolCount": 5})
        self.until_served()
        # Those that are open now have waited long enough to be looked at.
        self.rest(3.0)
        self.wire.drop(*(f"received tcp dport {port}" for port in self.work_ports(server, client)))
        began = time.monotonic()
        with self.wire.on_server(), dial(self.port, self.host) as user:
            user.sendall(b"hello")
            self.assertEqual(receive_exactly(user, 5), b"hello")
        self.figure("until the user was served", time.monotonic() - began)
        began = time.monotonic()
        with self.wire.on_server(), dial(self.port, self.host) as user:
            user.sendall(b"hello")
            self.assertEqual(receive_exactly(user, 5), b"hello")
        self.figure("until the next user was served", time.monotonic() - began)

    def work_ports(self, server: Program, client: Program) -> set[int]:
        """The client's ports of all its connections to the server but the one that has the session."""
        found = re.search(r"client login info: ip \[\S+:(\d+)\]", server.wait_for("client login info"))
        assert found is not None
        ports = client.ports_towards(self.bind_port)
        self.assertIn(int(found[1]), ports)
        return ports - {int(found[1])}


class FrozenTestCase(FaultTestCase):
    """A program is stopped where it is, and goes on after a while."""

    def check_frozen(
        self, which: str, frozen_s: float, server: Table, client: Table, lost: bool, within_s: float = 4.0
    ) -> None:
        """Users are served again soon after; where the pause was short nobody lost anything.

        :param within_s: two intervals, until the other end must have noticed.
        """
        relay = self.start_server(server)
        publishing = self.publish_echo(client, self.start_service(patient_echo))
        crowd = self.crowd(USERS, deadline_s=frozen_s + PATIENCE_S)
        crowd.wait_served()
        began = time.monotonic()
        program = relay if which == "server" else publishing
        program.freeze()
        if lost:
            other = publishing if which == "server" else relay
            other.wait_for("the session ended: timeout" if which == "server" else "client exit success")
            noticed_s = time.monotonic() - began
            self.took("until the other end noticed", noticed_s, within_s + ALLOWANCE_S)
        self.rest(max(0.0, began + frozen_s - time.monotonic()))
        program.thaw()
        thawed = time.monotonic()
        crowd.wait_served()
        self.figure("from the thaw until every user was served", time.monotonic() - thawed)
        if not lost:
            crowd.wait_undisturbed()
        crowd.stop()
        self.figure("bytes checked", crowd.content, "bytes")


class FrozenTests(FrozenTestCase):
    """Between our own ends."""

    @takes_long
    def test_server_for_a_moment(self) -> None:
        """A server that stood still for less than a ping may take is not given up by anybody."""
        self.check_frozen("server", 3.0, NOTHING, NOTHING, lost=False)

    def test_client_for_a_moment(self) -> None:
        """Nor is such a client."""
        self.check_frozen("client", 3.0, NOTHING, NOTHING, lost=False)

    def test_server(self) -> None:
        """A server that stands still for longer is given up, and found again."""
        self.check_frozen("server", 6.0, PINGS, PINGS, lost=True)

    @takes_long
    def test_client(self) -> None:
        """A client that stands still for longer is given up, and comes back."""
        self.check_frozen("client", 6.0, PINGS, PINGS, lost=True)


class FrozenForLongTests(FrozenTestCase):
    """The same for a minute, with what nobody configured."""

    skip = why_short()

    def test_server(self) -> None:
        """A server that stands still for a minute, with mux."""
        self.check_frozen("server", 60.0, NOTHING, NOTHING, lost=True, within_s=60.0)

    def test_client(self) -> None:
        """A client that stands still for a minute, with mux."""
        self.check_frozen("client", 60.0, NOTHING, NOTHING, lost=True, within_s=60.0)

    def test_server_direct(self) -> None:
        """A server that stands still for a minute and a half, without mux."""
        direct: Table = {"transport.tcpMux": False}
        self.check_frozen("server", 90.0, direct, direct, lost=True, within_s=60.0)


@test_each("check_way", EVERY_CARRIER[3:4])
@test_each("check_way", [*EVERY_CARRIER[:3], *EVERY_CARRIER[4:], *EACH_CONNECTION, *OLDER], why_short())
class FrozenWayTests(FrozenTestCase):
    """The client notices over every way of connecting."""

    def check_way(self, way: Way) -> None:
        """A server that stands still is noticed within two intervals, and found again."""
        client = {**way.client, **way.client_pings(INTERVAL_S)}
        self.check_frozen("server", 6.0, way.server(self.bind_port), client, lost=True)


@test_each("check_server", EVERY_CARRIER[:1])
@test_each("check_server", EVERY_CARRIER[1:] + EACH_CONNECTION, why_short())
@test_each("check_client", EVERY_CARRIER + EACH_CONNECTION, why_short())
class StuckTests(FaultTestCase):
    """A program stands still while so much is on its way to it that nothing more can be sent."""

    def check_stuck(self, which: str, way: Way) -> None:
        """The other end notices all the same: no sign of life waits for room."""

        def pour(connection: socket.socket) -> None:
            connection.settimeout(None)
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(bytes(65536))

        server = self.start_server({**way.server(self.bind_port), **way.server_pings(INTERVAL_S)})
        client = self.publish_echo(
            {**way.client, **way.client_pings(INTERVAL_S)},
            self.start_service(pour if which == "server" else swallow),
        )
        if which == "server":
            self.until("a download is on its way", self.has_begun_a_download)
        else:
            user = dial(self.port)
            self.addCleanup(user.close)
            threading.Thread(target=pour, args=[user], daemon=True).start()
            self.rest(1.0)
        frozen = server if which == "server" else client
        frozen.freeze()
        began = time.monotonic()
        if which == "server":
            client.wait_for("the session ended: timeout")
        else:
            server.wait_for("client exit success")
        noticed_s = time.monotonic() - began
        self.took("until the other end noticed", noticed_s, 4.0 + ALLOWANCE_S)
        frozen.thaw()
        client.wait_for("start proxy success", 2)

    def has_begun_a_download(self) -> bool:
        """Whether a new user, who stays, has got enough; on a machine that stood still a session may end."""
        user = dial(self.port)
        self.addCleanup(user.close)
        with contextlib.suppress(OSError):
            return len(receive_exactly(user, BEGUN_BYTES)) == BEGUN_BYTES
        return False

    def check_server(self, way: Way) -> None:
        """A server, where a download is stuck in the way of the signs of life."""
        self.check_stuck("server", way)

    def check_client(self, way: Way) -> None:
        """A client, where an upload is."""
        self.check_stuck("client", way)


class FrozenFrpsTests(FrozenTestCase):
    """Our client notices frp's server."""

    skip = missing_frp() or why_short()

    server_command = frp_command("frps")

    def test_for_a_moment(self) -> None:
        """One that stood still for less than a ping may take is not given up."""
        self.check_frozen("server", 3.0, NOTHING, NOTHING, lost=False)

    def test_for_long(self) -> None:
        """One that stands still for longer is given up, and found again."""
        self.check_frozen("server", 6.0, PINGS, PINGS, lost=True)


class FrozenFrpcTests(FrozenTestCase):
    """Our server notices frp's client."""

    skip = missing_frp() or why_short()

    client_command = frp_command("frpc")

    def test_for_a_moment(self) -> None:
        """One that stood still for less than a ping may take is not given up."""
        self.check_frozen("client", 3.0, NOTHING, NOTHING, lost=False)

    def test_for_long(self) -> None:
        """One that stands still for longer is given up, and comes back."""
        self.check_frozen("client", 6.0, PINGS, PINGS, lost=True)
