"""Tests for :mod:`relaykit.proxies.http.backend`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.hosts import BackendHost
from relaykit.proxies import http
from relaykit.proxies.http.options import HttpKeys, HttpOptions
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.values import Exchange
from tests.client.test_exchanges import RecordingExchanges
from tests.proxies.http.scene import GET, OK, PORT, HttpTestCase


def got(status: int | None, sent: int = 2) -> tuple[str, Exchange]:
    """What is told of a request for the site."""
    return "web", Exchange(method="GET", target="/", status=status, seconds=0.0, sent=sent)


class HttpBackendTests(HttpTestCase):
    """Tests for :class:`HttpBackend`."""

    def setUp(self) -> None:
        """Has a site, which somebody watches."""
        super().setUp()
        self.client = self.publish().client
        self.observer = RecordingExchanges()
        self.client.observe(self.observer)

    def test_told(self) -> None:
        """Each exchange is told of once it is over, those of a kept work connection, too."""
        user = self.user(GET)
        self.assertEqual(self.observer.told, [])
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)
        self.say(user, GET)
        self.say(self.service, OK.replace(b"200", b"404"))
        self.assertEqual(self.observer.told, [got(200), got(404)])

    def test_time(self) -> None:
        """It is told how long an exchange took."""
        self.user(GET)
        self.relay.advance(1.5)
        self.say(self.service, OK)
        self.assertEqual([exchange.seconds for _, exchange in self.observer.told], [1.5])

    def test_user_left(self) -> None:
        """Who leaves before the end has got no answer, or a part of it."""
        for answer, told in ((b"", got(None, 0)), (OK[:-1], got(200, 1))):
            self.served.clear()
            self.observer.told.clear()
            user = self.user(GET)
            self.say(self.service, answer)
            user.leg.abort()
            self.relay.settle()
            self.assertEqual(self.observer.told, [told])

    def test_upgraded(self) -> None:
        """What is said after an upgrade passes unseen."""
        offer = b"Connection: Upgrade\r\nUpgrade: x\r\n"
        user = self.user(GET.replace(b"\r\n\r\n", b"\r\n" + offer + b"\r\n"))
        self.say(self.service, b"HTTP/1.1 101 S\r\n" + offer + b"\r\n")
        user.take(), self.service.take()
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual((self.service.take(), user.take()), (GET, OK))
        self.assertEqual(self.observer.told, [got(101, 0)])

    def test_unwatched(self) -> None:
        """Where nobody watches nothing stands between the legs."""
        self.client.stop_observing(self.observer)

        def observed(*arguments: object) -> None:
            self.fail("somebody looks")

        self.patch(BackendHost, "observed", observed)
        user = self.user(GET)
        self.say(self.service, OK)
        self.assertEqual((user.take(), self.observer.told), (OK, []))


class ObservedConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """``http`` is a proxy type while somebody watches."""

    proxy_type = http.proxy_type

    def setUp(self) -> None:
        """Has somebody watch all clients."""
        self.patch(BackendHost, "is_observed", True)

    def options(self) -> HttpOptions:
        return HttpOptions(custom_domains=("a.example",))

    def ingress_options(self) -> HttpKeys:
        return HttpKeys(vhost_http_port=PORT)
