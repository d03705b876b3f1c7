"""Tests for :mod:`relaykit.client.probing`."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.client.probing import LOOK_S, answer_probe
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IBackend, IProbed
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Reach


@implementer(IBackend)
class Backend(Service):
    """One that knows nothing of its local service."""

    async def work_assigned(self, leg: Any, origin: Any) -> None:
        """Never called."""


@implementer(IProbed)
class Probed(Backend):
    """One that finds out what a test says."""

    def __init__(self) -> None:
        self.found: Deferred[Reach] = Deferred()

    async def probe(self) -> Reach:
        return await self.found


class AnswerProbeTests(SynchronousTestCase):
    """Tests for what is said on the work connection of a probe."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.leg, far = self.network.pair()
        self.heard = RecordingReceiver(far)

    def answer(self, backend: Any) -> Deferred[None]:
        """Answers a probe for a backend."""
        clock: Any = self.network.clock
        answering = Deferred.fromCoroutine(answer_probe(self.leg, backend, clock))
        self.network.flush()
        return answering

    def said(self, data: bytes) -> None:
        """The answer is this one, and the connection is over."""
        self.network.flush()
        self.assertEqual((self.heard.data, self.heard.ended), (data, True))

    def test_unknown(self) -> None:
        """Of a type that cannot look, it is said that the client is there."""
        self.successResultOf(self.answer(Backend()))
        self.said(b'{"reached":"client","error":""}\n')

    def test_found(self) -> None:
        """What was found is said once it is found."""
        backend = Probed()
        answering = self.answer(backend)
        self.assertEqual(self.heard.data, b"")
        backend.found.callback(Reach.ANSWER)
        self.successResultOf(answering)
        self.said(b'{"reached":"answer","error":""}\n')

    def test_failed(self) -> None:
        """What was wrong is said in words."""
        backend = Probed()
        answering = self.answer(backend)
        backend.found.errback(ConnectionFailed("nobody listens"))
        self.successResultOf(answering)
        self.said(b'{"reached":"client","error":"nobody listens"}\n')

    def test_late(self) -> None:
        """What has not been found in time is not waited for."""
        answering = self.answer(Probed())
        self.network.advance(LOOK_S)
        self.successResultOf(answering)
        self.assertIn(b"has not answered within 5 seconds", self.heard.data)

    def test_defect(self) -> None:
        """A defect drops the connection."""
        backend = Probed()
        answering = self.answer(backend)
        backend.found.errback(ZeroDivisionError("a defect"))
        self.failureResultOf(answering, ZeroDivisionError)
        self.network.flush()
        self.assertEqual(self.heard.data, b"")
        self.assertIsNotNone(self.heard.lost)
