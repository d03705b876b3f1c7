"""Tests for :mod:`relaykit.sansio.nathole.modes`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nathole.classification import NatBehavior, NatFeature
from relaykit.sansio.nathole.instructions import HoleRole
from relaykit.sansio.nathole.messages import DetectBehavior, PortsRange
from relaykit.sansio.nathole.modes import MODES, Row, behaviors, candidate_ports, halves

EASY = NatFeature(behavior=NatBehavior.NO_CHANGE)
REGULAR = NatFeature(behavior=NatBehavior.PORT_CHANGED, ports_difference=3)
RANDOM = NatFeature(behavior=NatBehavior.PORT_CHANGED, ports_difference=3000)


class ModesTests(SynchronousTestCase):
    """Tests for the table."""

    def test_rows(self) -> None:
        """The table has frp's rows, in each of which one end sends."""
        self.assertEqual({mode: len(rows) for mode, rows in MODES.items()}, {0: 10, 1: 6, 2: 3, 3: 6, 4: 3})
        for rows in MODES.values():
            for row in rows:
                self.assertEqual({half.role for half in row}, set(HoleRole))

    def test_swapped(self) -> None:
        """Whose ports can be guessed sends; whose cannot opens many, and receives."""
        for row, provider, is_sender in (
            (Row(0, 0), EASY, True),
            (Row(0, 0), RANDOM, True),
            (Row(1, 0), REGULAR, True),
            (Row(1, 0), EASY, False),
            (Row(2, 0), EASY, True),
            (Row(2, 0), RANDOM, False),
            (Row(3, 0), REGULAR, True),
            (Row(4, 0), REGULAR, True),
            (Row(4, 0), RANDOM, False),
        ):
            own, other = halves(row, provider)
            self.assertEqual(
                (own.role is HoleRole.SENDER, other.role is HoleRole.SENDER), (is_sender, not is_sender)
            )

    def test_candidate_ports(self) -> None:
        """The next port of a NAT is near its last, as near as its ports were to each other."""
        for given, first, last in (
            ((40000, 0, 10), 39995, 40005),
            ((40003, 3, 10), 39995, 40011),
            ((40003, 3, 2), 40001, 40005),
            ((3, 3, 10), 1, 11),
            ((65530, 3, 10), 65522, 65535),
        ):
            self.assertEqual(candidate_ports(*given), PortsRange(first=first, last=last))

    def test_easy(self) -> None:
        """Two easy ends are told what frp's server was recorded to say."""
        provider, visitor = behaviors(Row(0, 0), EASY, EASY, 34060, 55493)
        self.assertEqual(provider, DetectBehavior(role="sender", read_timeout_ms=5000))
        self.assertEqual(visitor, DetectBehavior(role="receiver", ttl=7, read_timeout_ms=5000))

    def test_guessed(self) -> None:
        """Who sends to ports that it guesses is told where the other was seen last."""
        provider, visitor = behaviors(Row(3, 4), REGULAR, REGULAR, 40003, 50003)
        for told, role, ttl, around in ((provider, "receiver", 4, 50003), (visitor, "sender", 0, 40003)):
            self.assertEqual((told.role, told.ttl, told.mode), (role, ttl, 3))
            self.assertEqual(told.candidate_ports, (candidate_ports(around, 3, 10),))

    def test_by_chance(self) -> None:
        """Who waits for ports that are tried by chance waits for longer, the pause of the sender included."""
        provider, visitor = behaviors(Row(2, 0), EASY, RANDOM, 40003, 50003)
        self.assertEqual(
            provider,
            DetectBehavior(
                role="sender", mode=2, send_delay_ms=3000, read_timeout_ms=35000, send_random_ports=1000
            ),
        )
        self.assertEqual(
            visitor,
            DetectBehavior(role="receiver", mode=2, ttl=7, read_timeout_ms=38000, listen_random_ports=256),
        )
