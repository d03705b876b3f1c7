"""Real frp at one end, ours at the other."""

from __future__ import annotations

from tests.integration.programs import frp_command, missing_frp
from tests.integration.relays import every_way
from tests.integration.scenarios import SOME_WAYS, SOME_WEBSOCKETS, EveryPair, test_each


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS))
@test_each("check_one_direction_ends", SOME_WAYS + SOME_WEBSOCKETS[1:3])
@test_each("check_server_killed", SOME_WAYS + SOME_WEBSOCKETS[:1])
@test_each("check_client_killed", SOME_WAYS + SOME_WEBSOCKETS[1:2])
class FrpcTests(EveryPair):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS))
@test_each("check_one_direction_ends", SOME_WAYS + SOME_WEBSOCKETS[1:3])
@test_each("check_server_killed", SOME_WAYS + SOME_WEBSOCKETS[:1])
@test_each("check_client_killed", SOME_WAYS + SOME_WEBSOCKETS[1:2])
class FrpsTests(EveryPair):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")

    # It closes visits, without a word, when 128 others wait for it to have a look at them.
    visitor_users = 100
