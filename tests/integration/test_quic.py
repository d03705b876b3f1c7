"""QUIC between client and server, with real programs: ours, and frp's at one of the two ends."""

from __future__ import annotations

from tests.integration.programs import frp_command, missing_frp
from tests.integration.relays import Way, every_way
from tests.integration.scenarios import ENOUGH_BYTES, EveryPair, test_each

ALL = tuple(every_way("v1", "v2", tls=[True], carrier="quic"))
SOME = (
    Way("v1", tls=False, mux=True, carrier="quic"),
    Way("v2", tls=True, mux=True, carrier="quic"),
)


class QuicPair(EveryPair):
    """The scenarios over QUIC."""

    def bytes_of(self, way: Way) -> int:
        """Enough: the loads of QUIC are measured elsewhere."""
        return ENOUGH_BYTES


@test_each("check_traffic", ALL)
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME[1:])
@test_each("check_client_killed", SOME[:1])
class OurQuicTests(QuicPair):
    """Both ends are ours."""


@test_each("check_traffic", ALL)
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME[1:])
@test_each("check_client_killed", SOME[:1])
class FrpcQuicTests(QuicPair):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", ALL)
@test_each("check_one_direction_ends", SOME)
@test_each("check_server_killed", SOME[1:])
@test_each("check_client_killed", SOME[:1])
class FrpsQuicTests(QuicPair):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
    visitor_users = 100
