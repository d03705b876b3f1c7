"""Tests of direct paths in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import UnsuitablePathError
from relaykit.interfaces import IDirectPath
from relaykit.nat.paths import EARLY_MAX
from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.punching import FailureReason
from relaykit.testing.direct_paths import MemoryPath, MemoryPunching
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Ended, Secret
from tests.nat.direct import Hearing, carry

KEY = bytes(32)
SECRET = Secret("a secret")


class _Over:
    """Makes streams of datagrams."""

    def __init__(self) -> None:
        self.legs: list[object] = []

    def open_path(self, datagrams: object, *_: object) -> Deferred[str]:
        """Notes the leg."""
        self.legs.append(datagrams)
        return succeed("streams")


class MemoryPunchingTests(SynchronousTestCase):
    """Both ends of a rendezvous in memory."""

    def punch(self, failure: FailureReason | None = None, network: MemoryNetwork | None = None) -> list[Any]:
        """What both ends get."""
        paths: dict[bytes, IDirectPath] = {}
        sent: list[tuple[int, object]] = []
        ends = [
            MemoryPunching(
                role,
                KEY,
                lambda candidates, other=1 - place: sent.append((other, candidates)),  # type: ignore[misc]
                failure,
                paths,
                network,
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
        hearing = Hearing()
        there.datagrams().attach(hearing)
        heard = hearing.heard
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
        hearing = Hearing()
        there.datagrams().attach(hearing)
        here.lose()
        here.send(b"lost")
        self.assertEqual([self.successResultOf(each) for each in lost], [Ended.TIMEOUT] * 2)
        self.assertEqual((hearing.heard, hearing.lost), ([], [Ended.TIMEOUT]))
        self.assertIs(self.successResultOf(here.when_lost()), Ended.TIMEOUT)

    def test_pause(self) -> None:
        """A leg that is paused delivers nothing until it is resumed."""
        here, there = map(self.successResultOf, self.punch())
        hearing, leg = Hearing(), there.datagrams()
        leg.attach(hearing)
        leg.pause()
        here.send(b"1")
        self.assertEqual(hearing.heard, [])
        leg.resume()
        self.assertEqual(hearing.heard, [b"1"])

    def test_streams(self) -> None:
        """A path of TCP has streams, and no datagrams; one of UDP needs what makes streams."""
        network = MemoryNetwork()
        here, there = map(self.successResultOf, self.punch(network=network))
        self.assertRaises(UnsuitablePathError, here.datagrams)
        heard = Deferred.fromCoroutine(carry(here, there, b"hello", SECRET))
        network.flush()
        self.assertEqual(self.successResultOf(heard), b"hello")
        here.close()
        network.flush()

    def test_streams_over_datagrams(self) -> None:
        """What makes streams of datagrams gets the leg of a path of UDP; without it there are none."""
        over: Any = _Over()
        without, path = MemoryPath(PeerRole.INITIATOR), MemoryPath(PeerRole.INITIATOR, over)
        self.failureResultOf(without.open_streams(SECRET, Hearing()), UnsuitablePathError)
        self.assertEqual(self.successResultOf(path.open_streams(SECRET, Hearing())), "streams")
        self.assertEqual(over.legs, [path])

    def test_failure(self) -> None:
        """Where a test wants no path, both ends are told why."""
        paths: dict[bytes, IDirectPath] = {}
        for role in PeerRole:
            end = MemoryPunching(role, KEY, lambda candidates: None, FailureReason.SILENCE, paths)
            result = end.start()
            end.candidates_received({})
            end.candidates_received({})
            reason = self.failureResultOf(result, HolePunchingFailedError).value.reason
            self.assertIs(reason, FailureReason.SILENCE)
