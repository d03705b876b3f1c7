"""Tests for :mod:`relaykit.proxies.http`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ProxyRefusedError
from relaykit.options import LoadBalancer
from relaykit.proxies import http
from relaykit.proxies.http.options import HttpKeys, HttpOptions
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.relay import MemoryRelay, echoing
from relaykit.values import Secret

PORT = 8080


class HttpConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """``http`` is a proxy type."""

    proxy_type = http.proxy_type

    def options(self) -> HttpOptions:
        return HttpOptions(custom_domains=("a.example",))

    def ingress_options(self) -> HttpKeys:
        return HttpKeys(vhost_http_port=PORT)


class HttpGroupTests(SynchronousTestCase):
    """Tests for what members of a group have alike."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def join(self, name: str, own: HttpOptions) -> None:
        """A member registers."""
        self.relay.publish(
            http.proxy_type,
            own,
            name=name,
            local=echoing,
            ingress_options=HttpKeys(vhost_http_port=PORT, sub_domain_host="sub.example"),
            load_balancer=LoadBalancer(group="g", group_key=Secret("k")),
        )

    def test_terms(self) -> None:
        """Members lead the same requests to them and ask the same of users; what they change is their own."""
        self.join("first", HttpOptions(custom_domains=("a.example", "b.example"), locations=("/a", "/b")))
        self.join("second", HttpOptions(custom_domains=("b.example", "a.example"), locations=("/b", "/a")))
        self.join(
            "third",
            HttpOptions(
                custom_domains=("a.example", "b.example"), locations=("/a", "/b"), host_header_rewrite="c"
            ),
        )
        for other in (
            HttpOptions(custom_domains=("a.example",), locations=("/a", "/b")),
            HttpOptions(custom_domains=("a.example", "b.example"), locations=("/a",)),
            HttpOptions(custom_domains=("a.example", "b.example"), subdomain="c", locations=("/a", "/b")),
            HttpOptions(custom_domains=("a.example", "b.example"), locations=("/a", "/b"), http_user="u"),
            HttpOptions(
                custom_domains=("a.example", "b.example"), locations=("/a", "/b"), http_password=Secret("p")
            ),
            HttpOptions(
                custom_domains=("a.example", "b.example"), locations=("/a", "/b"), route_by_http_user="u"
            ),
        ):
            with self.assertRaises(ProxyRefusedError) as caught:
                self.join("other", other)
            self.assertEqual(caught.exception.text, "group params invalid")
