"""Connections through forward proxies: what goes wrong on the way, and what is left of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane import forward_proxies
from relaykit.dataplane.forward_proxies import dial_through
from relaykit.dataplane.tls import server_context, start_tls
from relaykit.errors import ConnectionFailed, ForwardProxyError, OutOfDescriptors, TransportSecurityError
from relaykit.interfaces import IStreamLeg
from relaykit.sansio.forward_proxies.urls import parse_proxy_url
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Address
from tests.certificates.made import ca, made

TARGET = Address("relay.example", 7000)
PROXY = "http://user:hush@p.example:3128"
TRUSTED = "SSL_CERT_FILE"
"""The variable by which OpenSSL finds the authorities that a system trusts."""

NOW = datetime.now(UTC)
BEGINS, ENDS = NOW - timedelta(days=1), NOW + timedelta(days=1)


def _set(value: str) -> None:
    os.environ[TRUSTED] = value


class ThroughTests(SynchronousTestCase):
    """Tests for :func:`dial_through`; the test is the proxy."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = self.network.pair()
        self.dialed: list[Any] = []
        self.answer: Deferred[IStreamLeg] = succeed(self.near)

        def dial(poller: object, *arguments: Any) -> Deferred[IStreamLeg]:
            self.dialed.append(arguments)
            return self.answer

        self.patch(forward_proxies, "dial", dial)

    def through(self, url: str = PROXY) -> Deferred[IStreamLeg]:
        """Begins, and lets the request arrive."""
        dialling = dial_through(self.network, parse_proxy_url(url), TARGET, 5.0, "192.0.2.9")
        self.network.flush()
        return dialling

    def say(self, data: bytes, leg: IStreamLeg | None = None) -> None:
        """Lets the proxy say something."""
        (leg or self.far).write(data)
        self.network.flush()

    def failed(self, dialling: Deferred[Any], problem: str, *parts: str) -> None:
        """It failed so, with the proxy in the text, and nothing is left of it."""
        error = self.failureResultOf(dialling, ForwardProxyError).value
        for part in parts:
            self.assertIn(part, str(error))
        self.assertEqual(error.problem, problem)
        self.assertNotIn("hush", str(error))
        self.network.flush()
        self.assertEqual((self.network.connections, self.network.clock.getDelayedCalls()), ([], []))

    def test_open(self) -> None:
        """What follows the answer is the target's, and so is what is written from then on."""
        dialling = self.through()
        self.assertNoResult(dialling)
        self.say(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        leg = self.successResultOf(dialling)
        self.assertEqual(self.dialed, [("p.example", 3128, 5.0, "192.0.2.9", None)])
        here, there = RecordingReceiver(leg), RecordingReceiver(self.far)
        leg.write(b"hello")
        self.say(b" and more")
        self.assertEqual(here.data, b"first and more")
        self.assertTrue(there.data.endswith(b"\r\n\r\nhello"))
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_socks5(self) -> None:
        """SOCKS 5 takes two answers, each with a deadline of its own."""
        dialling = self.through("socks5://p.example")
        self.network.clock.advance(4)
        self.say(b"\x05\x00")
        self.network.clock.advance(4)
        self.assertNoResult(dialling)
        self.say(b"\x05\x00\x00\x01" + bytes(6))
        self.successResultOf(dialling)

    def test_silent(self) -> None:
        """A proxy that does not answer in time is given up."""
        dialling = self.through()
        self.network.clock.advance(5)
        self.failed(
            dialling, "proxy-unusable", "the proxy http://p.example:3128 did not answer within 5 seconds"
        )

    def test_refused(self) -> None:
        """A refusal ends the connection."""
        dialling = self.through()
        self.say(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        self.failed(dialling, "proxy-refused", "403 Forbidden")

    def test_no_proxy(self) -> None:
        """Who answers otherwise is no proxy."""
        dialling = self.through()
        self.say(b"SSH-2.0-OpenSSH\r\n")
        self.failed(
            dialling,
            "proxy-unusable",
            "the proxy http://p.example:3128 does not answer as such a proxy does",
            "transport.proxyURL",
        )

    def test_endless(self) -> None:
        """No answer is read for ever."""
        dialling = self.through()
        for _ in range(40):
            if dialling.called:
                break
            self.say(b"HTTP/1.1 200 OK\r\nX: x\r\n" if not _ else b"X: " + b"x" * 4000 + b"\r\n")
        self.failed(dialling, "proxy-unusable", "more than 65536 bytes")

    def test_ended(self) -> None:
        """A proxy that ends the connection has not answered."""
        dialling = self.through()
        self.far.abort()
        self.network.flush()
        self.failed(dialling, "proxy-unusable", "ended the connection before it had answered")

    def test_unreachable(self) -> None:
        """A proxy that cannot be reached is told from a server that cannot."""
        self.near.abort()
        self.answer = fail(ConnectionFailed("cannot connect to p.example:3128: connection refused"))
        self.failed(
            self.through(),
            "proxy-unusable",
            "the proxy that transport.proxyURL names cannot be reached: cannot connect to p.example:3128",
        )
        self.answer = fail(OutOfDescriptors("none left"))
        self.failureResultOf(self.through(), OutOfDescriptors)

    def test_cancelled(self) -> None:
        """Who gives up leaves no connection, and no timer, wherever it was."""
        dialling = self.through()
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.network.flush()
        self.assertEqual((self.network.connections, self.network.clock.getDelayedCalls()), ([], []))

    # --- by TLS

    def proxy_of_tls(self, name: str, *, is_trusted: bool) -> Deferred[Any]:
        """The proxy's end of TLS; whether this system trusts the authority of its certificate."""
        authority = ca(begins=BEGINS, ends=ENDS)
        shown = made(name, issuer=authority, begins=BEGINS, ends=ENDS)
        trusted = Path(self.mktemp())
        trusted.write_bytes(authority.pem if is_trusted else ca("another one").pem)
        before = os.environ.get(TRUSTED)
        self.addCleanup(lambda: os.environ.pop(TRUSTED) if before is None else _set(before))
        os.environ[TRUSTED] = str(trusted.absolute())
        context = server_context(shown.pem, shown.key_pem)
        return start_tls(self.network, self.far, context, server_side=True)

    def test_untrusted(self) -> None:
        """A proxy of HTTPS that no authority of this system vouches for is told nothing."""
        for name, is_trusted, why in (
            ("p.example", False, "is not signed by a trusted CA"),
            ("q.example", True, "failed: its certificate is not for p.example;"),
        ):
            self.near.abort()
            self.near, self.far = self.network.pair()
            self.answer = succeed(self.near)
            shaking = self.proxy_of_tls(name, is_trusted=is_trusted)
            shaking.addErrback(lambda failure: failure.trap(TransportSecurityError))
            self.failed(
                self.through("https://user:hush@p.example"),
                "proxy-unusable",
                "TLS with the proxy https://p.example:443 failed",
                why,
                "SSL_CERT_FILE names",
            )

    def test_trusted(self) -> None:
        """The request goes through TLS where the proxy's certificate is good."""
        shaking = self.proxy_of_tls("p.example", is_trusted=True)
        dialling = self.through("https://user:hush@p.example")
        secured = self.successResultOf(shaking)
        self.assertNoResult(dialling)
        there = RecordingReceiver(secured)
        self.network.flush()
        self.assertTrue(there.data.startswith(b"CONNECT relay.example:7000 HTTP/1.1\r\n"))
        self.say(b"HTTP/1.1 200 OK\r\n\r\nfirst", secured)
        here = RecordingReceiver(self.successResultOf(dialling))
        self.network.flush()
        self.assertEqual(here.data, b"first")
