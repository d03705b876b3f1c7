"""Tests for :mod:`benchmarks.sites`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.programs import ProgramFailed
from benchmarks.sites import asks_for, read_registrations

OF_RELAYKIT = """\
2026-08-30 09:00:00.250 [I] [client/service.go:331] [1f] login to server success, get run id [1f]
2026-08-30 09:00:00.260 [I] [client/control.go:175] [1f] [many-0] start proxy success
2026-08-30 09:00:01.500 [I] [client/control.go:175] [1f] [many-1] start proxy success
"""
REFUSED = (
    "2026-08-30 09:00:01.700 [W] [client/control.go:173] [1f] [many-2] start error: router config conflict\n"
)


class RegistrationTests(SynchronousTestCase):
    """Tests for what a client's log tells of its proxies."""

    def test_read(self) -> None:
        """The last proxy that is there counts, from the login on."""
        self.assertEqual(read_registrations(OF_RELAYKIT), (2, 1.25))

    def test_nothing_yet(self) -> None:
        """A client that has not logged in has no proxies, and what is half written is not read."""
        self.assertEqual(read_registrations(""), (0, 0.0))
        self.assertEqual(read_registrations(OF_RELAYKIT[:150]), (0, 0.0))

    def test_refused(self) -> None:
        """A proxy that is not taken is no figure; the client's own words say why."""
        error = self.assertRaises(ProgramFailed, read_registrations, OF_RELAYKIT + REFUSED)
        self.assertIn("router config conflict", str(error))


class ScriptTests(SynchronousTestCase):
    """Tests for the script that wrk runs."""

    def test_hosts(self) -> None:
        """Each host has a request of its own, made before the load begins."""
        script = asks_for(["a.example", "b.example"])
        self.assertIn('{wrk.format("GET", "/", {Host = "a.example"}), wrk', script)
        self.assertIn('{Host = "b.example"})}', script)
