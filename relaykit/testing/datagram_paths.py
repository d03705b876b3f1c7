"""What every path that carries datagrams beside its streams must do, as tests to inherit.

A test module says how both ends of a path are made, and how time passes::

    class MyPathConformance(DatagramPathTests, SynchronousTestCase):
        def make_paths(self) -> tuple[IDatagramPath, IDatagramPath]:
            ...

        def rest(self) -> None:
            ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface.verify import verifyObject

from relaykit.interfaces import IDatagramPath, ISizedDatagramLeg
from relaykit.testing.memory import RecordingDatagrams

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as _TestCase
else:
    _TestCase = object

__all__ = ["DatagramPathTests"]


class DatagramPathTests(_TestCase):
    """Tests for an :class:`relaykit.interfaces.IDatagramPath`."""

    def make_paths(self) -> tuple[IDatagramPath, IDatagramPath]:
        """Both ends of a new path, which has been started."""
        raise NotImplementedError

    def rest(self) -> None:
        """Lets everything arrive that is under way."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.paths = self.make_paths()
        self.legs = [path.datagrams() for path in self.paths]

    def test_datagram_path(self) -> None:
        """Both ends are paths of datagrams, each with one leg that says how much it takes."""
        for path, leg in zip(self.paths, self.legs, strict=True):
            verifyObject(IDatagramPath, path)
            verifyObject(ISizedDatagramLeg, leg)
            self.assertIs(path.datagrams(), leg)
            self.assertGreater(leg.most_bytes, 0)

    def test_datagrams_both_ways(self) -> None:
        """Datagrams pass whole, the largest and empty ones, too; early ones are held for a receiver."""
        for here, there in ((0, 1), (1, 0)):
            sizes = [1, 0, self.legs[here].most_bytes]
            self.assertEqual([self.legs[here].send(bytes(size)) for size in sizes], [True] * 3)
            self.rest()
            got = RecordingDatagrams(self.legs[there]).got
            self.assertEqual(sorted(map(len, got)), sorted(sizes))

    def test_datagram_too_large(self) -> None:
        """One that is larger is not taken, and counted; the next one is."""
        leg, received = self.legs[0], RecordingDatagrams(self.legs[1])
        self.assertFalse(leg.send(bytes(leg.most_bytes + 1)))
        self.assertEqual(leg.dropped, 1)
        self.assertTrue(leg.send(b"small"))
        self.rest()
        self.assertEqual(received.got, [b"small"])

    def test_path_closed_with_datagrams(self) -> None:
        """With the path its datagrams end at both ends, and nothing is taken any more."""
        received = [RecordingDatagrams(leg) for leg in self.legs]
        self.paths[0].close()
        self.rest()
        self.assertNotIn(None, [each.lost for each in received])
        self.assertEqual([leg.send(b"x") for leg in self.legs], [False, False])
        self.assertEqual(self.legs[0].most_bytes, 0)
