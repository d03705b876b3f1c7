"""Our server and our client, as programs of their own."""

from __future__ import annotations

from tests.integration.relays import Way, every_way
from tests.integration.scenarios import ENOUGH_BYTES, MUCH_BYTES, RESTARTS, EveryPair, test_each


@test_each("check_traffic", every_way("v1", "v2"))
@test_each("check_many_users", every_way("v1", "v2", transforms=[False]))
@test_each("check_server_killed", RESTARTS)
@test_each("check_client_killed", RESTARTS)
class OurPairTests(EveryPair):
    """Both ends are ours."""

    def bytes_of(self, way: Way) -> int:
        """Much only where nothing but our own speed limits it; against frp all ways are tried with much."""
        return MUCH_BYTES if way.wire == "v2" and not way.transforms else ENOUGH_BYTES
