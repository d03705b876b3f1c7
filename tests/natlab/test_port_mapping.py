"""Ports mapped by a real router program, and punches that need them."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

from relaykit.nat.mapping import PortMapper
from relaykit.nat.upnp import UpnpRouter, is_available
from relaykit.sansio.nat import portmap
from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.values import Address
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.igd import PROGRAM, forget_pcp, is_listening, start_igd
from tests.natlab.lab import NatLab
from tests.natlab.namespaces import run, within
from tests.natlab.rendezvous import known, network_info

RENEWED_S = 8.0
"""Several lives of a mapping that lives for three seconds."""


class PortMappingTests(NatLabCase):
    """miniupnpd on router A."""

    if not PROGRAM:
        skip = "miniupnpd is not installed"

    async def router(self, kind: str = "port", net_a: str = "192.0.1", **how: bool) -> NatLab:
        """A laboratory with such a router."""
        lab = self.make_lab(kind, "symrnd", net_a=net_a)
        start_igd(lab, "a", Path(self.mktemp()), **how)
        await self.until("the router program listens", lambda: is_listening(lab, "a"))
        return lab

    def mapper(self, lab: NatLab, upnp: bool = False) -> PortMapper:
        """A mapper on machine A."""
        network = lab.network("ca", reactor)
        mapper = PortMapper(reactor, network, UpnpRouter(network) if upnp else None)
        mapper.startService()
        self.addCleanup(mapper.stopService)
        return mapper

    def table(self, lab: NatLab) -> list[str]:
        """The mappings in the router's rules."""
        rules = run([*within(lab.space("ra")), "nft", "list", "table", "inet", "miniupnpd"])
        return [line for line in rules.splitlines() if "dnat" in line]

    async def check_reaches(self, lab: NatLab, external: Address, port: int) -> None:
        """A datagram of a stranger comes in through a mapping."""
        came: list[bytes] = []

        def has_come() -> bool:
            outside.send(b"x", external)
            return bool(came)

        inside = lab.network("ca", reactor).open_udp(
            "0.0.0.0", port, lambda data, source, arrived_at: came.append(data)
        )
        outside = lab.network("cb", reactor).open_udp("0.0.0.0", 0, lambda data, source, arrived_at: None)
        try:
            await self.until("a stranger comes in", has_come)
        finally:
            inside.close()
            outside.close()

    @tried_again
    async def test_pcp(self) -> None:
        """PCP maps a port within milliseconds, strangers come in, and at the end it is closed."""
        lab = await self.router(upnp=False)
        mapper = self.mapper(lab)
        (external,) = await mapper.map(40001)
        self.assertEqual((mapper.protocol, external.host), ("PCP", "192.0.1.2"))
        await self.check_reaches(lab, external, 40001)
        await self.until("there is one mapping", lambda: len(self.table(lab)) == 1)
        await mapper.stopService()
        await self.until("the mapping is gone", lambda: not self.table(lab))

    @tried_again
    async def test_nat_pmp(self) -> None:
        """A router that only speaks the older NAT-PMP maps, renews and closes as well."""
        self.patch(portmap, "LIFETIME_S", 3)
        lab = await self.router(upnp=False)
        forget_pcp(lab, "a")
        mapper = self.mapper(lab)
        (external,) = await mapper.map(40001)
        self.assertEqual((mapper.protocol, external.host), ("NAT-PMP", "192.0.1.2"))
        await deferLater(reactor, RENEWED_S, lambda: None)
        await self.check_reaches(lab, external, 40001)
        await self.until("there is one mapping", lambda: len(self.table(lab)) == 1)
        await mapper.stopService()
        await self.until("the mapping is gone", lambda: not self.table(lab))

    @tried_again
    async def test_renewal(self) -> None:
        """A mapping with a short life outlives it several times."""
        self.patch(portmap, "LIFETIME_S", 3)
        lab = await self.router(upnp=False)
        mapper = self.mapper(lab)
        (external,) = await mapper.map(40001)
        await deferLater(reactor, RENEWED_S, lambda: None)
        await self.check_reaches(lab, external, 40001)
        await self.until("there is one mapping", lambda: len(self.table(lab)) == 1)

    @tried_again
    async def test_upnp(self) -> None:
        """A router that only speaks UPnP maps as well, and takes it back."""
        lab = await self.router(natpmp=False)
        mapper = self.mapper(lab, upnp=True)
        (external,) = await mapper.map(40002)
        self.assertEqual((mapper.protocol, str(external)), ("UPnP", "192.0.1.2:40002"))
        await self.check_reaches(lab, external, 40002)
        await mapper.stopService()
        await self.until("the mapping is gone", lambda: not self.table(lab))

    if not is_available():
        test_upnp.skip = "miniupnpc is not installed"  # type: ignore[attr-defined]

    @tried_again
    async def test_double_nat(self) -> None:
        """A router that sees that its own address is not public refuses, which is not waited for."""
        lab = await self.router(net_a="198.51.100", upnp=False)
        mapper = self.mapper(lab)
        self.assertEqual(await mapper.map(40001), [])

    @tried_again
    async def test_punch(self) -> None:
        """Two random NATs that could never be punched meet through a mapped port."""
        lab = await self.router(kind="symrnd", upnp=False)
        mapper = self.mapper(lab)
        await mapper.when_asked()
        rendezvous = await self.begin(lab)
        behavior = known("symrnd")
        result = await rendezvous.punch(
            around=(
                network_info(lab, "ca", behavior=behavior, mapper=mapper),
                network_info(lab, "cb", behavior=behavior),
            )
        )
        self.assertTrue(result.worked, result)
        kinds = {path.role.value: path.result.kind for path in result.paths}
        self.assertEqual(kinds["responder"], CandidateKind.MAPPED)
        await self.until("there is one mapping", lambda: len(self.table(lab)) == 1)
        result.close()
        await self.until("the mapping is gone", lambda: not self.table(lab))
