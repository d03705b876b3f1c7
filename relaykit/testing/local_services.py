"""Users of local services, as a client connects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.dataplane.local_services import NOBODY, LocalServices

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.interfaces import IStreamLeg
    from relaykit.testing.memory import MemoryNetwork
    from relaykit.values import Origin

__all__ = ["ServiceUsers"]


class ServiceUsers:
    """Connects users to what Twisted client endpoint strings name, each parsed once as in a client.

    :param network: carries what they send and get.
    """

    def __init__(self, network: MemoryNetwork) -> None:
        self._services = LocalServices(network)

    def connect(self, description: str, origin: Origin = NOBODY) -> Deferred[IStreamLeg]:
        """The leg of one user, who comes from there.

        Fails with :class:`relaykit.errors.ConnectionFailed`: the service cannot be had, or refuses.
        """
        return self._services.dial(description, origin)
