"""What our discovery finds of real routers, what coturn's program finds of them, and what frpc does."""

from __future__ import annotations

import os
import shutil

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.utils import getProcessOutput

from relaykit.nat.server import RelayStun
from relaykit.sansio.nat import behavior
from relaykit.sansio.nat.behavior import Mapping, NatBehavior, PortAllocation
from relaykit.values import Address
from tests.integration.programs import frp_command, missing_frp, relaykit_command
from tests.layering import ROOT
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import entered, within

EXPECTED = {
    "none": ("endpoint-independent", "endpoint-independent", PortAllocation.PRESERVED),
    "fw": ("endpoint-independent", "address-and-port-dependent", PortAllocation.PRESERVED),
    "full": ("endpoint-independent", "endpoint-independent", PortAllocation.PRESERVED),
    "addr": ("endpoint-independent", "address-dependent", PortAllocation.PRESERVED),
    "port": ("endpoint-independent", "address-and-port-dependent", PortAllocation.PRESERVED),
    "portshift": ("endpoint-independent", "address-and-port-dependent", PortAllocation.RANDOM),
    "symaddr": ("address-dependent", "address-and-port-dependent", None),
    "symseq": ("address-and-port-dependent", "address-and-port-dependent", PortAllocation.STEPPED),
    "symblk": ("address-and-port-dependent", "address-and-port-dependent", PortAllocation.BLOCK),
    "symrnd": ("address-and-port-dependent", "address-and-port-dependent", PortAllocation.RANDOM),
}
"""Mapping, filtering and ports of each kind."""

WORDS = {
    "endpoint-independent": "Endpoint Independent",
    "address-dependent": "Address Dependent",
    "address-and-port-dependent": "Address and Port Dependent",
}


class BehaviorTests(NatLabCase):
    """Each kind of router."""

    @tried_again
    async def test_every_kind(self) -> None:
        """Our own discovery recognizes every kind."""

        async def one(kind: str) -> None:
            lab = self.make_lab(kind, "port")
            await self.begin(lab)
            found = await self.discover(lab, "ca")
            mapping, filtering, allocation = EXPECTED[kind]
            self.assertEqual((found.mapping.value, found.filtering.value), (mapping, filtering), kind)
            if allocation is not None:
                self.assertIs(found.ports.allocation, allocation, kind)
            self.assertEqual(found.is_translated, kind not in ("none", "fw"), kind)
            self.assertFalse(found.hairpin and kind not in ("none", "fw"), kind)

        await gatherResults([Deferred.fromCoroutine(one(kind)) for kind in EXPECTED], consumeErrors=True)

    @tried_again
    async def test_blocked(self) -> None:
        """A network that lets no UDP out is known within four seconds."""
        lab = self.make_lab("udpblock", "port")
        await self.begin(lab)
        began = reactor.seconds()
        self.assertEqual(await self.discover(lab, "ca"), NatBehavior(udp_works=False))
        self.took("a network without UDP", reactor.seconds() - began, 4.5)

    @tried_again
    async def test_hairpin(self) -> None:
        """A router that turns datagrams around is seen to do so."""
        lab = self.make_lab("port+hairpin", "port")
        await self.begin(lab)
        self.assertTrue((await self.discover(lab, "ca")).hairpin)

    @tried_again
    async def test_lifetime(self) -> None:
        """Mappings that die after three seconds are found to live between one and five."""
        self.patch(behavior, "LIFETIMES_S", (1, 5))
        lab = self.make_lab("port+timeout=3", "port")
        await self.begin(lab)
        found = await self.discover(lab, "ca", lifetime=True)
        assert found.lifetime is not None
        self.assertEqual((found.lifetime.at_least_s, found.lifetime.less_than_s), (1, 5))

    @tried_again
    async def test_one_address(self) -> None:
        """By a server with one address it is told what that can show."""
        lab = self.make_lab("symaddr", "port")
        await self.begin(lab, SERVER[0])
        found = await self.discover(lab, "ca")
        self.assertEqual(
            (found.mapping.value, found.filtering.value),
            ("not-port-dependent", "address-and-port-dependent"),
        )


class SecondOpinionTests(NatLabCase):
    """Other people's programs against our server."""

    async def coturn(self, lab: NatLab) -> str:
        """What coturn's program says on a machine behind a NAT."""
        program = shutil.which("turnutils_natdiscovery") or ""
        command = [*within(lab.space("ca")), program, "-m", "-f", SERVER[0]]
        said = await getProcessOutput(command[0], command[1:], errortoo=True, reactor=reactor)
        return str(said, "utf-8")

    @tried_again
    async def check_coturn(self, kind: str) -> None:
        """It finds the behaviors of a NAT of this kind."""
        lab = self.make_lab(kind, "port")
        await self.begin(lab)
        output = await self.coturn(lab)
        mapping, filtering, _ = EXPECTED[kind]
        self.assertIn(f"NAT with {WORDS[mapping]} Mapping!", output, f"{kind}: {output}")
        self.assertIn(f"NAT with {WORDS[filtering]} Filtering!", output, f"{kind}: {output}")

    async def test_turnutils_natdiscovery(self) -> None:
        """Coturn's program finds the same behaviors through our server."""
        kinds = ("full", "addr", "port", "portshift", "symseq", "symrnd")
        await gatherResults(
            [Deferred.fromCoroutine(self.check_coturn(kind)) for kind in kinds], consumeErrors=True
        )

    @tried_again
    async def test_turnutils_natdiscovery_by_one_address(self) -> None:
        """By a server with one address, coturn's program claims nothing of a NAT that it cannot see."""
        lab = self.make_lab("symrnd", "port")
        await self.begin(lab, SERVER[0])
        output = await self.coturn(lab)
        self.assertIn("UDP reflexive addr", output)
        self.assertNotIn("RFC 5780 response", output)
        self.assertNotIn("Independent", output)

    @tried_again
    async def test_frpc_and_one_to_one_nat(self) -> None:
        """Frpc finds its NAT by a server in a cloud that was told its public address."""
        lab = self.make_lab("symseq", "port")
        public = lab.cloud()
        server = RelayStun(reactor, "0.0.0.0", 3478, public_hosts=[public])
        with entered(lab.space("s")):
            server.startService()
        self.addCleanup(server.stopService)
        command = [*within(lab.space("ca")), *frp_command("frpc"), "nathole", "discover"]
        command += ["--nat-hole-stun-server", f"{public}:3478"]
        output = await getProcessOutput(command[0], command[1:], errortoo=True, reactor=reactor)
        self.assertIn(b"Your NAT type is: HardNAT", output)
        self.assertIn(b"Behavior is: BehaviorPortChanged", output)

    @tried_again
    async def test_own_client_and_one_to_one_nat(self) -> None:
        """By a server in a cloud that was told where it is, our own discovery finds the mapping; by one that
        was not, it claims nothing.
        """
        for is_told, mapping in ((True, Mapping.ADDRESS_AND_PORT_DEPENDENT), (False, Mapping.UNKNOWN)):
            lab = self.make_lab("symrnd", "port")
            public = lab.cloud()
            server = RelayStun(reactor, "0.0.0.0", 3478, public_hosts=[public] if is_told else ())
            with entered(lab.space("s")):
                server.startService()
            self.addCleanup(server.stopService)
            found = await self.discover(lab, "ca", [Address(public, 3478)])
            self.assertIs(found.mapping, mapping)

    @tried_again
    async def test_frpc(self) -> None:
        """Frpc finds through our server, with two addresses and with one, what it calls easy and hard.

        Ours says the same of the same router.
        """
        for kind, hosts, words in (
            ("port", SERVER, b"EasyNAT"),
            ("port", SERVER[:1], b"EasyNAT"),
            ("symseq", SERVER[:1], b"HardNAT"),
            ("symrnd", SERVER, b"HardNAT"),
        ):
            lab = self.make_lab(kind, "port")
            await self.begin(lab, *hosts)
            said = []
            for program in (frp_command("frpc"), relaykit_command("frpc")):
                command = [*within(lab.space("ca")), *program, "nathole", "discover"]
                command += ["--nat-hole-stun-server", f"{SERVER[0]}:3478"]
                environ = {**os.environ, "PYTHONPATH": str(ROOT)}
                output = await getProcessOutput(
                    command[0], command[1:], env=environ, errortoo=True, reactor=reactor
                )
                self.assertIn(b"Your NAT type is: " + words, output)
                said.append([line for line in output.splitlines() if b"address" not in line])
            self.assertEqual(said[0], said[1])

    if not shutil.which("turnutils_natdiscovery"):
        test_turnutils_natdiscovery.skip = "coturn is not installed"  # type: ignore[attr-defined]
        test_turnutils_natdiscovery_by_one_address.skip = "coturn is not installed"  # type: ignore[attr-defined]
    if missing_frp():
        test_frpc.skip = missing_frp()  # type: ignore[attr-defined]
        test_frpc_and_one_to_one_nat.skip = missing_frp()  # type: ignore[attr-defined]
