"""Tests of direct paths in memory."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.client_rendezvous import RendezvousBegun
from relaykit.sansio.nat.punching import FailureReason
from relaykit.testing.direct_paths import EARLY_MAX, MemoryPath, MemoryPunching
from relaykit.values import Ended

KEY = bytes(32)


class MemoryPunchingTests(SynchronousTestCase):
    """Both ends of a rendezvous in memory."""

    def punch(self, failure: FailureReason | None = None) -> list[Any]:
        """What both ends get."""
        paths: dict[bytes, MemoryPath] = {}
        sent: list[tuple[int, object]] = []
        ends = [
            MemoryPunching(
                RendezvousBegun("m", role, KEY),
                lambda candidates, other=1 - place: sent.append((other, candidates)),  # type: ignore[misc]
                failure,
                paths,
            )
            for place, role in enumerate(PeerRole)
        ]
        results = [end.start() for end in ends]
        while sent:
            place, candidates = sent.pop(0)
            ends[place].candidates_received(candidates)
        self.assertEqual(paths, {})
        return results

    def test_paths(self) -> None:
        """Both ends have a path; datagrams go both ways, early ones are kept, lost ones are not."""
        here, there = map(self.successResultOf, self.punch())
        self.assertEqual([here.role, there.role], list(PeerRole))
        for number in range(EARLY_MAX + 1):
            self.assertTrue(here.send(b"%d" % number))
        heard: list[bytes] = []
        there.attach(lambda data, source, arrived_at: heard.append(data))
        self.assertEqual(heard, [b"%d" % number for number in range(1, EARLY_MAX + 1)])
        here.loses = True
        here.send(b"lost")
        here.loses = False
        here.send(b"last")
        self.assertEqual(heard[EARLY_MAX:], [b"last"])
        there.close()
        here.send(b"to nobody")
        self.assertEqual((there.send(b"x"), len(heard)), (False, EARLY_MAX + 1))

    def test_loss(self) -> None:
        """A path that the test loses carries nothing any more, and both ends notice."""
        here, there = map(self.successResultOf, self.punch())
        lost = [here.when_lost(), there.when_lost()]
        heard: list[bytes] = []
        there.attach(lambda data, source, arrived_at: heard.append(data))
        here.lose()
        here.send(b"lost")
        self.assertEqual([self.successResultOf(each) for each in lost], [Ended.TIMEOUT] * 2)
        self.assertEqual(heard, [])

    def test_failure(self) -> None:
        """Where a test wants no path, both ends are told why."""
        paths: dict[bytes, MemoryPath] = {}
        for role in PeerRole:
            end = MemoryPunching(
                RendezvousBegun("m", role, KEY), lambda candidates: None, FailureReason.SILENCE, paths
            )
            result = end.start()
            end.candidates_received({})
            end.candidates_received({})
            reason = self.failureResultOf(result, HolePunchingFailedError).value.reason
            self.assertIs(reason, FailureReason.SILENCE)
