"""Tests for :mod:`relaykit.commands.status.client`."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.status import ClientStatus
from relaykit.commands.status.client import LAST_REQUESTS, MEASURE_S, SOLVED_SHOWN_S, FollowedClient
from relaykit.commands.status.view import ConnectionState, LastProblem, StatusView, UserRequest
from relaykit.commands.tunnels.logins import ServerName
from relaykit.values import Exchange
from tests.commands.fakes import FakeRole

CONNECTED = ClientStatus(connected=True, since=0.0, round_trip_s=0.01)


class FollowedClientTests(SynchronousTestCase):
    """Tests for :class:`FollowedClient`."""

    def setUp(self) -> None:
        """Follows a client that is connected."""
        self.clock = Clock()
        self.client = FakeRole()
        self.client.now = CONNECTED
        self.followed = FollowedClient(self.client, StatusView(server=ServerName("r")), self.clock)
        self.told: list[UserRequest] = []

    def begin(self, watched: bool = True) -> None:
        """Begins to follow."""
        self.followed.begin(self.told.append, watched=watched)

    def test_round_trip(self) -> None:
        """While somebody watches round trips are measured, with every snapshot until there is one."""
        self.begin()
        self.assertEqual(self.client.measured, 1)
        self.clock.advance(MEASURE_S)
        self.followed.snapshot(())
        self.assertEqual(self.client.measured, 2)
        self.client.now = evolve(CONNECTED, round_trip_s=None)
        self.followed.snapshot(())
        self.assertEqual(self.client.measured, 3)
        self.followed.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unwatched(self) -> None:
        """Else nothing is measured."""
        self.begin(watched=False)
        self.client.now = evolve(CONNECTED, round_trip_s=None)
        self.followed.snapshot(())
        self.assertEqual(self.client.measured, 0)
        self.followed.end()

    def test_requests(self) -> None:
        """What users ask for is told at once, and the last of it is in the next snapshot, newest first."""
        self.begin()
        asked = [Exchange(method="GET", target=f"/{number}", status=200, seconds=0.1) for number in range(60)]
        for each in asked:
            for observer in self.client.observers:
                observer.on_exchange("web", each)
        told = [UserRequest.of("web", each) for each in asked]
        self.assertEqual(self.told, told)
        self.assertEqual(self.followed.snapshot(()).requests, tuple(reversed(told[-LAST_REQUESTS:])))
        self.followed.end()
        self.assertEqual(self.client.observers, [])

    def test_key(self) -> None:
        """A key dials now; others do nothing."""
        for letter in "rx":
            self.followed.key(letter)
        self.assertEqual(self.client.done, ["reconnected"])

    def test_solved(self) -> None:
        """A problem that is solved says so for some time, also when it could come again, and is gone then."""
        last = LastProblem(text="lost", known=None, at=1.0, closes=True)
        self.client.now = ClientStatus(since=1.0, next_try=5.0)
        self.assertEqual(self.followed.snapshot((last,)).problem, last)
        self.client.now = evolve(CONNECTED, since=2.0)
        self.assertEqual(self.followed.snapshot((last,)).problem, evolve(last, solved=True))
        self.client.now = evolve(CONNECTED, connected=False, stopping=True)
        self.assertEqual(self.followed.snapshot((last,)).problem, evolve(last, solved=True))
        self.clock.advance(SOLVED_SHOWN_S + 1.0)
        self.assertIsNone(self.followed.snapshot((last,)).problem)

    def test_ended(self) -> None:
        """The last snapshot says so."""
        self.assertEqual(self.followed.snapshot((), ended=True).state, ConnectionState.ENDED)
