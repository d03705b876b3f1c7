"""Sites in memory behind one port, and users who ask for them: what the tests of ``http`` stand on."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import LoadBalancer
from relaykit.proxies import http
from relaykit.proxies.http.options import HttpKeys, HttpOptions
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published
from relaykit.values import Secret

PORT = 8080

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n"

OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"
"""An answer, which goes on as it is."""


@define(eq=False)
class End:
    """One end of a connection, and what it has heard."""

    leg: MemoryLeg
    heard: RecordingReceiver = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.heard = RecordingReceiver(self.leg)

    def take(self) -> bytes:
        """What it has heard since the last time."""
        data, self.heard.data = self.heard.data, b""
        return data


class HttpTestCase(SynchronousTestCase):
    """Has a relay with the port of ``http``.

    :ivar served: the services' ends of the connections that were made to them, with their names.
    """

    keys: dict[str, Any] = {}
    """Keys of the server."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.served: list[tuple[str, End]] = []

    def publish(
        self, *domains: str, name: str = "web", group: str = "", serves: bool = True, **own: Any
    ) -> Published:
        """A site."""
        return self.relay.publish(
            http.proxy_type,
            HttpOptions(custom_domains=domains if domains or own.get("subdomain") else ("a.example",), **own),
            name=name,
            local=(lambda leg: self.served.append((name, End(leg)))) if serves else None,
            ingress_options=HttpKeys(**{"vhost_http_port": PORT, **self.keys}),
            load_balancer=LoadBalancer(group=group, group_key=Secret("k" if group else "")),
        )

    def user(self, *said: bytes) -> End:
        """A user who says this."""
        user = End(self.relay.dial(PORT))
        for each in said:
            self.say(user, each)
        return user

    def say(self, end: End, data: bytes) -> None:
        """Has somebody say something, and lets everything happen that follows."""
        end.leg.write(data)
        self.relay.settle()

    @property
    def service(self) -> End:
        """The service's end of the connection that was made to it last."""
        return self.served[-1][1]

    @property
    def flows(self) -> int:
        """Work connections that serve somebody, are waited for, or are kept."""
        return len(self.relay.server.flows())
