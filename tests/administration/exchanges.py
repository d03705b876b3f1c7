"""Requests to an API in memory, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from relaykit.administration.guards import Guard
from relaykit.administration.routes import Route, Routes
from relaykit.administration.site import AdministrationChannel, AdministrationSite
from relaykit.values import NO_SECRET, Secret

__all__ = ["KNOWN", "OPEN", "SECURED", "Connection", "Told", "told", "whole"]

OPEN = Guard(password=NO_SECRET, address="127.0.0.1")
SECURED = Guard(user="admin", password=Secret("pw"), address="127.0.0.1")
KNOWN = "Basic YWRtaW46cHc="
"""What who knows the password sends as ``Authorization``."""


@frozen
class Told:
    """One answer, as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


class _Transport(StringTransport):
    """Tells its protocol when it is closed, as a real one does."""

    def __init__(self, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 5000))
        self.is_lost = False
        self.is_aborted = False
        self.protocol: Any = None

    def loseConnection(self) -> None:
        super().loseConnection()
        self._lose()

    def abortConnection(self) -> None:
        self.is_aborted = True
        self._lose()

    def _lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Connection:
    """One connection to a site."""

    def __init__(self, site: AdministrationSite, host: str = "192.0.2.1") -> None:
        self.transport = _Transport(host)
        self.protocol: AdministrationChannel = site.buildProtocol(self.transport.getPeer())
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Sends bytes, as far as the other end still takes them."""
        if not self.transport.is_lost:
            self.protocol.dataReceived(data)

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        """Sends a request; of the names of headers, ``_`` stands for ``-``."""
        lines = {"Host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)

    @property
    def received(self) -> bytes:
        """All that came back."""
        data: bytes = self.transport.value()
        return data

    def answers(self) -> list[Told]:
        """The answers that have come."""
        return list(told(self.received))


def told(data: bytes) -> Iterable[Told]:
    """The answers in what a server sent."""
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("Content-Length", 0))
        yield Told(int(first.split(" ")[1]), headers, rest[:length])
        data = rest[length:]


def whole(routes: Iterable[Route], guard: Guard | None = OPEN) -> tuple[AdministrationSite, Clock]:
    """A site with these routes, and its clock."""
    clock = Clock()
    return AdministrationSite(Routes(tuple(routes)), guard, clock), clock
