"""QUIC between client and server, with real programs: ours, and frp's at one of the two ends."""

from __future__ import annotations

from tests.integration.programs import frp_command, missing_frp
from tests.integration.relays import Way
from tests.integration.scenarios import ENOUGH_BYTES, EveryPair, test_each

MORE = (
    Way("v1", tls=True, mux=False, carrier="quic"),
    Way("v2", tls=True, mux=False, transforms=True, carrier="quic"),
)
"""QUIC has no need of mux, and is encrypted whatever TLS is."""

SOME = (
    Way("v1", tls=False, mux=True, carrier="quic"),
    Way("v2", tls=True, mux=True, carrier="quic"),
)


class QuicPair(EveryPair):
    """The scenarios over QUIC."""

    def bytes_of(self, way: Way) -> int:
        """Enough: the loads of QUIC are measured elsewhere."""
        return ENOUGH_BYTES


@test_each("check_traffic", SOME + MORE)
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME[1:])
@test_each("check_client_killed", SOME[:1])
class OurQuicTests(QuicPair):
    """Both ends are ours."""


@test_each("check_traffic", SOME + MORE)
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME[1:])
@test_each("check_client_killed", SOME[:1])
class FrpcQuicTests(QuicPair):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", SOME + MORE)
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME[1:])
@test_each("check_client_killed", SOME[:1])
class FrpsQuicTests(QuicPair):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
    visitor_users = 100
