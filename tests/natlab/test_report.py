"""``relaykit nat`` behind real routers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from relaykit.nat.report import run
from relaykit.values import PathProtocol
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.igd import PROGRAM, is_listening, start_igd
from tests.natlab.lab import SERVER, SERVER_6, NamespaceNetwork


class SlowNames(NamespaceNetwork):
    """A machine whose name server is dead."""

    def call_in_thread(self, function: Any) -> Deferred[Any]:
        return (
            Deferred()
            if "slow.example" in getattr(function, "args", ())
            else super().call_in_thread(function)
        )


REPORT_S = 6.0
"""What a report may take."""


class ReportTests(NatLabCase):
    """The whole command."""

    @tried_again
    async def test_in_time(self) -> None:
        """Behind a strict router that maps no ports all is known within six seconds, with a dead name."""
        lab = self.make_lab("port", "port", 0.025)
        await self.begin(lab)
        said: list[str] = []
        host: Any = reactor
        network = SlowNames(host, lab.space("ca"))
        servers = [*SERVER, "slow.example"]
        status = await run(reactor, network, said.append, servers, {}, as_json=True)
        found = json.loads(said[0])
        self.assertEqual((status, found["unknown_names"]), (0, ["slow.example"]))
        self.assertEqual(found["four"]["mapping"], "endpoint-independent")
        self.assertEqual(found["four"]["filtering"], "address-and-port-dependent")
        self.took("a report", found["seconds"], REPORT_S)

    @tried_again
    async def test_both_families(self) -> None:
        """A NAT of IPv4, a firewall of IPv6 and a router that maps ports are found in one go."""
        lab = self.make_lab("symseq", "port", six=True)
        await self.begin(lab)
        self.serve_stun(lab, SERVER_6)
        if PROGRAM:
            start_igd(lab, "a", Path(self.mktemp()), upnp=False)
            await self.until("the router program listens", lambda: is_listening(lab, "a"))
        said: list[str] = []
        status = await run(
            reactor,
            lab.network("ca", reactor),
            said.append,
            [SERVER[0], f"[{SERVER_6}]:3478"],
            {"direct": frozenset(PathProtocol)},
            as_json=True,
        )
        found = json.loads(said[0])
        self.assertEqual(status, 0)
        self.assertEqual((found["four"]["type"], found["four"]["is_translated"]), ("stepped", True))
        self.assertEqual((found["six"]["type"], found["six"]["is_translated"]), ("steady", False))
        if PROGRAM:
            self.assertEqual(
                found["port_mapping"], {"protocol": "PCP", "works": True, "external_host": "192.0.1.2"}
            )
