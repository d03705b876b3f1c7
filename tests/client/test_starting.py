"""Tests for starting what plugins made."""

from __future__ import annotations

from attrs import frozen
from twisted.application.service import Service
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.starting import GuardedServices, differing, naming, planned
from relaykit.errors import PluginError, UnknownProxyType


class Fails(Service):
    """Cannot start, for a reason that may go away."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def startService(self) -> None:
        if self.error is not None:
            raise self.error
        super().startService()


@frozen
class Entry:
    """What became of an entry."""

    configured: int


class PlanTests(SynchronousTestCase):
    """Which entries stay when a configuration changes."""

    def test_unchanged_stay(self) -> None:
        """What is configured as before stays, all else is made, in the order of the new configuration."""
        here = {"a": Entry(1), "b": Entry(2)}
        there = planned(here, [("c", 3), ("b", 2), ("a", 4)], lambda configured, name: Entry(configured))
        self.assertEqual(there, {"c": Entry(3), "b": Entry(2), "a": Entry(4)})
        self.assertEqual(list(there), ["c", "b", "a"])
        self.assertEqual((differing(here, there), differing(there, here)), (["a"], ["c", "a"]))
        self.assertIs(there["b"], here["b"])

    def test_twice(self) -> None:
        """One name for two entries is an error that names it."""
        error = self.assertRaises(PluginError, planned, {}, [("a", 1), ("a", 1)], lambda *made: Entry(1))
        self.assertEqual(str(error), '"a" is there twice')

    def test_named(self) -> None:
        """What is wrong with a type is told with the entry that has it, and stays what it is."""

        def get() -> None:
            with naming('proxy "a"'):
                raise UnknownProxyType("no such type")

        error = self.assertRaises(UnknownProxyType, get)
        self.assertEqual(str(error), 'proxy "a": no such type')


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

    def test_dismissed(self) -> None:
        """What is dismissed stops, and is adopted again under the same name."""
        self.services.startService()
        self.services.dismiss(self.other)
        self.assertFalse(self.other.running)
        self.services.adopt(Fails(None), "b")
        self.assertEqual(len(list(self.services)), 2)

    def test_again(self) -> None:
        """A later start that succeeds is no failure any more."""
        self.services.startService()
        self.services.stopService()
        self.failing.error = None
        self.services.startService()
        self.assertEqual(self.services.failed, {})
        self.assertTrue(self.failing.running)
