"""Who gets a name that somebody has: the same client again, or nobody while its holder is alive."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

from tests.integration.certificates import Authority
from tests.integration.faults.case import why_short
from tests.integration.mitm import Middle
from tests.integration.programs import Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table, Way
from tests.integration.scenarios import EACH_CONNECTION, EVERY_CARRIER, test_each
from tests.integration.traffic import converse

ASKED_S = 3.0
"""Seconds that a silent holder has."""


OUR_HOLDERS = (EVERY_CARRIER[0], EACH_CONNECTION[0])
OTHER_HOLDERS = EVERY_CARRIER[1:] + EACH_CONNECTION[1:]
FRPC_HOLDERS = tuple(Way("v1", tls=True, mux=mux) for mux in (True, False))


class NameTestCase(RelayTestCase):
    """A server, and clients that want one name."""

    server_settings: Table = NOTHING

    def begin(self, way: Way = EVERY_CARRIER[0]) -> None:
        """Starts a server and a service."""
        self.way = way
        self.server = self.start_server({**way.server(self.bind_port), **self.server_settings})
        self.service = self.start_service()
        self.port = free_port()

    def claim(self, state: str, table: Table = NOTHING) -> Program:
        """One of our clients, with this state directory, that wants the name and the port."""
        return self.start_client(
            {**self.way.client, "stateDir": str(self.folder / state), **table}, self.proxies
        )

    @property
    def proxies(self) -> list[Table]:
        """What everybody wants."""
        return [{"name": "echo", "type": "tcp", "localPort": self.service.port, "remotePort": self.port}]


@test_each("check_crashed", [EVERY_CARRIER[0], *EVERY_CARRIER[3:]])
@test_each("check_crashed", EVERY_CARRIER[1:3] + EACH_CONNECTION, why_short())
class SameIdentityTests(NameTestCase):
    """A client that comes back."""

    server_settings: Table = {"log.format": "json"}  # which tells why a session ended

    def check_crashed(self, way: Way) -> None:
        """A client that crashed has its name at once, though its connection looks alive to the server."""
        self.begin(way)
        port = self.bind_port
        if way.tells_ends:
            middle = Middle(self.bind_port, Authority(self.folder).certify("middle.example"))
            middle.honest = True
            self.addCleanup(middle.stop)
            port = middle.port
        first = self.claim("a", {"serverPort": port})
        first.wait_for("start proxy success")
        if way.tells_ends:
            middle.stall()
        first.kill()
        self.claim("a").wait_for("start proxy success")
        # Not because it was asked and was silent.
        self.assertIn("the same identity logged in again", self.server.wait_for("client exit success"))
        converse(self.port)

    def test_copied(self) -> None:
        """A copy of a state directory is noticed at both ends, and no fight breaks out."""
        self.begin()
        first = self.claim("a")
        first.wait_for("start proxy success")
        shutil.copytree(self.folder / "a", self.folder / "b", ignore=shutil.ignore_patterns("*.sock"))
        second = self.claim("b")
        second.wait_for("start proxy success")
        first.wait_for("was its state directory copied?")
        converse(self.port)
        second.stop()
        self.assertEqual(second.output.count("try to connect to server"), 1)
        self.assertEqual(first.output.count("try to connect to server"), 1)

    def test_beside_each_other(self) -> None:
        """Two clients with one state directory and different names do not disturb each other."""
        self.begin()
        self.claim("a").wait_for("start proxy success")
        other = free_port()
        self.start_client(
            {**self.way.client, "stateDir": str(self.folder / "a")},
            [{"name": "other", "type": "tcp", "localPort": self.service.port, "remotePort": other}],
        ).wait_for("start proxy success")
        converse(self.port)
        converse(other)
        self.assertNotIn("client exit success", self.server.output)


@test_each("check_bound", EVERY_CARRIER[3:])
@test_each("check_bound", EVERY_CARRIER[:3] + EACH_CONNECTION, why_short())
class BoundTests(NameTestCase):
    """Who has the name has proved itself, and so has its server, for the session of TLS that both are in."""

    server_settings: Table = {"auth.bound": "require"}

    def check_bound(self, way: Way) -> None:
        """A login that must be bound is, and users are served."""
        self.begin(way)
        client = self.claim("a", {"auth.bound": "require"})
        client.wait_for("the server proved itself: it has the token")
        client.wait_for("start proxy success")
        converse(self.port)


class OtherIdentityTestCase(NameTestCase):
    """Somebody else's name.

    Without mux there are no heartbeats, and nothing but work connections can be asked for.
    """

    holder_command: Sequence[str] = ()

    def begin(self, way: Way = EVERY_CARRIER[0]) -> None:
        if not way.is_muxed:
            self.server_settings = {"transport.heartbeatTimeout": -1}
        super().begin(way)

    def hold(self) -> Program:
        """Who has the name."""
        silent = NOTHING if self.way.is_muxed else {"transport.heartbeatInterval": -1}
        holder = self.start_client({**self.way.client, **silent}, self.proxies, command=self.holder_command)
        holder.wait_for("start proxy success")
        return holder

    def check_alive(self, way: Way) -> None:
        """While its holder is alive nobody gets it."""
        self.begin(way)
        holder = self.hold()
        other = self.claim("other")
        other.wait_for("proxy [echo] already exists")
        converse(self.port)
        self.assertNotIn("client exit success", self.server.output)
        holder.stop()

    def check_port(self, way: Way) -> None:
        """Nor does anybody get its port for another name, until it has been silent for long enough."""
        self.begin(way)
        proxies = [{**each, "name": "other"} for each in self.proxies]
        claim = {**way.client, "stateDir": str(self.folder / "other")}
        holder = self.hold()
        other = self.start_client(claim, proxies)
        other.wait_for("port already used")
        other.stop()
        converse(self.port)
        holder.freeze()
        other = self.start_client(claim, proxies)
        other.wait_for("start proxy success")
        holder.thaw()
        self.server.wait_for("client exit success")

    def check_frozen(self, way: Way) -> None:
        """Its holder stopped dead: after three seconds of silence it is free, and who asked has it."""
        self.begin(way)
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


@test_each("check_alive", OUR_HOLDERS)
@test_each("check_port", OUR_HOLDERS)
@test_each("check_frozen", OUR_HOLDERS)
@test_each("check_alive", OTHER_HOLDERS, why_short())
@test_each("check_port", OTHER_HOLDERS, why_short())
@test_each("check_frozen", OTHER_HOLDERS, why_short())
class OtherIdentityTests(OtherIdentityTestCase):
    """One of our clients holds it."""


@test_each("check_alive", FRPC_HOLDERS)
@test_each("check_port", FRPC_HOLDERS)
@test_each("check_frozen", FRPC_HOLDERS)
class FrpcTests(OtherIdentityTestCase):
    """The same with frp's client as the holder."""

    skip = missing_frp()
    holder_command = frp_command("frpc")

    def test_run_id(self) -> None:
        """A client of frp that comes back, while its old connection looks alive, gets in after that time."""
        self.begin(FRPC_HOLDERS[1])
        middle = Middle(self.bind_port, Authority(self.folder).certify("middle.example"))
        middle.honest = True
        self.addCleanup(middle.stop)
        holder = self.start_client(
            {
                **self.way.client,
                "serverPort": middle.port,
                "transport.heartbeatInterval": 1,
                "transport.heartbeatTimeout": 3,
            },
            self.proxies,
            command=self.holder_command,
        )
        holder.wait_for("start proxy success")
        middle.stall()
        holder.wait_for("start proxy success", 2)
        converse(self.port)
