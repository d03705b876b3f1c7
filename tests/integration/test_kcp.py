"""KCP between client and server, with real programs: ours, and frp's at one of the two ends."""

from __future__ import annotations

from tests.integration.programs import frp_command, missing_frp
from tests.integration.relays import Way
from tests.integration.scenarios import ENOUGH_BYTES, EveryPair, test_each

MUXED = (
    Way("v1", tls=False, mux=True, carrier="kcp"),
    Way("v2", tls=True, mux=True, carrier="kcp"),
)
"""With frp each connection without mux may stop all others for ten seconds when it is over."""

SOME = MUXED[:1]
"""For what takes longer: without TLS, nothing but mux tells the end of anything."""


class KcpPair(EveryPair):
    """The scenarios over KCP."""

    visitor_users = 100

    def bytes_of(self, way: Way) -> int:
        """Enough: the loads of KCP are measured elsewhere."""
        return ENOUGH_BYTES


@test_each("check_traffic", (*MUXED, Way("v2", tls=True, mux=False, carrier="kcp")))
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME)
class OurKcpTests(KcpPair):
    """Both ends are ours."""


@test_each("check_traffic", MUXED)
@test_each("check_one_direction_ends", SOME)
@test_each("check_client_killed", SOME)
class FrpcKcpTests(KcpPair):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", MUXED)
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME)
class FrpsKcpTests(KcpPair):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
