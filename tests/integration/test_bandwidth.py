"""Limits of bandwidth on real sockets, also with frp at one end: bytes arrive whole, others are not slowed.

How fast they pass is tested in memory, where no test depends on the speed of the machine.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from tests.integration.programs import free_port, frp_command, missing_frp
from tests.integration.relays import RelayTestCase, Table
from tests.integration.scenarios import ENOUGH_BYTES
from tests.integration.traffic import (
    PIECE_BYTES,
    Service,
    dial,
    echo,
    obey,
    order_download,
    order_exchange,
    order_upload,
    receive_exactly,
)

MEGABYTE = 1024 * 1024

SLOW = "1KB"
"""A limit at which :data:`MEGABYTE` takes a quarter of an hour, longer than any test."""


def pour(connection: socket.socket) -> None:
    """A service that sends for as long as its user is there."""
    with contextlib.suppress(ConnectionError):
        while True:
            connection.sendall(bytes(PIECE_BYTES))


def limit(text: str, mode: str = "client") -> Table:
    """What limits a proxy."""
    return {"transport.bandwidthLimit": text, "transport.bandwidthLimitMode": mode}


class LimitTestCase(RelayTestCase):
    """Has proxies with limits and without."""

    def publish_each(
        self, *proxies: tuple[Callable[[socket.socket], None], Table]
    ) -> list[tuple[Service, int]]:
        """A client with these proxies: the service of each, and its port on the server."""
        published = [(self.start_service(serve), free_port()) for serve, _ in proxies]
        tables = [
            {"name": f"{port}", "type": "tcp", "localPort": service.port, "remotePort": port, **table}
            for (service, port), (_, table) in zip(published, proxies, strict=True)
        ]
        self.start_client({}, tables).wait_for("start proxy success", len(tables))
        return published

    def check_whole(self, table: Table) -> None:
        """What users and a service send each other arrives whole, in order, and with its end."""
        ((service, port),) = self.publish_each((obey, table))
        order_exchange(port, MEGABYTE)
        order_upload(port, MEGABYTE)
        order_download(port, MEGABYTE)
        service.wait_served(3)

    def check_others(self, table: Table) -> None:
        """While some users wait for their turns, others of the same client have all that they want."""
        (_, limited), (service, port) = self.publish_each((pour, table), (obey, {}))
        with contextlib.ExitStack() as waiting:
            slow = [waiting.enter_context(dial(limited)) for _ in range(3)]
            for each in slow:
                receive_exactly(each, 1)
            order_exchange(port, ENOUGH_BYTES)
            service.wait_served(1)
            for each in slow:
                each.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    self.assertLess(len(each.recv(MEGABYTE)), MEGABYTE // 2)


class OwnLimitsTests(LimitTestCase):
    """Both ends ours."""

    def test_client(self) -> None:
        """The client limits."""
        self.start_server()
        self.check_whole(limit("4MB"))
        self.check_others(limit(SLOW))

    def test_server(self) -> None:
        """The server limits."""
        self.start_server()
        self.check_whole(limit("4MB", "server"))
        self.check_others(limit(SLOW, "server"))

    def test_all(self) -> None:
        """The server limits the proxy, its client, and the address that users come from."""
        self.start_server({"bandwidth.perClient": "4MB", "bandwidth.perUser": "3MB"})
        self.check_whole(limit("5MB", "server"))

    def test_user_closes(self) -> None:
        """Where the server limits, a service learns that its user has closed though it has said nothing."""
        self.start_server()
        ((service, port),) = self.publish_each((echo, limit("4MB", "server")))
        dial(port).close()
        service.wait_served(1)


class FrpsTests(LimitTestCase):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")

    def test_client(self) -> None:
        """Our client limits."""
        self.start_server()
        self.check_whole(limit("4MB"))
        self.check_others(limit(SLOW))

    def test_server(self) -> None:
        """Frp's server limits; it does not tell a service that its user has closed."""
        self.start_server()
        ((service, port),) = self.publish_each((obey, limit("4MB", "server")))
        order_download(port, MEGABYTE)
        service.wait_served(1)


class FrpcTests(LimitTestCase):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")

    def test_server(self) -> None:
        """Our server limits."""
        self.start_server()
        self.check_whole(limit("4MB", "server"))
        self.check_others(limit(SLOW, "server"))

    def test_all(self) -> None:
        """Our server limits the client, and the address that users come from."""
        self.start_server({"bandwidth.perClient": "4MB", "bandwidth.perUser": "3MB"})
        self.check_whole({})

    def test_client(self) -> None:
        """Frp's client limits."""
        self.start_server()
        self.check_whole(limit("4MB"))
