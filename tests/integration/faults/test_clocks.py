"""Clocks that step, machines that slept, networks that change: what the programs make of it."""

from __future__ import annotations

import time

from tests.integration.faults.case import ALLOWANCE_S, FaultTestCase, WireTestCase, takes_long
from tests.integration.faults.clocks import Clocks
from tests.integration.faults.wires import CLIENT_ADDRESS
from tests.integration.relays import NOTHING, Table

HOUR_S = 3600.0

INTERVAL_S = 8
"""Twice as long one of the two may be held up."""

PINGS: Table = {"transport.tcpMuxKeepaliveInterval": INTERVAL_S}


class StepTests(FaultTestCase):
    """Somebody sets the wall clock of a machine."""

    def check_step(self, which: str, step_s: float) -> None:
        """No session is given up, no user lets go; a dead peer is noticed as soon as ever."""
        clocks = Clocks(self.folder / "clocks")
        stepping = clocks.command(which)
        server = self.start_server(PINGS, stepping if which == "server" else ())
        service = self.start_service()
        client = self.start_client(
            PINGS,
            [{"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port}],
            command=stepping if which == "client" else (),
        )
        client.wait_for("start proxy success")
        crowd = self.crowd(5)
        crowd.wait_served()
        clocks.set(day_s=step_s)
        self.rest(INTERVAL_S + 1)
        crowd.wait_undisturbed()
        frozen = time.monotonic()
        if which == "server":
            client.freeze()
            server.wait_for("client exit success")
        else:
            server.freeze()
            client.wait_for("the session ended: timeout")
        noticed_s = time.monotonic() - frozen
        self.took("until a dead peer was noticed after the step", noticed_s, 2 * INTERVAL_S + ALLOWANCE_S)
        (client if which == "server" else server).thaw()
        crowd.stop()

    @takes_long
    def test_client_forwards(self) -> None:
        """The client's clock is an hour ahead all at once."""
        self.check_step("client", HOUR_S)

    def test_client_backwards(self) -> None:
        """The client's clock is an hour behind all at once."""
        self.check_step("client", -HOUR_S)

    @takes_long
    def test_server_forwards(self) -> None:
        """The server's clock is an hour ahead all at once."""
        self.check_step("server", HOUR_S)

    @takes_long
    def test_server_backwards(self) -> None:
        """The server's clock is an hour behind all at once."""
        self.check_step("server", -HOUR_S)


class SleepTests(WireTestCase):
    """The client's machine was suspended."""

    @takes_long
    def test_forgotten(self) -> None:
        """A client that wakes asks its server at once, and replaces a session that nobody remembers."""
        self.start_server()
        clocks = Clocks(self.folder / "clocks")
        service = self.start_service()
        client = self.start_client(
            NOTHING,
            [{"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port}],
            command=clocks.command("client"),
        )
        client.wait_for("start proxy success")
        (port,) = client.ports_towards(self.bind_port)
        # A router between the two forgets the connection, as it does while nobody says anything.
        self.wire.drop(f"received tcp dport {port}", f"sent tcp sport {port}")
        clocks.set(asleep_s=600.0)
        woken = time.monotonic()
        client.wait_for("the machine was suspended for 600 s")
        self.figure("until the client knew that it had slept", time.monotonic() - woken)
        client.wait_for("start proxy success", 2)
        self.figure("until it had another session", time.monotonic() - woken)
        self.until_served()

    @takes_long
    def test_remembered(self) -> None:
        """A session that outlived the sleep goes on."""
        self.start_server()
        clocks = Clocks(self.folder / "clocks")
        client = self.start_client(command=clocks.command("client"))
        client.wait_for("login to server success")
        clocks.set(asleep_s=600.0)
        client.wait_for("the machine was suspended for 600 s")
        self.rest(7.0)
        self.assertNotIn("the session ended", client.output)


class NetworkTests(WireTestCase):
    """The client's machine gets another network."""

    @takes_long
    def test_network_comes_back(self) -> None:
        """A client that rests between two attempts dials at once when there is a network again."""
        self.start_server()
        client = self.publish_echo()
        self.wire.ip(f"addr del {CLIENT_ADDRESS}/24 dev {self.wire.link}")
        client.wait_for("the session ended")
        # Long enough for the rests to have become long.
        client.wait_for("connect to server error", 6)
        self.wire.ip(f"addr add {CLIENT_ADDRESS}/24 dev {self.wire.link}")
        back = time.monotonic()
        client.wait_for("start proxy success", 2)
        self.took("from the network's return until the session", time.monotonic() - back, ALLOWANCE_S)
        self.until_served()

    def test_other_address(self) -> None:
        """A client whose address goes replaces its session at once, where a ping would tell in hours."""
        self.start_server()
        client = self.publish_echo({"transport.tcpMuxKeepaliveInterval": int(HOUR_S)})
        other = "198.18.0.77"
        self.wire.ip(f"addr add {other}/24 dev {self.wire.link}")
        changed = time.monotonic()
        self.wire.ip(f"addr del {CLIENT_ADDRESS}/24 dev {self.wire.link}")
        self.wire.ip(f"addr replace {other}/24 dev {self.wire.link}")
        client.wait_for("the session ended: timeout the peer gave no sign of life")
        client.wait_for("start proxy success", 2)
        self.figure("from the change until another session", time.monotonic() - changed)
        self.until_served()
