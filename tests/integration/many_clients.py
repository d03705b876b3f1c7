"""A program that is many clients, each with a proxy: ``python many_clients.py PORT TOKEN COUNT``.

Their logins are of the cheapest kind.  It says ``all are there`` once every proxy is registered.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import react

from relaykit.client.service import RelayClient
from relaykit.config.definitions import ConfiguredProxy
from relaykit.config.load import LoadedClient
from relaykit.config.schema import ClientConfig
from relaykit.config.schema.auth import ClientAuth
from relaykit.config.schema.client import ClientTls, ClientTransport
from relaykit.options import ProxyCommon
from relaykit.plugins import ProxyTypes
from relaykit.proxies.stcp import StcpOptions
from relaykit.values import Secret


def one(number: int, port: int, token: Secret, types: ProxyTypes, reactor: Any) -> RelayClient:
    """One of them."""
    proxy = ConfiguredProxy(
        ProxyCommon(name="shop", type="stcp", local_port=9), StcpOptions(secret_key=Secret("k")), "stcp"
    )
    config = ClientConfig(
        server_addr="127.0.0.1",
        server_port=port,
        user=f"user{number}",
        client_id=f"client{number}",
        auth=ClientAuth(token=token, bound="off"),
        transport=ClientTransport(tls=ClientTls(enable=False)),
        login_fail_exit=False,
    )
    return RelayClient(LoadedClient(config, (proxy,), (), ()), token, types, reactor)


def main(reactor: Any, port: str, token: str, count: str) -> Deferred[None]:
    """Runs until it is killed."""
    types = ProxyTypes.installed()
    clients = [one(number, int(port), Secret(token), types, reactor) for number in range(int(count))]
    for position, client in enumerate(clients):
        # Not all at once: a server lets only so many try at a time.
        reactor.callLater(position / 100, client.startService)
    registered = DeferredList([client.when_registered() for client in clients], consumeErrors=True)
    registered.addCallback(lambda _: print("all are there", flush=True))
    return Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
