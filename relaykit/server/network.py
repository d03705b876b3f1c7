"""What of the server touches the network: made in one place, so that all else runs without one."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.dataplane.passed_sockets import PassedSockets
from relaykit.dataplane.plane import DataPlane, make_data_plane
from relaykit.dataplane.poller import make_poller

if TYPE_CHECKING:
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramAcceptor, IListeningPort

__all__ = ["Network", "make_network", "network_of_process"]


@frozen
class Network:
    """Where clients and users come from.

    ``listen(host, port, acceptor, for_users=False, keepalive_s=60)`` opens a TCP port and
    ``listen_datagrams(host, port, acceptor)`` a UDP port; both raise
    :class:`relaykit.dataplane.listening.ListenFailed`.  ``unused()`` tells the sockets that this process was
    started with and on which nobody has listened yet.
    """

    poller: Poller
    data_plane: DataPlane
    listen: Callable[..., IListeningPort]
    listen_datagrams: Callable[[str, int, IDatagramAcceptor], IListeningPort]
    unused: Callable[[], Sequence[str]] = tuple


def make_network(reactor: Any, passed: PassedSockets | None = None) -> Network:
    """The network of this machine; ``passed`` are the sockets that this process was started with."""
    poller = make_poller(reactor)
    passed = passed or PassedSockets()
    return Network(
        poller,
        make_data_plane(poller),
        partial(passed.listen_tcp, poller),
        partial(passed.listen_datagrams, poller),
        lambda: passed.unused,
    )


def network_of_process(environ: MutableMapping[str, str]) -> Callable[[Any], Network]:
    """Makes the network of this machine, with the sockets that this process was started with.

    They are taken out of its environment at once.
    """
    return partial(make_network, passed=PassedSockets.of_process(environ))
