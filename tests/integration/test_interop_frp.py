"""Real frp at one end, ours at the other."""

from __future__ import annotations

from tests.integration.programs import frp_command, missing_frp
from tests.integration.relays import every_way
from tests.integration.scenarios import RESTARTS, EveryPair, test_each


@test_each("check_traffic", every_way("v1", "v2"))
@test_each("check_many_users", every_way("v1", "v2", transforms=[False]))
@test_each("check_server_killed", RESTARTS)
@test_each("check_client_killed", RESTARTS)
class FrpcTests(EveryPair):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", every_way("v1", "v2"))
@test_each("check_many_users", every_way("v1", "v2", transforms=[False]))
@test_each("check_server_killed", RESTARTS)
@test_each("check_client_killed", RESTARTS)
class FrpsTests(EveryPair):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
