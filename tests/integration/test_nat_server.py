"""The STUN server on real sockets, against our own client, coturn's programs and frpc."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, TestCase

from relaykit.nat.driving import DatagramDriver
from relaykit.nat.server import StunService
from relaykit.nat.sockets import UdpSocket, local_host_towards
from relaykit.sansio.nat.behavior import BehaviorDiscovery, Filtering, Mapping, NatBehavior, sockets_needed
from relaykit.values import Address
from tests.integration.dataplane.test_ports import has_ipv6
from tests.integration.programs import frp_command, missing_frp, relaykit_command
from tests.layering import ROOT

FRPC = "" if missing_frp() else frp_command("frpc")[0]
NATDISCOVERY = shutil.which("turnutils_natdiscovery") or ""
STUNCLIENT = shutil.which("turnutils_stunclient") or ""

EASY = b"Your NAT type is: EasyNAT"

ATTEMPTS = 5
"""How often a server is asked whose answers may come too late for whoever asks."""


class StunServerTests(TestCase):
    """A server with two addresses and two ports on loopback."""

    timeout = 600

    def serve(self, *hosts: str) -> Address:
        """Starts a server."""
        service = StunService(reactor, hosts, 0)
        service.startService()
        self.addCleanup(service.stopService)
        address = service.addresses[0]
        return Address(address.host if address.host != "0.0.0.0" else "127.0.0.3", address.port)

    def discover(self, server: Address) -> Deferred[NatBehavior]:
        """Runs a whole discovery from this machine."""
        host = local_host_towards(server)
        sockets = [
            UdpSocket(reactor, host, 0, lambda data, source, arrived_at: None)
            for _ in range(sockets_needed())
        ]
        for each in sockets:
            self.addCleanup(each.close)
        core = BehaviorDiscovery([server], [each.address for each in sockets], os.urandom)
        found: Deferred[NatBehavior] = Deferred()
        driver = DatagramDriver(core, sockets, reactor, found.callback)
        self.addCleanup(driver.stop)
        core.start(driver.now)
        driver.start()
        return found

    async def check_discovered(self, server: Address, filtering: Filtering) -> NatBehavior:
        """A discovery finds no NAT and this filtering; on a machine that stands still, one of several."""
        for _ in range(ATTEMPTS):
            found = await self.discover(server)
            if found.filtering is filtering and found.mapped == found.local:
                break
        self.assertEqual((found.mapped, found.filtering), (found.local, filtering))
        return found

    async def output(self, program: str, arguments: Sequence[str], *expected: bytes) -> bytes:
        """What a program prints that asks the server; on a machine that stands still, one of several runs."""
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        said = b""
        for _ in range(ATTEMPTS):
            said, _, _ = await getProcessOutputAndValue(program, arguments, env=environ, reactor=reactor)
            if all(text in said for text in expected):
                break
        for text in expected:
            self.assertIn(text, said)
        return said

    async def test_own_client(self) -> None:
        """Our own discovery finds that loopback has no NAT, by a server with two addresses."""
        found = await self.check_discovered(
            self.serve("127.0.0.1", "127.0.0.2"), Filtering.ENDPOINT_INDEPENDENT
        )
        self.assertIs(found.mapping, Mapping.ENDPOINT_INDEPENDENT)
        self.assertTrue(found.hairpin)

    async def test_every_address(self) -> None:
        """Bound to every address, it answers from the very address that was asked."""
        await self.check_discovered(self.serve("0.0.0.0"), Filtering.NOT_PORT_DEPENDENT)

    async def test_ipv6(self) -> None:
        """The same over IPv6."""
        if not has_ipv6():
            raise SkipTest("this machine has no IPv6")
        await self.check_discovered(self.serve("::1"), Filtering.NOT_PORT_DEPENDENT)

    async def test_turnutils_natdiscovery(self) -> None:
        """Coturn's discovery program completes the tests of RFC 5780 with this server."""
        server = self.serve("127.0.0.1", "127.0.0.2")
        arguments = ["-m", "-f", "-p", str(server.port), "-L", "127.0.0.1", server.host]
        await self.output(
            NATDISCOVERY,
            arguments,
            b"NAT with Endpoint Independent Mapping!",
            b"NAT with Endpoint Independent Filtering!",
        )

    async def test_turnutils_stunclient(self) -> None:
        """Coturn's client reads its own address in the answer."""
        server = self.serve("127.0.0.1")
        arguments = ["-p", str(server.port), server.host]
        await self.output(STUNCLIENT, arguments, b"UDP reflexive addr: 127.0.0.1:")

    async def test_frpc(self) -> None:
        """Frpc gets its two answers and calls loopback an easy NAT."""
        for hosts in (["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["0.0.0.0"]):
            server = self.serve(*hosts)
            arguments = ["nathole", "discover", "--nat-hole-stun-server", str(server)]
            await self.output(FRPC, arguments, EASY)

    async def test_same_as_frpc(self) -> None:
        """Our ``frpc nathole discover`` prints what frp's prints, but for the ports."""
        server = self.serve("127.0.0.1")
        printed = []
        for command in (relaykit_command("frpc"), (FRPC,)):
            arguments = [*command[1:], "nathole", "discover", "--nat-hole-stun-server", str(server)]
            output = await self.output(command[0], arguments, EASY)
            printed.append(re.sub(rb"(127\.0\.0\.1|0\.0\.0\.0):\d+(?=[ \]\n])", rb"\1:PORT", output))
        self.assertEqual(printed[0], printed[1])
        self.assertEqual(len(printed[0].splitlines()), 6)

    if not FRPC:
        test_same_as_frpc.skip = "no frps and frpc on PATH or in the directory RELAYKIT_FRP_BIN"  # type: ignore[attr-defined]
        test_frpc.skip = "no frps and frpc on PATH or in the directory RELAYKIT_FRP_BIN"  # type: ignore[attr-defined]
    if not NATDISCOVERY:
        test_turnutils_natdiscovery.skip = "coturn is not installed"  # type: ignore[attr-defined]
    if not STUNCLIENT:
        test_turnutils_stunclient.skip = "coturn is not installed"  # type: ignore[attr-defined]
