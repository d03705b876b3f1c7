"""The virtual networks of two clients, connected by a server: our programs, and frp's at any place."""

from __future__ import annotations

import functools
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SkipTest

from tests.integration.programs import Program, frp_command, missing_frp, relaykit_command
from tests.integration.relays import NOTHING, SECRET_KEY, RelayTestCase, Table
from tests.integration.traffic import dial, receive_exactly
from tests.integration.virtual_networks import SERVER_OF, ThreeMachines, ping
from tests.natlab.namespaces import entered, run, why_not

TRANSFER_BYTES = 4 * 1024 * 1024
"""More than any buffer on the way has room for."""

LARGEST_PING_BYTES = 1420 - 28
"""What the device takes in one packet of IPv4."""


@functools.cache
def _why_no_devices() -> str:
    """Why there can be no such networks here; empty if there can."""
    if reason := why_not():
        return reason
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"there are no TUN devices ({error.strerror})"
    return ""


@frozen
class Network:
    """The addresses of both ends."""

    provider: str
    visitor: str
    prefix: int


NETWORKS = {
    "ipv4": Network("100.86.0.1", "100.86.0.2", 24),
    "ipv6": Network("fd86::1", "fd86::2", 64),
}


ELSEWHERE = {"ipv4": ("192.0.2.7", 32), "ipv6": ("2001:db8::7", 128)}
"""Addresses outside of them, and the lengths of their prefixes."""


@frozen
class Case:
    """Whose program is at each of the three places."""

    server: str
    provider: str
    visitor: str
    network: str

    @property
    def name(self) -> str:
        """For the names of tests."""
        return f"{self.server}_server_{self.provider}_provider_{self.visitor}_visitor_{self.network}"


CASES = [
    Case(server, provider, visitor, network)
    for server in ("our", "frp")
    for provider in ("our", "frp")
    for visitor in ("our", "frp")
    for network in NETWORKS
    if "our" in (server, provider, visitor)
]


class VirtualNetworkTests(RelayTestCase):
    """A provider on one machine, a visitor on another one, and a server between them."""

    def setUp(self) -> None:
        """Makes the machines."""
        super().setUp()
        if reason := _why_no_devices():
            raise SkipTest(f"no virtual network can be made here: {reason}")
        self.machines = ThreeMachines()
        self.addCleanup(self.machines.remove)

    def program(self, role: str, whose: str, name: str) -> Sequence[str]:
        """The command line of a program on a machine."""
        command = relaykit_command(name) if whose == "our" else frp_command(name)
        return self.machines.command(role, *command)

    def serve(self, whose: str = "our") -> Program:
        """The server."""
        return self.start_server({"bindAddr": "0.0.0.0"}, self.program("s", whose, "frps"))

    def client(self, role: str, whose: str, address: str, more: Table = NOTHING, **entries: Any) -> Program:
        """A client that has an address."""
        own = {"stateDir": str(self.folder / role)} if whose == "our" else NOTHING
        table: dict[str, Any] = {
            "serverAddr": SERVER_OF[role],
            "featureGates": {"VirtualNet": True},
            "virtualNet.address": address,
            "loginFailExit": False,
            "log.level": "debug",
            **own,
            **more,
        }
        return self.start_client(table, command=self.program(role, whose, "frpc"), **entries)

    def provide(self, network: Network, whose: str = "our", table: Table = NOTHING) -> Program:
        """The client that the visitor leads to; ready."""
        proxy = {
            "name": "network",
            "type": "stcp",
            "secretKey": SECRET_KEY,
            "plugin": {"type": "virtual_net"},
        }
        address = f"{network.provider}/{network.prefix}"
        client = self.client("p", whose, address, table, proxies=[proxy])
        client.wait_for("start proxy success")
        return client

    def visitor(self, destination: str) -> Table:
        """What leads to the provider."""
        return {
            "name": "visitor",
            "type": "stcp",
            "serverName": "network",
            "secretKey": SECRET_KEY,
            "bindPort": -1,
            "plugin": {"type": "virtual_net", "destinationIP": destination},
        }

    def visit(self, network: Network, whose: str = "our", destination: str = "") -> Program:
        """The other client."""
        address = f"{network.visitor}/{network.prefix}"
        return self.client("v", whose, address, visitors=[self.visitor(destination or network.provider)])

    def transfer(self, role: str, address: str, to: str) -> None:
        """Moves bytes over a connection between both machines, there and back, and looks at each of them."""
        with entered(self.machines.space(to)):
            service = self.start_service(host=address)
        said = os.urandom(TRANSFER_BYTES)
        with entered(self.machines.space(role)):
            user = dial(service.port, address)
        with user:
            for at in range(0, len(said), 65536):
                piece = said[at : at + 65536]
                user.sendall(piece)
                self.assertEqual(receive_exactly(user, len(piece)), piece)

    def connected(self, network: Network) -> None:
        """Has both machines reach each other, the visitor's first: so the provider's learns its address."""
        ping(self.machines.space("v"), network.provider)
        ping(self.machines.space("p"), network.visitor)

    def try_case(self, case: Case) -> None:
        """Both ends reach each other, by echoes and by connections."""
        if "frp" in (case.server, case.provider, case.visitor) and (reason := missing_frp()):
            raise SkipTest(reason)
        network = NETWORKS[case.network]
        self.serve(case.server)
        self.provide(network, case.provider)
        self.visit(network, case.visitor)
        self.connected(network)
        self.transfer("v", network.provider, "p")
        self.transfer("p", network.visitor, "v")

    def test_largest_packet(self) -> None:
        """A packet that is as long as the device allows gets through whole."""
        network = NETWORKS["ipv4"]
        self.serve()
        self.provide(network)
        self.visit(network)
        ping(self.machines.space("v"), network.provider, LARGEST_PING_BYTES)

    def test_elsewhere(self) -> None:
        """A visitor of a gateway has a route to an address outside of the network, which ends with it."""
        for key, network in NETWORKS.items():
            elsewhere, bits = ELSEWHERE[key]
            run(["ip", "-n", self.machines.space("p"), "addr", "add", f"{elsewhere}/{bits}", "dev", "lo"])
            server = self.serve()
            provider = self.provide(network, table={"virtualNet.gateway": True})
            visitor = self.visit(network, destination=elsewhere)
            ping(self.machines.space("v"), elsewhere)
            self.assertIn("dev utun0", self.machines.route("v", elsewhere))
            for program in (visitor, provider, server):
                program.stop()
            self.assertNotIn("utun0", self.machines.route("v", elsewhere))

    def test_server_again(self) -> None:
        """Both ends reach each other again after the server was gone."""
        network = NETWORKS["ipv4"]
        server = self.serve()
        self.provide(network)
        self.visit(network)
        self.connected(network)
        server.kill()
        self.serve()
        self.connected(network)

    def test_removed(self) -> None:
        """A reload without the visitor ends what it led to, and one that brings it back has it again."""
        network = NETWORKS["ipv4"]
        self.serve()
        provider = self.provide(network)
        visitor = self.visit(network)
        self.connected(network)
        path = Path(max(self.folder.glob("*.json"), key=lambda each: int(each.stem)))
        text = path.read_text()
        path.write_text(text.replace('"visitors": [{', '"visitors": [{"enabled": false, '))
        visitor.signal(signal.SIGHUP)
        visitor.wait_for("visitor removed: [visitor]")
        provider.wait_for("a stream of the virtual network ended")
        path.write_text(text)
        visitor.signal(signal.SIGHUP)
        visitor.wait_for("visitor added: [visitor]", 2)
        self.connected(network)

    def test_stopped(self) -> None:
        """A client that ends leaves no device behind."""
        network = NETWORKS["ipv4"]
        self.serve()
        client = self.provide(network)
        self.assertIn("utun0", self.machines.devices("p"))
        client.stop()
        self.assertNotIn("utun0", self.machines.devices("p"))

    def test_no_rights(self) -> None:
        """Without the right to make a device a client ends at its start, and says what it takes."""
        if shutil.which("setpriv") is None:
            raise SkipTest("the program setpriv is not installed")
        table = {"featureGates": {"VirtualNet": True}, "virtualNet.address": "100.86.0.1/24"}
        without = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--")
        for words in ("frpc", "client"):
            command = self.machines.command("p", *without, *relaykit_command(words))
            client = self.start_client(table, command=command)
            self.assertEqual(client.wait_for_end(), 1)
            self.assertIn("CAP_NET_ADMIN", client.output)
            self.assertNotIn("login to the server failed", client.output)


for _case in CASES:

    def _test(self: VirtualNetworkTests, case: Case = _case) -> None:
        self.try_case(case)

    _test.__doc__ = f"{_case.name.replace('_', ' ')}: both machines reach each other."
    setattr(VirtualNetworkTests, f"test_{_case.name}", _test)
