"""Tests for :mod:`relaykit.local_services.reverse_proxies.service`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.kept_legs import KEPT_S
from relaykit.dataplane.tls import server_context, start_tls
from relaykit.errors import ConnectionFailed, NoWorkConnection
from relaykit.local_services.certificates import ServiceTrust
from relaykit.local_services.http_targets import HttpTarget
from relaykit.local_services.reverse_proxies.service import WebService
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address
from tests.certificates.made import DAY, ca, made
from tests.local_services.hosts import ALICE, LocalScene


class WebServiceTests(SynchronousTestCase):
    """Connections to a service."""

    def setUp(self) -> None:
        self.service = WebService("http2http", Address("localhost", 80))
        self.scene = LocalScene()
        self.target = self.service.target(ALICE, self.scene)

    def test_dialed(self) -> None:
        """A connection goes where the service is."""
        self.successResultOf(self.target.open_work_leg(ALICE))
        self.assertEqual(self.scene.dialed[0][0], "localhost:80")

    def test_kept(self) -> None:
        """One that has served waits for the next request, of whichever user, and not for ever."""
        leg = self.successResultOf(self.target.open_work_leg(ALICE))
        RecordingReceiver(leg)
        leg.keep()
        other = self.service.target(ALICE, self.scene)
        self.assertIs(other.work_leg_for(ALICE), leg)
        RecordingReceiver(leg)
        leg.keep()
        self.scene.network.advance(KEPT_S)
        self.assertIsNot(other.work_leg_for(ALICE), leg)
        self.assertEqual(self.scene.network.clock.getDelayedCalls(), [])

    def test_not_reached(self) -> None:
        """The log says why, and who is not served."""
        self.scene.failure = ConnectionFailed("connection refused")
        with capturedLogs() as logs:
            self.failureResultOf(self.target.open_work_leg(ALICE), NoWorkConnection)
        [event] = logs
        self.assertEqual((event["log_level"], event["problem"]), (LogLevel.error, "local-service"))
        self.assertEqual((event["stranger"], event["reason"]), ("198.51.100.7", "connection refused"))

    def secure_target(self, authorities: bytes = b"") -> HttpTarget:
        """The service, which speaks TLS, and must have a certificate of these authorities."""
        path = ""
        if authorities:
            path = self.mktemp()
            Path(path).write_bytes(authorities)
        trust = ServiceTrust("a.example", path, lambda: datetime.now(UTC))
        return WebService("http2https", Address("a.example", 443), trust).target(ALICE, self.scene)

    def test_unverified(self) -> None:
        """Without authorities, any certificate will do."""
        opening = self.secure_target().open_work_leg(ALICE)
        service = self.scene.reached_by_tls()
        leg = self.successResultOf(opening)
        leg.write(b"asked")
        got = RecordingReceiver(service)
        self.scene.network.flush()
        self.assertEqual(got.data, b"asked")

    def test_verified(self) -> None:
        """With authorities, only a certificate of theirs for this host will do; the log says why not."""
        now = datetime.now(UTC)
        lasts: Any = {"begins": now - DAY, "ends": now + DAY}
        authority = ca(**lasts)
        for name, issuer, why in (
            ("a.example", authority, ""),
            ("a.example", ca("another", **lasts), "is not signed by a trusted CA"),
            ("b.example", authority, 'is not for "a.example"'),
        ):
            shown = made(name, issuer=issuer, **lasts)
            with capturedLogs() as logs:
                opening = self.secure_target(authority.pem).open_work_leg(ALICE)
                context = server_context(shown.pem, shown.key_pem)
                start_tls(self.scene.network, self.scene.dialed[-1][1], context, server_side=True).addErrback(
                    lambda _: None
                )
                self.scene.network.flush()
            if why:
                self.failureResultOf(opening, NoWorkConnection)
                [reason] = [each["reason"] for each in logs if each["log_level"] is LogLevel.error]
                self.assertIn(why, reason)
            else:
                self.successResultOf(opening)

    def test_no_authorities(self) -> None:
        """Where their file cannot be used nobody is asked, and the log names the key."""
        trust = ServiceTrust("a.example", "/nowhere/ca.pem")
        target = WebService("http2https", Address("a.example", 443), trust).target(ALICE, self.scene)
        with capturedLogs() as logs:
            self.failureResultOf(target.open_work_leg(ALICE), NoWorkConnection)
        self.assertIn("plugin.trustedCaFile", logs[0]["reason"])
        got = self.scene.received()
        self.assertIsNotNone(got.lost)

    def test_left(self) -> None:
        """Who leaves meanwhile has it given up, which is nothing to tell."""
        self.scene.waiting = Deferred()
        opening = self.target.open_work_leg(ALICE)
        with capturedLogs() as logs:
            opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(logs, [])
