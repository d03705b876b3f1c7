"""How many sockets the searches for a port of one client may have open at once."""

from __future__ import annotations

from typing import Final

from relaykit.descriptors import for_searching

__all__ = ["SEARCHING_SOCKETS_MAX", "SocketAllowance"]

SEARCHING_SOCKETS_MAX: Final = 4096
"""Most sockets of all searches together: sixteen of the largest, as many as one proxy may have rendezvous.
Each has a flow in the router, too."""


class SocketAllowance:
    """Sockets are taken before they are opened and given back once they are closed.

    :param most: so many in all; None for what this process may have open files for.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._taken = 0

    def take(self, count: int) -> int:
        """Takes so many, or as many as there are; answers how many that is."""
        most = for_searching(SEARCHING_SOCKETS_MAX) if self._most is None else self._most
        granted = max(0, min(count, most - self._taken))
        self._taken += granted
        return granted

    def give_back(self, count: int) -> None:
        """Gives back what was taken."""
        self._taken -= count
