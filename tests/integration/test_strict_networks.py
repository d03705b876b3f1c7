"""One client file that gets out of networks that let little out, and says how long that took."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from twisted.names.dns import AAAA, A, Record_A, Record_AAAA
from twisted.trial.unittest import SkipTest

from relaykit.plugins import Carriers
from tests.integration.certificates import Authority
from tests.integration.faults.case import FaultTestCase, takes_long
from tests.integration.forward_proxies import path_of
from tests.integration.names import Names
from tests.integration.programs import Program, relaykit_command
from tests.integration.relays import NOTHING, TOKEN, Table
from tests.integration.strict_network import (
    ROUTER,
    ROUTER_6,
    SERVER,
    SERVER_6,
    Captive,
    StrictNetwork,
)
from tests.layering import ROOT
from tests.natlab.namespaces import entered, why_not, within

NAME = "relay.example"
PORT = 7000

TCP = ("tcp at port 7000", "wss at port 7000", "wss at port 443")
"""TCP, and what may be ahead of it on a machine that stands still for a moment."""

QUIC = ("quic at port 7001",)
WSS = ("wss at port 443",)

HEARTBEAT_S = 2
"""Seconds between two heartbeats of a client that does without long waits."""

REACHED = "the server is reached by "


ONE_SERVER = {(NAME.encode(), A): [Record_A(SERVER)]}
ONE_IS_WRONG = {
    "A": {(NAME.encode(), A): [Record_A(ROUTER)], (NAME.encode(), AAAA): [Record_AAAA(SERVER_6)]},
    "AAAA": {(NAME.encode(), A): [Record_A(SERVER)], (NAME.encode(), AAAA): [Record_AAAA(ROUTER_6)]},
}
LYING = {(NAME.encode(), A): [Record_A(ROUTER)]}

_why_not = functools.cache(why_not)


class StrictNetworkTests(FaultTestCase):
    """One server, whose ports for QUIC and for TCP have different numbers, behind one router."""

    def setUp(self) -> None:
        """Makes the network and starts the server."""
        super().setUp()
        if reason := _why_not():
            raise SkipTest(f"no network can be made here: {reason}")
        if lack := Carriers.installed().get("quic").lacks():
            raise SkipTest(f"quic {lack}")
        self.network = StrictNetwork(ROOT / "docs/listings" / "any-network/front.nft")
        self.addCleanup(self.network.remove)
        authority = Authority(self.folder)
        self.server_certificate = authority.certify(NAME)
        self.server_certificate.key.chmod(0o600)
        self.other_certificate = authority.certify("captive.example")
        self.server = self.start(
            (*within(self.network.space("s")), *relaykit_command("server")),
            {
                "bindPort": PORT,
                "quicBindPort": PORT + 1,
                "stunPort": -1,
                "auth.token": TOKEN,
                "transport.tls.certFile": str(self.server_certificate.certificate),
                "transport.tls.keyFile": str(self.server_certificate.key),
            },
        )
        self.server.wait_for("started successfully")

    def names(self, records: Any) -> str:
        """A name server at the router."""
        with entered(self.network.space("r")):
            names = Names(records, ROUTER)
        self.addCleanup(names.stop)
        return f"{ROUTER}:{names.port}"

    def leave(self, network: str, name_server: str, table: Table = NOTHING) -> Program:
        """A client in such a network, which knows what clients before it have learned."""
        self.network.set_rules(network)
        return self.start(
            (*within(self.network.space("c")), *relaykit_command("client")),
            {
                "serverAddr": NAME,
                "serverPort": PORT,
                "dnsServer": name_server,
                "stateDir": str(self.folder / "state"),
                "auth.token": TOKEN,
                "transport.protocol": "auto",
                "transport.tls.serverFingerprint": self.server_certificate.fingerprint,
                **table,
            },
        )

    def reached(self, client: Program, what: str, ways: Sequence[str], times: int = 1) -> None:
        """Waits until a client is in, by one of these ways, and prints how long it took."""
        line = client.wait_for(REACHED, times)
        client.wait_for("login to server success", times)
        way = self.check_way(line, ways)
        began = client.wait_for("try to connect", times)
        self.figure(f"{what}, {way}", _seconds(line) - _seconds(began))

    def check_way(self, line: str, ways: Sequence[str]) -> str:
        """What the server is reached by, as a line of the log has it; it must be one of these."""
        way = line.partition(REACHED)[2].partition(":")[0]
        self.assertIn(way, ways)
        return way

    def check_quiet(self, logins: int) -> None:
        """The server has seen these logins and nothing else that is worth a word."""
        lines = [line for line in self.server.output.splitlines() if "client login info" in line]
        self.assertEqual(len(lines), logins)
        self.assertEqual([line for line in self.server.output.splitlines() if " [W] " in line], [])

    def forget(self) -> None:
        """The next client knows nothing."""
        shutil.rmtree(self.folder / "state")

    def test_what_is_let_out(self) -> None:
        """Everything, no UDP, nothing but HTTPS, nothing but a proxy: one file for all of them."""
        names = self.names(ONE_SERVER)
        socks = Program(
            (*within(self.network.space("r")), path_of("microsocks"), "-i", ROUTER, "-p", "1080"), self.folder
        )
        self.addCleanup(socks.stop)
        proxied = {"transport.proxyURL": f"socks5://{ROUTER}:1080", "serverAddr": SERVER}
        for network, way, table in (
            ("open", TCP, NOTHING),
            ("no UDP", TCP, NOTHING),
            ("only 443", WSS, NOTHING),
            ("only the router", TCP, proxied),
        ):
            client = self.leave(network, names, table)
            self.reached(client, network, way)
            client.stop()
            self.forget()
        self.check_quiet(4)

    def test_names_that_lie(self) -> None:
        """Where somebody else answers another address is tried, and the one that was the server's."""
        captive = Captive(self.network, self.other_certificate, (443, PORT))
        self.addCleanup(captive.stop)
        for record, records in ONE_IS_WRONG.items():
            client = self.leave("no UDP", self.names(records))
            self.reached(client, f"the {record} record is wrong", TCP)
            client.stop()
        self.assertGreater(captive.asked, 0)
        before = captive.asked
        client = self.leave("no UDP", self.names(LYING))
        self.reached(client, "the only address is wrong", TCP)
        client.stop()
        self.assertGreater(captive.asked, before)
        self.check_quiet(3)

    def test_udp_for_a_moment(self) -> None:
        """A session by QUIC is given up where UDP is dropped from then on, and TCP comes first."""
        names = self.names(ONE_SERVER)
        client = self.leave("open", names)
        self.reached(client, "open", TCP)
        client.stop()
        client = self.leave("no TCP", names)
        self.reached(client, "no TCP", QUIC)
        self.network.set_rules("no UDP")
        self.check_left(client)
        client = self.leave("open", names)
        self.reached(client, "the next time", TCP)
        client.stop()

    @takes_long
    def test_udp_for_a_second(self) -> None:
        """The same where the router counts a second for each flow, in which a client must have logged in."""
        names = self.names(ONE_SERVER)
        for network, way in (("open", TCP), ("no TCP", QUIC)):
            client = self.leave(network, names)
            self.reached(client, network, way)
            client.stop()
        client = self.leave("UDP for a second", names)
        self.reached(client, "before UDP ends", QUIC)
        self.check_left(client)

    def check_left(self, client: Program) -> None:
        """A client whose session by QUIC died has another one by TCP, and knows why."""
        line = client.wait_for(REACHED, 2)
        self.check_way(line, TCP)
        client.wait_for("login to server success", 2)
        client.wait_for("fell silent on this network")
        self.figure("the next session after", _seconds(line) - _seconds(client.wait_for(REACHED)))
        client.stop()

    @takes_long
    def test_rules_that_change(self) -> None:
        """A client that runs gets out of one network after the other by itself."""
        client = self.leave("open", self.names(ONE_SERVER), {"transport.heartbeatInterval": HEARTBEAT_S})
        self.reached(client, "open", TCP)
        # What fell silent before is tried last.
        for network, (way,) in (("only 443", WSS), ("no TCP", QUIC), ("no UDP", ("wss at port 7000",))):
            self.network.set_rules(network)
            changed = time.time()
            line = client.wait_for(f"{REACHED}{way}")
            self.figure(f"{network}, {way}, from the change of rules", _seconds(line) - changed)


def _seconds(line: str) -> float:
    """When a line of a log was written."""
    return datetime.fromisoformat(line[:23]).timestamp()
