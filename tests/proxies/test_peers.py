"""Tests of what is told to whom between relaykit's own ends, and of when frp's may take part."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ProxyRefusedError, RefusalCode, RendezvousRefusedError
from relaykit.interfaces import IStreamPath
from relaykit.proxies import peers as module
from relaykit.proxies.peers import OwnWay, Peers, Telling
from relaykit.proxies.stcp import StcpOptions
from relaykit.proxies.xtcp.options import XtcpOptions, XtcpVisitorOptions
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_keys import rendezvous_key
from relaykit.values import Secret

SECRET = Secret("s3cret")


class _Host:
    """What a half asks of its host."""

    name, proxy_name = "db", "alice.db"

    def __init__(self, is_own_server: bool = True) -> None:
        self.takes_signals = is_own_server


class PeersTests(SynchronousTestCase):
    """Whether frp's programs may take part."""

    def test_table(self) -> None:
        """By the key, and by whose the server is."""
        found = [(each.value, [each.admits_frp(is_own) for is_own in (True, False)]) for each in Peers]
        self.assertEqual(
            found, [("auto", [False, True]), ("relaykit", [False, False]), ("any", [True, True])]
        )


class PeersKeyTests(SynchronousTestCase):
    """The key of proxies and visitors."""

    def test_values(self) -> None:
        """It has one of three words, of which the first is the default."""
        for options in (XtcpOptions, XtcpVisitorOptions):
            self.assertEqual(options().peers, "auto")
            for peers in ("auto", "relaykit", "any", "frp", ""):
                found = [each.key for each in options(peers=peers).problems()]
                self.assertEqual(found, ["peers"] if peers in ("frp", "") else [])


class TellingTests(SynchronousTestCase):
    """What the server learns of a proxy's secret."""

    def registered(self, peers: Peers, is_own_server: bool) -> Secret:
        """What travels as the secret."""
        host: Any = _Host(is_own_server)
        return Telling(peers, host).registered(StcpOptions(secret_key=SECRET)).secret_key

    def test_rendezvous_key(self) -> None:
        """A server of relaykit gets the rendezvous key."""
        for peers in (Peers.AUTO, Peers.RELAYKIT):
            self.assertEqual(self.registered(peers, True), rendezvous_key(SECRET, "alice.db"))

    def test_secret(self) -> None:
        """Where frp's programs may take part it gets the secret, which the log warns of once."""
        host: Any = _Host()
        telling = Telling(Peers.ANY, host)
        with capturedLogs() as logged:
            for host.takes_signals in (True, False, True):
                self.assertEqual(telling.registered(StcpOptions(secret_key=SECRET)).secret_key, SECRET)
        (said,) = logged
        self.assertEqual(said["problem"], "server-knows-secret")
        self.assertNotIn(SECRET.reveal(), formatEvent(said) or "")
        self.assertEqual(self.registered(Peers.AUTO, False), SECRET)

    def test_not_told(self) -> None:
        """With relaykit's ends alone another server is told nothing at all."""
        refused = self.assertRaises(ProxyRefusedError, self.registered, Peers.RELAYKIT, False)
        self.assertIn('peers = "relaykit"', refused.text)


class OwnWayTests(SynchronousTestCase):
    """A visitor's way."""

    def path(self, peers: Peers, outcome: Deferred[Any]) -> Deferred[IStreamPath]:
        """What comes of it when the call comes to this."""
        host: Any = _Host()
        asked: list[tuple[object, Secret]] = []

        async def call(host: object, secret: Secret) -> Any:
            asked.append((host, secret))
            return await outcome

        self.patch(module, "call", call)
        path = Deferred.fromCoroutine(OwnWay(peers, SECRET, host).path())
        self.assertEqual(asked, [(host, SECRET)])
        return path

    def test_path(self) -> None:
        """It is that of the call."""
        for peers in Peers:
            self.assertEqual(self.successResultOf(self.path(peers, succeed("path"))), "path")

    def test_prepared(self) -> None:
        """What it needs is loaded ahead, for the end that calls."""
        host: Any = _Host()
        host.direct_paths = mock.Mock()
        OwnWay(Peers.AUTO, SECRET, host).prepare()
        host.direct_paths.prepare.assert_called_once_with(PeerRole.INITIATOR)

    def test_open(self) -> None:
        """It is tried with a server of relaykit, and with any where there is no other way."""
        for is_own_server, expected in ((True, [True, True, True]), (False, [False, True, False])):
            host: Any = _Host(is_own_server)
            self.assertEqual([OwnWay(each, SECRET, host).is_open for each in Peers], expected)

    def test_frps_client(self) -> None:
        """Where the proxy's client is frp's, it is said what lets the visitor meet it."""
        no = RendezvousRefusedError(RefusalCode.NOT_AVAILABLE, "the client of [db] knows of no rendezvous")
        denied = RendezvousRefusedError(RefusalCode.BAD_CREDENTIALS, "auth failed")
        for peers, error, hinted in (
            (Peers.AUTO, no, True),
            (Peers.RELAYKIT, no, True),
            (Peers.ANY, no, False),
            (Peers.AUTO, denied, False),
        ):
            found = self.failureResultOf(self.path(peers, fail(error)), RendezvousRefusedError).value
            self.assertTrue(found.text.startswith(error.text))
            self.assertEqual(('peers = "any"' in found.text, found.code), (hinted, error.code))
