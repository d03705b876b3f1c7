"""Tests for :mod:`relaykit_knock.hail`; what it does in real programs is tested by relaykit."""

from __future__ import annotations

from typing import Any

from relaykit.interfaces import ICarrier, ICarrierReference, ILegDialer
from relaykit.plugins import CarrierReference, Carriers
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit_knock.hail import HailOptions, carrier


class Host:
    """As much of both hosts as this carrier uses."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = self.network.pair()
        self.recognized: dict[Any, Any] = {}

    def dial(self) -> Deferred[MemoryLeg]:
        """One connection."""
        return succeed(self.near)

    def secure(self, leg: MemoryLeg) -> Deferred[MemoryLeg]:
        """No TLS."""
        return succeed(leg)

    def recognize(self, recognizer: Any, on_recognized: Any, rank: object) -> None:
        """Notes who takes what."""
        self.recognized[recognizer] = on_recognized

    def ignore(self, recognizer: Any) -> None:
        """Forgets it."""
        del self.recognized[recognizer]


class HailTests(SynchronousTestCase):
    """Tests for the carrier."""

    def test_interfaces(self) -> None:
        """It provides what relaykit asks of a carrier, and is found by its name."""
        host: Any = Host()
        verifyObject(ICarrier, carrier)
        verifyObject(ILegDialer, carrier.make_dialer(HailOptions(), host))
        reference = CarrierReference("hail", "relaykit_knock.hail")
        verifyObject(ICarrierReference, reference)
        self.assertIs(Carriers.from_references([reference]).get("hail"), carrier)

    def test_both_halves(self) -> None:
        """What is said after the word at one end comes first at the other."""
        host: Any = Host()
        options = HailOptions(word="Ahoy")
        acceptor = carrier.make_acceptor(options, 0, host)
        acceptor.startService()
        ((recognizer, on_recognized),) = host.recognized.items()
        leg = self.successResultOf(carrier.make_dialer(options, host).connect())
        leg.write(b"hello")
        self.assertEqual([recognizer.recognizes(b"A"), recognizer.recognizes(b"Ahoy\n")], [None, True])

        class Connection:
            """What was accepted."""

            leg = host.far

        accepted = Deferred.fromCoroutine(on_recognized(Connection()))
        host.network.flush()
        received = RecordingReceiver(self.successResultOf(accepted))
        host.network.flush()
        self.assertEqual(received.data, b"hello")
        acceptor.stopService()
        self.assertEqual(host.recognized, {})

    def test_options(self) -> None:
        """The word is one that can be told from everything else."""
        self.assertEqual(list(HailOptions().problems()), [])
        for word in ("", "two words", "ahoi\n", "\xe4hoi", "x" * 65):
            self.assertEqual([each.key for each in HailOptions(word=word).problems()], ["word"], word)
