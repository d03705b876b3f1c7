"""What must work between any server and any client: tests to inherit, one class a pair of programs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from attrs import evolve

from tests.integration.programs import PATIENCE_S, Program
from tests.integration.relays import RelayTestCase, Way
from tests.integration.traffic import (
    FROM_USER,
    converse,
    dial,
    end_of,
    obey,
    order_download,
    order_echoes,
    order_exchange,
    order_upload,
    receive,
    receive_exactly,
    send,
)

__all__ = [
    "EACH_CONNECTION",
    "ENOUGH_BYTES",
    "EVERY_CARRIER",
    "MUCH_BYTES",
    "OVER_DATAGRAMS",
    "SOME_WAYS",
    "SOME_WEBSOCKETS",
    "SOME_WSS",
    "EveryPair",
    "test_each",
]

MANY_USERS = 200
"""Users at once of a proxy."""

MUCH_BYTES = 64 * 1024 * 1024
"""Bytes each way where a stream is to go on for a while."""

ENOUGH_BYTES = 8 * 1024 * 1024
"""Bytes each way elsewhere: more than all windows and buffers on the way hold."""

SOME_WAYS = (
    Way("v1", tls=False, mux=True),
    Way("v1", tls=True, mux=False),
    Way("v2", tls=True, mux=True),
    Way("v2", tls=False, mux=False),
)
"""Each setting in both positions, for what takes longer."""

SOME_WEBSOCKETS = tuple(evolve(each, carrier="websocket") for each in SOME_WAYS)
"""The same over WebSocket."""

SOME_WSS = tuple(evolve(each, carrier="wss") for each in SOME_WAYS if each.tls)
"""The same over WebSocket within TLS, which frp's server does not take."""

OVER_DATAGRAMS = (
    Way("v1", tls=False, mux=True, carrier="kcp"),
    Way("v2", tls=True, mux=False, transforms=True, carrier="quic"),
)
"""The carriers over UDP, of which QUIC has no need of mux."""


EVERY_CARRIER = tuple(
    Way("auto", tls=True, mux=True, carrier=each) for each in ("tcp", "websocket", "wss", "quic", "kcp")
)
"""Each carrier as it is where the file says nothing but its name."""

EACH_CONNECTION = tuple(evolve(each, mux=False) for each in EVERY_CARRIER if each.carrier != "quic")
"""Those that can make a connection for each stream, doing so."""


class Named(Protocol):
    """One of several ways to run a test."""

    @property
    def name(self) -> str:
        """For the names of tests."""


CaseT = TypeVar("CaseT", bound=type[Any])


def test_each(scenario: str, ways: Iterable[Named], skip: str | None = None) -> Callable[[CaseT], CaseT]:
    """Gives a class one test a way, each of which calls the method ``scenario`` with it; or is skipped."""

    def decorate(cls: CaseT) -> CaseT:
        check = getattr(cls, scenario)
        for way in ways:

            def test(self: Any, way: Named = way) -> None:
                check(self, way)

            test.__name__ = f"test_{scenario.removeprefix('check_')}_{way.name}"
            test.__doc__ = f"{check.__doc__}  ({way.name})"
            if skip is not None:
                test.skip = skip  # type: ignore[attr-defined]  # which trial looks for
            setattr(cls, test.__name__, test)
        return cls

    return decorate


class EveryPair(RelayTestCase):
    """The scenarios; a subclass says which programs, and in which ways."""

    visitor_users = MANY_USERS
    """Users at once of the visitor."""

    def serve(self, way: Way) -> Program:
        """A server that such clients can reach."""
        return self.start_server(way.server(self.bind_port))

    def bytes_of(self, way: Way) -> int:
        """Bytes that a long stream has, each way."""
        return MUCH_BYTES

    def check_traffic(self, way: Way) -> None:
        """Every byte arrives, both ways at once and at the end of a stream; 200 users are served at once."""
        service = self.start_service(obey)
        self.serve(way)
        published = self.publish(way, service)
        count = self.bytes_of(way)
        for port in (published.tcp, published.stcp):
            order_exchange(port, count)
            order_download(port, ENOUGH_BYTES)
            order_upload(port, ENOUGH_BYTES)
        order_echoes(published.tcp, MANY_USERS)
        order_echoes(published.stcp, self.visitor_users)
        service.wait_served(2 * 3 + MANY_USERS + self.visitor_users)

    def check_one_direction_ends(self, way: Way) -> None:
        """As frp does: the end of one direction arrives after all its bytes, and ends the other one, too."""
        read_to_its_end = threading.Event()

        def read(connection: socket.socket) -> None:
            receive(connection, FROM_USER, ENOUGH_BYTES)
            self.assertEqual(connection.recv(1), b"")
            read_to_its_end.set()
            end_of(connection)

        service = self.start_service(read)
        self.serve(way)
        published = self.publish(way, service)
        for port in (published.tcp, published.stcp):
            with dial(port) as user:
                send(user, FROM_USER, ENOUGH_BYTES)
                user.shutdown(socket.SHUT_WR)
                self.assertEqual(end_of(user), b"")
                self.assertTrue(read_to_its_end.wait(PATIENCE_S))
                read_to_its_end.clear()
        service.wait_served(2)

    def check_server_killed(self, way: Way) -> None:
        """A server that was killed and comes back is found by its client, which publishes all again."""
        server = self.serve(way)
        published = self.publish(way, self.start_service())
        with dial(published.tcp) as user:
            user.sendall(b"here?")
            self.assertEqual(receive_exactly(user, 5), b"here?")
            server.kill()
            self.assertEqual(end_of(user), b"")
        self.serve(way)
        self.wait_published(published.client, times=2)
        converse(published.tcp)
        converse(published.stcp)

    def check_client_killed(self, way: Way) -> None:
        """A client that was killed gets its names and ports when it is started again."""
        server = self.serve(way)
        service = self.start_service()
        ports = self.publish(way, service)
        with dial(ports.tcp) as user:
            user.sendall(b"here?")
            self.assertEqual(receive_exactly(user, 5), b"here?")
            ports.client.kill()
            self.assertEqual(end_of(user), b"")
        server.wait_for("client exit success")
        again = self.publish(way, service, ports)
        self.assertEqual((again.tcp, again.stcp), (ports.tcp, ports.stcp))
        converse(again.tcp)
        converse(again.stcp)
