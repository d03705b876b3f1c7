"""``xtcp`` behind routers with frp's programs at both ends or at one, by our server and by frp's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from attrs import frozen

from relaykit.carriers.quic.adapter import available
from tests.integration.faults.case import takes_long
from tests.integration.programs import frp_command, missing_frp, relaykit_command
from tests.integration.relays import Table
from tests.integration.test_xtcp_mixed import FRPS, FRPS_V1, MANY_USERS, OURS, OURS_V1, End
from tests.integration.traffic import converse, echo
from tests.natlab.lab import SERVER
from tests.natlab.namespaces import entered
from tests.natlab.programs import STUN_PORT, LabProgramsCase

ENDS = (FRPS, FRPS_V1, OURS, OURS_V1)

PROTOCOLS = ("kcp", *(("quic",) if available("aioquic") else ()))
"""Frp's, as far as its clients can have them from ours here."""

FIRST_PORT = 9000


@frozen
class Meeting:
    """A visitor of a provider, of whom at least one is frp's."""

    provider: End
    visitor: End
    protocol: str

    @property
    def name(self) -> str:
        """Of the visitor, in its file."""
        return f"{self.provider.name}-to-{self.visitor.name}-by-{self.protocol}"


def meetings() -> Sequence[Meeting]:
    """All in which both speak the same version of the wire."""
    met = (Meeting(*each) for each in product(ENDS, ENDS, PROTOCOLS))
    return [
        each
        for each in met
        if (each.provider.is_frp or each.visitor.is_frp) and each.provider.wire == each.visitor.wire
    ]


class FrpCase(LabProgramsCase):
    """Each client of side B has a proxy, which clients of side A visit one after the other."""

    skip = missing_frp()

    def check_meetings(self, stun_port: int, met: Sequence[Meeting]) -> None:
        """All users are served, one alone and then many at once: there is only the direct way."""
        service = self.service(echo)
        table = {"natHoleStunServer": f"{SERVER[0]}:{stun_port}", "log.level": "debug"}
        for end in {each.provider: None for each in met}:
            proxy = {"name": end.name, "localPort": service.port, **end.keys}
            self.client("cb", [proxy], table=self._of(end, table), command=self._command(end))
        for end in {each.visitor: None for each in met}:
            visitors = [
                {
                    "name": each.name,
                    "serverName": each.provider.name,
                    "protocol": each.protocol,
                    "bindPort": FIRST_PORT + place,
                    **end.keys,
                }
                for place, each in enumerate(met)
                if each.visitor == end
            ]
            self.client("ca", visitors=visitors, table=self._of(end, table), command=self._command(end))
        missed = []
        for place, each in enumerate(met):
            try:
                self.reach(FIRST_PORT + place)
                with entered(self.lab.space("ca")):
                    converse(FIRST_PORT + place, MANY_USERS)
            except (AssertionError, OSError) as error:
                missed.append((each.name, str(error)))
        self.assertEqual(missed, [])

    @staticmethod
    def _of(end: End, table: Table) -> Table:
        return {"transport.wireProtocol": end.wire, **table}

    @staticmethod
    def _command(end: End) -> Sequence[str]:
        return frp_command("frpc") if end.is_frp else relaykit_command("client")


class FrpTests(FrpCase):
    """Routers of most homes, of which one gives other ports."""

    def test_our_server(self) -> None:
        """Our server brings them together, and is the STUN server, too."""
        self.serve()
        self.check_meetings(self.bind_port, meetings())

    def test_frp_server(self) -> None:
        """Frp's server does; the STUN server is another one of ours."""
        self.serve(command=frp_command("frps"), table={})
        self.serve_stun()
        self.check_meetings(STUN_PORT, meetings())


class SymmetricTests(FrpCase):
    """A router that takes another port for each peer, on the side of the services."""

    def check_symmetric(self, kind: str) -> None:
        """Pairs meet behind it that speak the newer version of the wire, by one protocol."""
        self.lab.set_nat("b", kind)
        self.serve()
        newer = [each for each in meetings() if (each.visitor.wire, each.protocol) == ("v2", PROTOCOLS[-1])]
        self.check_meetings(self.bind_port, newer)

    def test_counted_ports(self) -> None:
        """Ports that are counted up are predicted as frp does."""
        self.check_symmetric("symseq")

    @takes_long
    def test_random_ports(self) -> None:
        """Ports that are drawn are searched for as frp does, if need be more than once."""
        self.check_symmetric("symrnd")
