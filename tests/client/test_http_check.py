"""Tests of health checks over HTTP, by services in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.http_check import MOST_ANSWER_BYTES, MOST_REDIRECTS, HttpCheck
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import CheckFailedError, ConnectionFailed
from relaykit.options import HealthCheck, HttpHeader, ProxyCommon, ProxyTransport
from relaykit.testing.cuts import every_cut
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Ended

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n"
UNLIMITED = b"HTTP/1.1 200 OK\r\n\r\nwell"
HOST = "127.0.0.1:8080"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def redirect(where: str, status: int = 302) -> bytes:
    """An answer that leads elsewhere, with a body that nobody reads."""
    return f"HTTP/1.1 {status} X\r\nLocation: {where}\r\nContent-Length: 5\r\n\r\nthere".encode()


class Machine:
    """What a check has of its client: local services, of which the test has the other ends."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.data_plane = DataPlane([CopyForwarder(self.clock.seconds)], self.network)
        self.dialed: list[str] = []
        self.outcome: Deferred[Any] | None = None
        """What dialing comes to, in place of a connection."""
        self.service: list[MemoryLeg] = []
        self.requests: list[RecordingReceiver] = []

    def dial(self, endpoint: str, announce: object = None) -> Deferred[Any]:
        """Connects to a local service."""
        self.dialed.append(endpoint)
        if self.outcome is not None:
            return self.outcome
        near, far = self.network.pair()
        self.service.append(far)
        self.requests.append(RecordingReceiver(far))
        return succeed(near)

    def check(
        self, path: str = "/health", headers: Sequence[HttpHeader] = (), **common: Any
    ) -> Deferred[None]:
        """Begins a check."""
        client: Any = self
        options = HealthCheck(type="http", path=path, http_headers=tuple(headers))
        configured = ProxyCommon(health_check=options, **(common or {"local_port": 8080}))
        checking = Deferred.fromCoroutine(HttpCheck(client, configured)())
        self.network.flush()
        return checking

    def answer(self, *portions: bytes, close: bool = False) -> None:
        """The service says something on its latest connection."""
        for portion in portions:
            self.service[-1].write(portion)
            self.network.flush()
        if close:
            self.service[-1].close()
        self.network.flush()

    @property
    def request(self) -> list[str]:
        """The lines of the latest request, those of the head sorted."""
        first, *lines = self.requests[-1].data.decode().removesuffix("\r\n\r\n").split("\r\n")
        return [first, *sorted(lines)]


class HttpCheckTests(SynchronousTestCase):
    """Tests for :class:`HttpCheck`."""

    def setUp(self) -> None:
        """Makes a machine."""
        self.machine = Machine()

    def assertFails(self, checking: Deferred[None], reason: str) -> None:
        """The check failed for this reason, and has no connection any more."""
        error = self.failureResultOf(checking, CheckFailedError).value
        self.assertEqual(str(error), reason)
        self.assertGone()

    def assertGone(self) -> None:
        """No connection is left."""
        self.machine.network.flush()
        self.assertEqual(self.machine.network.connections, [])
        self.assertEqual(self.machine.clock.getDelayedCalls(), [])

    # --- what is asked --------------------------------------------------------------------------

    def test_request(self) -> None:
        """The path is asked for at the service's address; a slash before it may be left out."""
        for path, asked in (
            ("/health", "/health"),
            ("health?deep=1", "/health?deep=1"),
            ("/", "/"),
            ("/gut möglich", "/gut%20m%C3%B6glich"),
        ):
            self.machine.check(path).addErrback(lambda _: None).cancel()
            self.assertEqual(
                self.machine.request,
                [
                    f"GET {asked} HTTP/1.1",
                    "Connection: close",
                    "Host: 127.0.0.1:8080",
                    "User-Agent: relaykit",
                ],
            )
        self.assertEqual(set(self.machine.dialed), {"tcp:127.0.0.1:8080"})

    def test_headers(self) -> None:
        """Configured headers are sent, the last of a name counts, and Host is the service's name."""
        headers = (
            HttpHeader(name="Host", value="app.example"),
            HttpHeader(name="X-Probe", value="1"),
            HttpHeader(name="user-agent", value="probe"),
            HttpHeader(name="x-probe", value="2"),
        )
        checking = self.machine.check(headers=headers)
        self.assertEqual(
            self.machine.request[1:],
            ["Connection: close", "Host: app.example", "User-Agent: probe", "X-Probe: 2"],
        )
        self.machine.answer(GOOD)
        self.successResultOf(checking)

    def test_addresses(self) -> None:
        """IPv6 addresses have brackets in Host; a service that an endpoint string names is localhost."""
        for common, endpoint, host in (
            ({"local_ip": "::1", "local_port": 80}, "tcp:\\:\\:1:80", "Host: [::1]"),
            ({"local": "unix:/run/app.sock"}, "unix:/run/app.sock", "Host: localhost"),
        ):
            checking = self.machine.check(**common)
            self.assertEqual(self.machine.dialed[-1], endpoint)
            self.assertIn(host, self.machine.request)
            self.machine.answer(GOOD)
            self.successResultOf(checking)

    def test_announced(self) -> None:
        """A service that expects a header of the PROXY protocol gets one, of nobody."""
        transport = ProxyTransport(proxy_protocol_version="v1")
        checking = self.machine.check(local_port=8080, transport=transport)
        self.assertEqual(self.machine.request[0], "PROXY UNKNOWN")
        self.machine.answer(GOOD)
        self.successResultOf(checking)

    # --- what is an answer of one that is well --------------------------------------------------

    def test_good(self) -> None:
        """Every whole answer of the 2xx kind is good, however it is cut; no connection stays."""
        for answer, close in ((GOOD, False), (CHUNKED, False), (UNLIMITED, True), (EMPTY, False)):
            for portions in every_cut(answer):
                checking = self.machine.check()
                self.machine.answer(*portions, close=close)
                self.successResultOf(checking)
                self.assertGone()

    def test_other_status(self) -> None:
        """Any other status is a failure, and its body is not waited for."""
        for status in (304, 404, 500, 503):
            checking = self.machine.check()
            self.machine.answer(f"HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n".encode())
            self.assertFails(checking, f"it answers with status {status}")

    def test_not_whole(self) -> None:
        """A connection that ends within an answer, or before it, is a failure."""
        reason = "it ended the connection before its answer was whole"
        for begun in (b"", GOOD[:10], GOOD[:30], GOOD[:-1], CHUNKED[:-3]):
            checking = self.machine.check()
            self.machine.answer(begun, close=True)
            self.assertFails(checking, reason)
            checking = self.machine.check()
            self.machine.answer(begun)
            self.machine.service[-1].abort()
            self.machine.network.flush()
            self.assertFails(checking, reason)

    def test_not_http(self) -> None:
        """What is not HTTP is a failure."""
        for junk in (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n",
        ):
            checking = self.machine.check()
            self.machine.answer(junk)
            self.assertFails(checking, "its answer is not what HTTP allows")

    def test_long_body(self) -> None:
        """Of a long body no more than so much is read, and it is good."""
        checking = self.machine.check()
        self.machine.answer(b"HTTP/1.1 200 OK\r\n\r\n")
        piece = bytes(MOST_ANSWER_BYTES // 16)
        for _ in range(15):
            self.machine.answer(piece)
            self.assertNoResult(checking)
        self.machine.answer(piece)
        self.successResultOf(checking)
        self.assertGone()

    def test_endless_head(self) -> None:
        """A head that does not end is a failure."""
        checking = self.machine.check()
        self.machine.answer(b"HTTP/1.1 200 OK\r\n")
        for _ in range(MOST_ANSWER_BYTES // 8192):
            self.assertNoResult(checking)
            self.machine.answer(b"X: %8187d\r\n" % 0)
        self.assertFails(checking, f"the head of its answer is longer than {MOST_ANSWER_BYTES} bytes")

    @given(
        st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([GOOD, CHUNKED, GOOD[:25]])), max_size=4)
    )
    def test_junk(self, portions: list[bytes]) -> None:
        """Whatever a service says, the check comes to an end, and nothing stays."""
        self.machine = Machine()
        checking = self.machine.check()
        self.machine.answer(*portions, close=True)
        results: list[Any] = []
        checking.addBoth(results.append)
        (result,) = results
        self.assertTrue(result is None or result.check(CheckFailedError), result)
        self.assertGone()

    # --- redirects ------------------------------------------------------------------------------

    def test_redirected(self) -> None:
        """Redirects to the service itself are followed, with the configured headers."""
        headers = (
            HttpHeader(name="Host", value="App.example"),
            HttpHeader(name="Authorization", value="Basic x"),
        )
        for where, path in (
            ("/login", "/login"),
            ("again", "/again"),
            ("http://app.example/named", "/named"),
            ("http://127.0.0.1:8080/numbered", "/numbered"),
        ):
            for status in (301, 302, 303, 307, 308):
                checking = self.machine.check(headers=headers)
                self.machine.answer(redirect(where, status))
                self.assertEqual(self.machine.request[0], f"GET {path} HTTP/1.1")
                self.assertEqual("Authorization: Basic x" in self.machine.request, path != "/numbered")
                self.machine.answer(GOOD)
                self.successResultOf(checking)
                self.assertGone()

    def test_redirected_elsewhere(self) -> None:
        """What others answer says nothing of the service."""
        for where in ("http://127.0.0.1:9090/", "https://127.0.0.1:8080/", "http://elsewhere/", "ftp://x/"):
            checking = self.machine.check()
            self.machine.answer(redirect(where))
            self.assertFails(checking, f"it redirects to {where}, which is elsewhere")
        self.assertEqual(set(self.machine.dialed), {"tcp:127.0.0.1:8080"})

    def test_redirected_in_circles(self) -> None:
        """Redirects that do not end are a failure."""
        checking = self.machine.check()
        for _ in range(MOST_REDIRECTS + 1):
            self.assertNoResult(checking)
            self.machine.answer(redirect("/health"))
        self.assertFails(checking, f"it redirects more than {MOST_REDIRECTS} times")

    def test_redirected_nowhere(self) -> None:
        """So are those that lead to nothing that can be asked for."""
        checking = self.machine.check()
        self.machine.answer(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
        self.assertFails(checking, "it redirects without saying where to")
        checking = self.machine.check()
        self.machine.answer(redirect("http://[::1/"))
        self.assertFails(checking, "its answer is not what HTTP allows")

    # --- what else can happen -------------------------------------------------------------------

    def test_unreachable(self) -> None:
        """A service that cannot be connected to is told as dialing tells it."""
        self.machine.outcome = fail(ConnectionFailed("cannot connect to 127.0.0.1:8080: connection refused"))
        error = self.failureResultOf(self.machine.check(), ConnectionFailed).value
        self.assertEqual(str(error), "cannot connect to 127.0.0.1:8080: connection refused")

    def test_given_up(self) -> None:
        """A check that is given up leaves nothing, whatever it waits for."""
        cancelled: list[object] = []
        self.machine.outcome = Deferred(cancelled.append)
        checking = self.machine.check()
        checking.cancel()
        self.failureResultOf(checking)
        self.assertEqual(len(cancelled), 1)
        self.machine.outcome = None
        for portions in (
            (),
            (GOOD[:10],),
            (GOOD[:-1],),
            (redirect("/again"),),
            (redirect("/again"), GOOD[:-1]),
        ):
            checking = self.machine.check()
            for portion in portions:
                self.machine.answer(portion)
            checking.cancel()
            self.failureResultOf(checking)
            self.assertGone()
            self.assertIs(self.machine.requests[-1].lost, Ended.RESET)
