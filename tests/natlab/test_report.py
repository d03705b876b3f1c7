"""``relaykit nat`` behind real routers."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.internet import reactor

from relaykit.nat.report import run
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.igd import PROGRAM, is_listening, start_igd
from tests.natlab.lab import SERVER, SERVER_6


class ReportTests(NatLabCase):
    """The whole command."""

    @tried_again
    async def test_both_families(self) -> None:
        """A NAT of IPv4, a firewall of IPv6 and a router that maps ports are found in one go."""
        lab = self.make_lab("symseq", "port", net_a="192.0.1", six=True)
        await self.begin(lab)
        self.serve_stun(lab, SERVER_6)
        if PROGRAM:
            start_igd(lab, "a", Path(self.mktemp()), upnp=False)
            await self.until("the router program listens", lambda: is_listening(lab, "a"))
        said: list[str] = []
        status = await run(
            reactor, lab.network("ca", reactor), said.append, [SERVER[0], f"[{SERVER_6}]:3478"], as_json=True
        )
        found = json.loads(said[0])
        self.assertEqual(status, 0)
        self.assertEqual((found["four"]["type"], found["four"]["is_translated"]), ("stepped", True))
        self.assertEqual((found["six"]["type"], found["six"]["is_translated"]), ("steady", False))
        if PROGRAM:
            self.assertEqual(
                found["port_mapping"], {"protocol": "PCP", "works": True, "external_host": "192.0.1.2"}
            )
