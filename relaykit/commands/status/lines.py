"""How a role is, in one line: for a supervisor that shows it to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.commands.status.view import users_text
from relaykit.values import Address

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.server.service import RelayServer

__all__ = ["client_line", "server_line"]


def client_line(client: RelayClient) -> str:
    """Whether it is connected, and how many it serves."""
    server = Address(client.config.server_addr, client.config.server_port)
    how = "connected" if client.is_connected else "not connected"
    return f"{how} to {server}; {users_text(client.count_flows())}"


def server_line(server: RelayServer) -> str:
    """How much it has to do."""
    clients, proxies, flows = server.counts()
    return f"{_counted(clients, 'client')}, {_counted(proxies, 'proxy', 'proxies')}; {users_text(flows)}"


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"
