"""Who gets a name that somebody has: the same client again, or nobody while its holder is alive."""

from __future__ import annotations

import shutil
import time

from tests.integration.certificates import Authority
from tests.integration.mitm import Middle
from tests.integration.programs import Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.traffic import converse

ASKED_S = 3.0
"""Seconds that a silent holder has."""


class NameTestCase(RelayTestCase):
    """A server, and clients that want one name."""

    server_settings: Table = NOTHING

    def setUp(self) -> None:
        """Starts a server and a service."""
        super().setUp()
        self.server = self.start_server(self.server_settings)
        self.service = self.start_service()
        self.port = free_port()

    def claim(self, state: str, table: Table = NOTHING) -> Program:
        """One of our clients, with this state directory, that wants the name and the port."""
        return self.start_client({"stateDir": str(self.folder / state), **table}, self.proxies)

    @property
    def proxies(self) -> list[Table]:
        """What everybody wants."""
        return [{"name": "echo", "type": "tcp", "localPort": self.service.port, "remotePort": self.port}]


class SameIdentityTests(NameTestCase):
    """A client that comes back."""

    server_settings: Table = {"log.format": "json"}  # which tells why a session ended

    def test_crashed(self) -> None:
        """A client that crashed has its name at once, though its connection looks alive to the server."""
        middle = Middle(self.bind_port, Authority(self.folder).certify("middle.example"))
        middle.honest = True
        self.addCleanup(middle.stop)
        first = self.claim("a", {"serverPort": middle.port})
        first.wait_for("start proxy success")
        middle.stall()
        first.kill()
        self.claim("a").wait_for("start proxy success")
        # Not because it was asked and was silent.
        self.assertIn("the same identity logged in again", self.server.wait_for("client exit success"))
        converse(self.port)

    def test_copied(self) -> None:
        """A copy of a state directory is noticed at both ends, and no fight breaks out."""
        first = self.claim("a")
        first.wait_for("start proxy success")
        shutil.copytree(self.folder / "a", self.folder / "b")
        second = self.claim("b")
        second.wait_for("start proxy success")
        first.wait_for("was its state directory copied?")
        converse(self.port)
        second.stop()
        self.assertEqual(second.output.count("try to connect to server"), 1)
        self.assertEqual(first.output.count("try to connect to server"), 1)

    def test_beside_each_other(self) -> None:
        """Two clients with one state directory and different names do not disturb each other."""
        self.claim("a").wait_for("start proxy success")
        other = free_port()
        self.start_client(
            {"stateDir": str(self.folder / "a")},
            [{"name": "other", "type": "tcp", "localPort": self.service.port, "remotePort": other}],
        ).wait_for("start proxy success")
        converse(self.port)
        converse(other)
        self.assertNotIn("client exit success", self.server.output)


class OtherIdentityTests(NameTestCase):
    """Somebody else's name: one of our clients holds it, with mux."""

    holder_settings: Table = NOTHING

    def hold(self) -> Program:
        """Who has the name."""
        holder = self.start_client(self.holder_settings, self.proxies)
        holder.wait_for("start proxy success")
        return holder

    def test_alive(self) -> None:
        """While its holder is alive nobody gets it."""
        holder = self.hold()
        other = self.claim("other")
        other.wait_for("proxy [echo] already exists")
        converse(self.port)
        self.assertNotIn("client exit success", self.server.output)
        holder.stop()

    def test_port(self) -> None:
        """Nor does anybody get its port for another name, until it has been silent for long enough."""
        proxies = [{**each, "name": "other"} for each in self.proxies]
        holder = self.hold()
        other = self.start_client({"stateDir": str(self.folder / "other")}, proxies)
        other.wait_for("port already used")
        other.stop()
        converse(self.port)
        holder.freeze()
        other = self.start_client({"stateDir": str(self.folder / "other")}, proxies)
        other.wait_for("start proxy success")
        holder.thaw()
        self.server.wait_for("client exit success")

    def test_frozen(self) -> None:
        """Its holder stopped dead: after three seconds of silence it is free, and who asked has it."""
        holder = self.hold()
        holder.freeze()
        began = time.monotonic()
        other = self.claim("other")
        other.wait_for("start proxy success")
        took = time.monotonic() - began
        holder.thaw()
        self.assertGreater(took, ASKED_S)
        self.assertNotIn("already exists", other.output)
        converse(self.port)
        self.server.wait_for("client exit success")


class OtherIdentityWithoutMuxTests(OtherIdentityTests):
    """The same without mux, where nothing but work connections can be asked for."""

    holder_settings: Table = {"transport.tcpMux": False, "transport.heartbeatInterval": -1}
    server_settings: Table = {"transport.tcpMux": False, "transport.heartbeatTimeout": -1}


class FrpcTests(OtherIdentityTests):
    """The same with frp's client as the holder."""

    skip = missing_frp()

    def hold(self) -> Program:
        holder = self.start_client(self.holder_settings, self.proxies, command=frp_command("frpc"))
        holder.wait_for("start proxy success")
        return holder


class FrpcWithoutMuxTests(FrpcTests):
    """The same without mux and without heartbeats."""

    holder_settings: Table = {"transport.tcpMux": False, "transport.heartbeatInterval": -1}
    server_settings: Table = {"transport.tcpMux": False, "transport.heartbeatTimeout": -1}

    def test_run_id(self) -> None:
        """A client of frp that comes back, while its old connection looks alive, gets in after that time."""
        middle = Middle(self.bind_port, Authority(self.folder).certify("middle.example"))
        middle.honest = True
        self.addCleanup(middle.stop)
        self.holder_settings = {
            **self.holder_settings,
            "serverPort": middle.port,
            "transport.heartbeatInterval": 1,
            "transport.heartbeatTimeout": 3,
        }
        holder = self.hold()
        middle.stall()
        holder.wait_for("start proxy success", 2)
        converse(self.port)
