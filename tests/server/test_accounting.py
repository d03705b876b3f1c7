"""Tests of the totals of proxies and clients."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.login_proofs import PeerProof
from relaykit.server import accounting, events
from relaykit.server.accounting import GONE_FOR_S, Accounting, ProxyTotals
from relaykit.server.observers import Observers
from relaykit.values import ClientIdentity, Ended, Origin, Traffic
from tests.server.test_observers import Noting

CLIENT = ClientIdentity("r1", user="ann", client_id="c1")
NAMELESS = ClientIdentity("r2")


class AccountingTests(SynchronousTestCase):
    """What is known of whom, and until when."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.observers = Observers()
        self.noting = Noting()
        self.observers.add(self.noting)
        self.accounting = Accounting(self.observers, self.clock.seconds)

    def connect(self, client: ClientIdentity = CLIENT) -> None:
        """A client logs in."""
        nothing: Any = ""
        self.accounting.client_connected(
            events.ClientConnected(
                client=client,
                origin=Origin(),
                version="",
                hostname="",
                os="",
                arch="",
                wire=nothing,
                proof=PeerProof.NONE,
                is_named_only=False,
            )
        )

    def expose(self, name: str = "web", type_name: str = "tcp") -> ProxyTotals:
        """A proxy is opened."""
        totals = self.accounting.totals_of(name, type_name)
        self.accounting.proxy_exposed(totals, CLIENT, ":1")
        return totals

    def close(self, totals: ProxyTotals) -> None:
        """A proxy is closed."""
        self.accounting.proxy_closed(totals, CLIENT, Ended.WITHDRAWN)

    def test_users(self) -> None:
        """Users are counted while they are there, and what they moved afterwards."""
        totals = self.expose()
        self.accounting.user_arrived(totals, CLIENT, Origin())
        self.accounting.user_arrived(totals, CLIENT, Origin())
        self.assertEqual((totals.current, totals.connections), (2, 2))
        self.accounting.user_left(totals, CLIENT, Origin(), Traffic(3, 5, 1.0, Ended.FINISHED), "quic")
        self.assertEqual((totals.current, totals.connections), (1, 2))
        self.assertEqual((totals.traffic_in, totals.traffic_out), (3, 5))
        self.assertEqual(self.accounting.moved_by_carrier, {"quic": (3, 5)})

    def test_events_of_users(self) -> None:
        """Where somebody follows users, each is told of when it comes and goes; else no event is made."""
        totals = self.expose()
        follower = Noting(follows_users=True)
        for count in (0, 2):
            self.accounting.user_arrived(totals, CLIENT, Origin())
            self.accounting.user_left(totals, CLIENT, Origin(), Traffic(3, 5, 1.0, Ended.FINISHED), "quic")
            self.assertEqual(len(follower.told), count)
            self.observers.add(follower)

    def test_totals_go_on(self) -> None:
        """A proxy that is opened again has the totals that it had, unless it has become another type."""
        totals = self.expose()
        totals.connections = 7
        self.clock.advance(5.0)
        self.close(totals)
        self.assertEqual((totals.last_start_at, totals.last_close_at), (0.0, 5.0))
        self.clock.advance(5.0)
        self.assertIs(self.expose(), totals)
        self.assertEqual((totals.last_start_at, totals.last_close_at), (10.0, 5.0))
        self.close(totals)
        self.assertEqual(self.expose(type_name="stcp").connections, 0)
        self.assertEqual([each.type for each in self.accounting.proxies()], ["stcp"])

    def test_refused(self) -> None:
        """A proxy that is not opened after all leaves what was known as it was."""
        totals = self.expose()
        self.close(totals)
        self.accounting.totals_of("web", "tcp")
        self.accounting.totals_of("other", "tcp")
        self.assertEqual(list(self.accounting.proxies()), [totals])

    def test_gone_proxies(self) -> None:
        """Of closed proxies some are remembered, for some time; all can be forgotten at once."""
        self.patch(accounting, "GONE_PROXIES", 2)
        for name in ("a", "b", "c"):
            self.close(self.expose(name))
        self.assertEqual([each.name for each in self.accounting.proxies()], ["b", "c"])
        self.clock.advance(GONE_FOR_S + 1)
        self.close(self.expose("d"))
        self.assertEqual([each.name for each in self.accounting.proxies()], ["d"])
        self.expose("e")
        self.assertEqual(self.accounting.forget_gone_proxies(), 1)
        self.assertEqual([each.name for each in self.accounting.proxies()], ["e"])

    def test_clients(self) -> None:
        """A client with a client id is known when it is gone, and when it came first."""
        self.connect()
        self.clock.advance(5.0)
        self.accounting.client_disconnected(CLIENT, Ended.TIMEOUT, "")
        (known,) = self.accounting.clients()
        self.assertEqual((known.first_connected_at, known.disconnected_at), (0.0, 5.0))
        self.clock.advance(5.0)
        self.connect()
        (known,) = self.accounting.clients()
        self.assertEqual((known.first_connected_at, known.last_connected_at), (0.0, 10.0))
        self.assertIsNone(known.disconnected_at)

    def test_nameless_clients(self) -> None:
        """A client without a client id is forgotten when it is gone."""
        self.connect(NAMELESS)
        self.assertEqual(len(list(self.accounting.clients())), 1)
        self.accounting.client_disconnected(NAMELESS, Ended.TIMEOUT, "")
        self.assertEqual(list(self.accounting.clients()), [])

    def test_run_id_like_a_client_id(self) -> None:
        """A client whose run id is the client id of another one takes nothing from it."""
        self.connect()
        self.connect(ClientIdentity(CLIENT.client_id, user=CLIENT.user))
        self.assertEqual([each.login.client.run_id for each in self.accounting.clients()], ["r1", "c1"])

    def test_gone_clients(self) -> None:
        """Of clients that are gone some are remembered."""
        self.patch(accounting, "GONE_CLIENTS", 2)
        for name in ("a", "b", "c"):
            client = ClientIdentity(name, client_id=name)
            self.connect(client)
            self.accounting.client_disconnected(client, Ended.TIMEOUT, "")
        self.assertEqual([each.login.client.client_id for each in self.accounting.clients()], ["b", "c"])

    def test_events(self) -> None:
        """Whatever changes is told."""
        self.connect()
        self.close(self.expose())
        self.accounting.client_disconnected(CLIENT, Ended.TIMEOUT, "")
        self.assertEqual(
            [type(each) for each in self.noting.told],
            [events.ClientConnected, events.ProxyExposed, events.ProxyClosed, events.ClientDisconnected],
        )
