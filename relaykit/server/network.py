"""What of the server touches the network: made in one place, so that all else runs without one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.dataplane.datagram_sockets import listen_datagrams
from relaykit.dataplane.listening import listen_tcp
from relaykit.dataplane.plane import DataPlane, make_data_plane
from relaykit.dataplane.poller import make_poller

if TYPE_CHECKING:
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramAcceptor, IListeningPort

__all__ = ["Network", "make_network"]


@frozen
class Network:
    """Where clients and users come from.

    ``listen(host, port, acceptor, for_users=False)`` opens a TCP port and ``listen_datagrams(host, port,
    acceptor)`` a UDP port; both raise :class:`relaykit.dataplane.listening.ListenFailed`.
    """

    poller: Poller
    data_plane: DataPlane
    listen: Callable[..., IListeningPort]
    listen_datagrams: Callable[[str, int, IDatagramAcceptor], IListeningPort]


def make_network(reactor: Any) -> Network:
    """The network of this machine."""
    poller = make_poller(reactor)
    return Network(
        poller, make_data_plane(poller), partial(listen_tcp, poller), partial(listen_datagrams, poller)
    )
