"""Local services that lead back to the proxy that they are for: its own port of the server, mostly.

One user of such a proxy would be the client's own next user, again and again, until a machine has no
descriptors.  Who comes from an address that a connection of this client to a local service has is that
connection.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from relaykit.errors import ConnectionFailed

if TYPE_CHECKING:
    from relaykit.interfaces import IFlow
    from relaykit.values import Address, Origin

__all__ = ["LeadsBack", "OwnConnections"]


class LeadsBack(ConnectionFailed):
    """A user is this client's own connection."""

    problem = "leads-back"


class OwnConnections:
    """The addresses that this client's connections to local services have at its own end."""

    def __init__(self) -> None:
        self._addresses: Counter[Address] = Counter()

    def check(self, origin: Origin) -> None:
        """Lets users in that are somebody else.

        :raises LeadsBack: this one is a connection of the client itself.
        """
        if origin.source is not None and origin.source in self._addresses:
            raise LeadsBack(
                "it is this client's own connection, so the local service is a port that leads back here"
            )

    def add(self, address: Address | None, flow: IFlow) -> None:
        """Has an address be one of them, if it is known, until a flow ends."""
        if address is not None:
            self._addresses[address] += 1
            flow.when_ended().addBoth(self._ended, address)

    def _ended(self, _: object, address: Address) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
