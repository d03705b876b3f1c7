"""Tests for :mod:`relaykit.administration.own.users`; those of the roles have the rest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.users import UserFlow, client_key, user_routes
from relaykit.values import Address, ClientIdentity, Ended, Origin
from tests.administration.own.asking import OwnApi


class FakeFlow:
    """A flow that moved something."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def moved(self) -> tuple[int, int]:
        """What it moved."""
        return 100, 50

    def end(self, why: Ended) -> None:
        """Is remembered."""
        self.ended.append(why)


def used(proxy: str, port: int, seconds: float = 0.0, host: str = "192.0.2.1") -> UserFlow:
    """A user at a port."""
    return UserFlow(
        proxy=proxy,
        client=ClientIdentity("r", "u", ""),
        origin=Origin(source=Address(host, port)),
        flow=FakeFlow(),
        seconds=seconds,
    )


class UsersTests(SynchronousTestCase):
    """Tests for users, asked for and ended."""

    def setUp(self) -> None:
        self.flows = [
            used("a", 1, 10.0),
            used("a", 2),
            used("b", 1),
            used("b", 1),
            used("b", 3, 0.0, "2001:db8::1"),
        ]
        self.api = OwnApi(tuple(user_routes(lambda: self.flows, lambda: 1000.0)))

    def test_told(self) -> None:
        """A user is told with what it moved, and since when."""
        first, second, *_ = self.api.ask("GET", "/users").json["items"]
        self.assertEqual(
            first,
            {
                "proxy": "a",
                "client": "u.r",
                "address": "192.0.2.1:1",
                "path": "relay",
                "isWaiting": False,
                "since": 990.0,
                "bytesIn": 100,
                "bytesOut": 50,
                "rateIn": 10.0,
                "rateOut": 5.0,
            },
        )
        self.assertEqual((second["since"], second["rateIn"]), (1000.0, 0.0))

    def test_chosen(self) -> None:
        """Users are chosen by proxy and address, and come in pages."""
        for query, ports in (
            ("?proxy=a", ["1", "2"]),
            ("?address=192.0.2.1:1", ["1", "1", "1"]),
            ("?proxy=b&address=[2001:db8::1]:3", ["3"]),
            ("?pageSize=2&page=3", ["3"]),
            ("?proxy=c", []),
        ):
            items = self.api.ask("GET", f"/users{query}").json["items"]
            self.assertEqual([each["address"].rpartition(":")[2] for each in items], ports)
        self.assertEqual(self.api.ask("GET", "/users?page=0").status, 400)

    def test_ended(self) -> None:
        """One user is ended with all that it has, and nobody else."""
        self.assertEqual(self.api.ask("DELETE", "/users?proxy=b&address=192.0.2.1:1").json, {"ended": 2})
        self.assertEqual(
            [each.flow.ended for each in self.flows], [[], [], [Ended.OPERATOR], [Ended.OPERATOR], []]
        )

    def test_not_ended(self) -> None:
        """Nobody is ended by half a name, or by one that nobody has."""
        for query, status in (
            ("", 400),
            ("?proxy=b", 400),
            ("?address=192.0.2.1:1", 400),
            ("?proxy=a&address=192.0.2.1:9", 404),
        ):
            self.assertEqual(self.api.ask("DELETE", f"/users{query}").status, status)
        self.assertEqual([each.flow.ended for each in self.flows], [[]] * 5)

    def test_client_key(self) -> None:
        """A client is called by its user and its id, or its run."""
        self.assertEqual(client_key(ClientIdentity("r", "u", "c")), "u.c")
        self.assertEqual(client_key(ClientIdentity("r", "", "")), "r")
