"""Gives a role its metrics; what makes them is imported with this module, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relaykit.administration.metrics.client import ClientSource
from relaykit.administration.metrics.exposition import Exposition
from relaykit.administration.metrics.frp import TRAFFIC, FrpSource
from relaykit.administration.metrics.lag import ReactorLag
from relaykit.administration.metrics.process import ProcessSource
from relaykit.administration.metrics.server import ServerSource

if TYPE_CHECKING:
    from relaykit.administration.routes import Route
    from relaykit.client.service import RelayClient
    from relaykit.server.service import RelayServer

__all__ = ["client_metrics", "server_metrics"]


def server_metrics(server: RelayServer, reactor: Any) -> Route:
    """Those of a server, which is observed from now on."""
    own = ServerSource(server)
    server.observe(own)
    lag = ReactorLag(reactor)
    lag.setServiceParent(server)
    return Exposition(reactor, (FrpSource(server), own, lag, ProcessSource("server")), TRAFFIC).route()


def client_metrics(client: RelayClient, reactor: Any) -> Route:
    """Those of a client."""
    lag = ReactorLag(reactor)
    lag.setServiceParent(client)
    return Exposition(reactor, (ClientSource(client), lag, ProcessSource("client"))).route()
