"""Local services that lead back to the proxy that they are for: its own port of the server, mostly.

One user of such a proxy would be the client's own next user, again and again, until a machine has no
descriptors.  A user whose connection has both addresses of a connection of this client to a local service is
that connection.  One address alone tells nothing: a machine gives a port to connections to many places.
"""

from __future__ import annotations

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
    """This client's connections to local services, by their own address and the service's."""

    def __init__(self) -> None:
        self._connections: set[tuple[Address, Address]] = set()

    def check(self, origin: Origin) -> None:
        """Lets users in that are somebody else.

        :raises LeadsBack: this one is a connection of the client itself.
        """
        if (origin.source, origin.destination) in self._connections:
            raise LeadsBack(
                "it is this client's own connection, so the local service is a port that leads back here"
            )

    def add(self, host: Address | None, peer: Address | None, flow: IFlow) -> None:
        """Has one be among them, if its addresses are known, until a flow ends."""
        if host is not None and peer is not None:
            ends = (host, peer)
            self._connections.add(ends)
            flow.when_ended().addBoth(lambda _: self._connections.discard(ends))
