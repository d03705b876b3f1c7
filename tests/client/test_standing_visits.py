"""Tests for :mod:`relaykit.client.standing_visits`, with a client and a server in memory."""

from __future__ import annotations

from unittest import mock

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.service import RelayClient
from relaykit.client.standing_visits import AFTER_END_S, AFTER_FAILURE_S, LONGEST_AFTER_FAILURE_S
from relaykit.client.status import VisitorStatus
from relaykit.config.load import ConfiguredVisitor
from relaykit.proxies.stcp import StcpVisitor
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.values import Ended
from tests.client.scene import SERVICE, Machine, started, stcp_proxy, stcp_visitor
from tests.server.scene import Scene

HERE = "inner:here"
"""The local service of the visitor."""


def standing(name: str = "v", key: str = "k", local: str = HERE) -> ConfiguredVisitor:
    """A visitor with a local service, and without a port."""
    return stcp_visitor(name, key, -1, local=local)


class StandingVisitTests(SynchronousTestCase):
    """A client that has a proxy, and another one that connects a service of its own to that."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.there, self.here = Machine(self.scene), Machine(self.scene)
        self.here.services[HERE] = []

    def visited(self) -> RelayClient:
        """The client of the proxy."""
        return started(self.there, stcp_proxy())

    def ends(self) -> tuple[MemoryLeg, MemoryLeg]:
        """What was connected last: the service there, and the one here."""
        return self.there.services[SERVICE][-1], self.here.services[HERE][-1]

    def status(self, client: RelayClient) -> VisitorStatus:
        """How the visitor stands."""
        [status] = client.status().visitors
        return status

    def pass_time(self, seconds: float) -> None:
        """Lets time go by."""
        self.scene.clock.advance(seconds)
        self.scene.flush()

    def next_try_s(self, client: RelayClient) -> float:
        """Seconds until the visitor connects again."""
        at = self.status(client).next_try
        assert at is not None
        return at - self.scene.clock.seconds()

    def test_connected(self) -> None:
        """The two services are connected without a user, both ways, and the status says so."""
        self.visited()
        client = started(self.here, standing())
        there, here = self.ends()
        there_got, here_got = RecordingReceiver(there), RecordingReceiver(here)
        here.write(b"from here")
        there.write(b"from there")
        self.scene.flush()
        self.assertEqual((there_got.data, here_got.data), (b"from here", b"from there"))
        status = self.status(client)
        self.assertEqual((status.local, status.users, status.is_up), (HERE, 1, True))
        self.assertEqual((status.listening, status.reason, status.next_try), (None, "", None))

    def test_ended(self) -> None:
        """Once one of them has ended they are connected again, ten seconds later, however often."""
        self.visited()
        client = started(self.here, standing())
        for times in range(1, 4):
            self.assertEqual(len(self.here.services[HERE]), times)
            there, here = self.ends()
            RecordingReceiver(here)
            there.abort()
            here.abort()
            self.scene.flush()
            self.assertFalse(self.status(client).is_up)
            self.assertEqual(self.next_try_s(client), AFTER_END_S)
            self.pass_time(AFTER_END_S)

    def test_refused(self) -> None:
        """Where the visit is refused the next attempts come later and later; one that succeeds ends that."""
        client = started(self.here, standing())
        for seconds in (AFTER_FAILURE_S, 120, 240, LONGEST_AFTER_FAILURE_S, LONGEST_AFTER_FAILURE_S):
            status = self.status(client)
            self.assertEqual((self.next_try_s(client), status.is_up), (seconds, False))
            self.assertIn("[db]", status.reason)
            self.pass_time(seconds)
        self.visited()
        self.pass_time(LONGEST_AFTER_FAILURE_S)
        self.assertTrue(self.status(client).is_up)
        for each in self.ends():
            each.abort()
        self.scene.flush()
        self.assertEqual(self.next_try_s(client), AFTER_END_S)

    def test_no_service(self) -> None:
        """Where the service here cannot be reached that is said, without its secrets, and tried again."""
        self.visited()
        with capturedLogs() as logs:
            client = started(self.here, standing(local="inner:password=hush"))
        [event] = [each for each in logs if each["log_level"] is LogLevel.error]
        self.assertEqual((event["endpoint"], event["problem"]), ("inner:password=<secret>", "local-service"))
        self.assertEqual(self.next_try_s(client), AFTER_FAILURE_S)
        status = self.status(client)
        self.assertIn("connection refused", status.reason)
        self.assertEqual(status.local, "inner:password=<secret>")

    def test_session(self) -> None:
        """Without a session nothing is tried, and with the next one it is tried at once."""
        self.visited()
        client = started(self.here, standing())
        assert client._run is not None
        client._run.abort_session(Ended.RESET)
        self.scene.flush()
        self.assertIsNone(self.status(client).next_try)
        self.assertEqual(len(self.here.services[HERE]), 1)
        self.pass_time(AFTER_END_S)
        self.assertTrue(client.is_connected)
        self.assertEqual((len(self.here.services[HERE]), self.status(client).is_up), (2, True))

    def test_removed(self) -> None:
        """A visitor that is gone ends what it has connected, and does not connect again."""
        self.visited()
        client = started(self.here, standing())
        got = [RecordingReceiver(each) for each in self.ends()]
        client.update((), ())
        self.scene.flush()
        self.assertTrue(all(each.ended or each.lost for each in got))
        self.pass_time(LONGEST_AFTER_FAILURE_S)
        self.assertEqual(len(self.here.services[HERE]), 1)

    def test_removed_while_it_waits(self) -> None:
        """One that waits for its next attempt does not make it."""
        client = started(self.here, standing())
        client.update((), ())
        self.visited()
        self.pass_time(LONGEST_AFTER_FAILURE_S)
        self.assertEqual(self.there.services[SERVICE], [])

    def test_changed(self) -> None:
        """One that is another one after a reload is connected by that at once."""
        self.visited()
        client = started(self.here, standing(key="wrong"))
        self.assertFalse(self.status(client).is_up)
        client.update((), (standing(),))
        self.scene.flush()
        self.assertTrue(self.status(client).is_up)

    def test_defect(self) -> None:
        """A visitor that cannot take the service is tried again later."""
        self.visited()
        with mock.patch.object(StcpVisitor, "leg_accepted", side_effect=RuntimeError("a defect")):
            client = started(self.here, standing())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.next_try_s(client), AFTER_FAILURE_S)
        self.pass_time(AFTER_FAILURE_S)
        self.assertTrue(self.status(client).is_up)

    def test_stopped(self) -> None:
        """A client that is stopped does not wait for its standing visits to end."""
        self.visited()
        client = started(self.here, standing())
        RecordingReceiver(self.ends()[1])
        ended = client.stopService()
        self.scene.flush()
        self.successResultOf(ended)
