"""Tests for starting what plugins made."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.starting import GuardedServices


class Fails(Service):
    """Cannot start, for a reason that may go away."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def startService(self) -> None:
        if self.error is not None:
            raise self.error
        super().startService()


class GuardedServicesTests(SynchronousTestCase):
    """Tests for :class:`GuardedServices`."""

    def setUp(self) -> None:
        self.services = GuardedServices()
        self.failing, self.other = Fails(OSError("no such device")), Fails(None)
        self.services.adopt(self.failing, "a")
        self.services.adopt(self.other, "b")

    def test_others_start(self) -> None:
        """The others start, and the reason is kept and logged under the configured name."""
        with capturedLogs() as logged:
            self.services.startService()
        self.assertTrue(self.other.running)
        self.assertEqual(self.services.failed, {"a": "no such device"})
        self.assertEqual([(each["log_level"], each["name"]) for each in logged], [(LogLevel.error, "a")])

    def test_defect(self) -> None:
        """What nobody raises on purpose is logged as a defect."""
        self.failing.error = ValueError("no")
        self.services.startService()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertTrue(self.other.running)

    def test_while_running(self) -> None:
        """What is adopted while the others run starts at once, guarded likewise."""
        self.services.startService()
        late = Fails(None)
        self.services.adopt(late, "c")
        self.services.adopt(Fails(OSError("no")), "d")
        self.assertTrue(late.running)
        self.assertEqual(sorted(self.services.failed), ["a", "d"])

    def test_again(self) -> None:
        """A later start that succeeds is no failure any more."""
        self.services.startService()
        self.services.stopService()
        self.failing.error = None
        self.services.startService()
        self.assertEqual(self.services.failed, {})
        self.assertTrue(self.failing.running)
