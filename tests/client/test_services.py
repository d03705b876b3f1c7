"""Servers that are named by a service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client import services
from relaykit.client.services import MOST_TARGETS, reach_service
from relaykit.dataplane.name_server import NameServer
from relaykit.errors import ConnectionFailed
from relaykit.sansio.service_records import ServiceRecord
from relaykit.values import Address
from tests.dataplane.fakes import FakePoller

NAME = "_relaykit._tcp.example"


class Records:
    """A name server that has these records."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    def services(self, name: str) -> Deferred[Sequence[ServiceRecord]]:
        """What the test said, one priority each."""
        if not self.hosts:
            return fail(ConnectionFailed("there is none", problem="unknown-host"))
        return succeed(
            [ServiceRecord(number, 0, Address(host, 7000 + number)) for number, host in enumerate(self.hosts)]
        )


class ReachTests(SynchronousTestCase):
    """Tests for :func:`reach_service`."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.reached: list[str] = []

    def reach(self, server: Address) -> Deferred[str]:
        """Reaches for a server, which is there if it is called so."""
        self.reached.append(str(server))
        return succeed(server.host) if server.host == "there" else fail(ConnectionFailed(f"{server} is away"))

    def reaching(self, *hosts: str) -> Deferred[str]:
        """What comes of these records."""
        self.reached.clear()
        known: Any = Records(*hosts)
        self.poller.name_server = known
        return Deferred.fromCoroutine(reach_service(self.poller, NAME, self.reach, lambda top: 0))

    def test_reached(self) -> None:
        """One after the other, until one is there."""
        self.assertEqual(self.successResultOf(self.reaching("there")), "there")
        self.assertEqual(self.successResultOf(self.reaching("away", "there", "there")), "there")
        self.assertEqual(self.reached, ["away:7000", "there:7001"])

    def test_nobody(self) -> None:
        """Where nobody is there the last one is told of, after a few."""
        why = self.failureResultOf(self.reaching("away", "off"), ConnectionFailed).value
        self.assertEqual(str(why), "off:7001 is away")
        self.failureResultOf(self.reaching(*["away"] * 9), ConnectionFailed)
        self.assertEqual(len(self.reached), MOST_TARGETS)

    def test_unknown(self) -> None:
        """A name that has no records is told with it."""
        why = self.failureResultOf(self.reaching(), ConnectionFailed).value
        self.assertEqual((str(why), why.problem), (f"cannot look up {NAME}: there is none", "unknown-host"))

    def test_system(self) -> None:
        """Without a name server of the file those of the system are asked, if they are known."""
        nowhere = Path(self.mktemp())

        class OfSystem(NameServer):
            """Reads another file."""

            @classmethod
            def of_system(cls, reactor: Any, resolver_file: str = "") -> Any:
                """The servers of this test."""
                return NameServer.of_system(reactor, str(nowhere))

        self.patch(services, "NameServer", OfSystem)
        reaching = Deferred.fromCoroutine(reach_service(self.poller, NAME, self.reach))
        self.assertIn(
            f"cannot look up {NAME}: the system's name servers are not known: {nowhere}: No such file",
            str(self.failureResultOf(reaching, ConnectionFailed).value),
        )
