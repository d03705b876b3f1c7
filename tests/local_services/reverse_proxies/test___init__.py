"""Tests for :mod:`relaykit.local_services.reverse_proxies`."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.interfaces import ILocalService
from relaykit.local_services import reverse_proxies
from tests.local_services.hosts import LocalScene

KINDS = ("http2http", "http2https", "https2http", "https2https")


class ReverseProxyTests(SynchronousTestCase):
    """What reverse proxies are made of."""

    def asked(self, service: ILocalService) -> bytes:
        """What the service behind one gets of a request."""
        scene = LocalScene(service)
        scene.connect(b"GET /x HTTP/1.1\r\nHost: a.example\r\nX-A: user\r\nX-B: user\r\n\r\n")
        return bytes(scene.received().data)

    def test_provides(self) -> None:
        """Each is a local service, which wants to know where to, and shows no header that it sets."""
        for kind in KINDS:
            make: Any = getattr(reverse_proxies, kind)
            service = make("localhost:80", **{"requestHeaders.set.Authorization": "hush"})
            verifyObject(ILocalService, service)
            self.assertNotIn("hush", repr(service))
            self.assertRaises(ValueError, make, "localhost")

    def test_headers(self) -> None:
        """Headers are set in place of those of the user, also to nothing, and the host is replaced."""
        text = (
            "http2http:localAddr=localhost\\:80:hostHeaderRewrite=b.example"
            ":requestHeaders.set.x-a=hi\\: there:requestHeaders.set.X-B= "
        )
        endpoint = clientFromString(MemoryReactorClock(), text)
        assert ILocalService.providedBy(endpoint)
        self.assertEqual(
            self.asked(endpoint), b"GET /x HTTP/1.1\r\nHost: b.example\r\nx-a: hi: there\r\nX-B: \r\n\r\n"
        )

    def test_refused(self) -> None:
        """What makes no sense is refused with words, and without the values."""
        for arguments, why in (
            ({"header": "hush"}, "there is no header, but requestHeaders.set.NAME"),
            ({"hostHeaderRewrite": "a b"}, 'hostHeaderRewrite: "a b" cannot be a Host'),
            ({"requestHeaders.set.a b": "hush"}, '"a b" is not the name of a header field'),
            (
                {"requestHeaders.set.a": "hush\r\nb: c"},
                'the value for "a" has characters that no header field can have',
            ),
        ):
            make: Any = reverse_proxies.http2http
            error = self.assertRaises(ValueError, make, "localhost:80", **arguments)
            self.assertEqual(str(error), why)
