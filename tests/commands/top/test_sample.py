"""Tests for :mod:`relaykit.commands.top.sample`, on roles in memory."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.client import own_client_routes
from relaykit.administration.own.events import RefusalNotes
from relaykit.administration.own.openapi import PREFIX
from relaykit.administration.own.server import own_server_routes
from relaykit.administration.steering import Steering
from relaykit.commands.top.sample import BusyProxy, Sample, take_sample
from relaykit.proxies import tcp
from relaykit.testing.relay import MemoryRelay, echoing
from relaykit.values import Address
from tests.administration.own.asking import OwnApi


def sample(at: float, moved: tuple[int, int], name: str = "web") -> Sample:
    """A sample with one proxy."""
    row = BusyProxy(name=name, type="tcp", whose="c", state="", users=1, moved=moved)
    return Sample(
        at=at, role="server", state="ready", clients=1, proxies=1, users=1, moved=moved, busiest=(row,)
    )


class SampleTests(SynchronousTestCase):
    """What is busy, and how busy."""

    def test_rates(self) -> None:
        """Rates are those since the sample before, of what was there then; nothing is ever undone."""
        before, now = sample(1.0, (100, 50)), sample(3.0, (300, 40))
        self.assertEqual(now.rates(before), {None: (100.0, 0.0), ("web", "tcp"): (100.0, 0.0)})
        self.assertEqual(now.rates(None), {})
        self.assertEqual(now.rates(evolve(before, at=3.0)), {})
        self.assertEqual(now.rates(sample(1.0, (0, 0), "mail")), {None: (150.0, 20.0)})

    def test_roles(self) -> None:
        """Both roles tell what is busy, the busiest first."""
        relay = MemoryRelay()
        relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), name="idle", local=echoing)
        made = relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6001), name="busy", local=echoing)
        user = relay.dial(6001, Address("192.0.2.7", 5))
        user.write(b"12345")
        relay.settle()
        relay.advance(4.0)

        def now() -> float:
            return 1000.0 + relay.clock.seconds()

        client: Any = made.client
        server_api = own_server_routes(relay.server, RefusalNotes(now), relay.clock.seconds, now)
        client_api = own_client_routes(client, Steering(), relay.clock.seconds, now)
        for role, api in (("server", OwnApi(tuple(server_api))), ("client", OwnApi(tuple(client_api)))):
            with self.subTest(role=role):
                taken = take_sample(
                    lambda path, api=api: api.ask("GET", path.removeprefix(PREFIX)).json,  # type: ignore[misc]  # bound
                    role,
                    7.0,
                    now(),
                )
                (first, *_), (busy,) = taken.busiest, taken.user_rows
                self.assertEqual((first.name, first.users, first.moved), ("busy", 1, (5, 5)))
                self.assertEqual((busy.address, busy.proxy, busy.seconds), ("192.0.2.7:5", "busy", 4.0))
                self.assertEqual((taken.at, taken.users), (7.0, 1))
                self.assertEqual(taken.clients, 2 if role == "server" else None)
