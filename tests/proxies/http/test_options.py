"""Tests for the keys of ``http``."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import Problem, from_wire, to_wire
from relaykit.proxies.http.options import (
    DEFAULT_TIMEOUT_S,
    HttpKeys,
    HttpOptions,
    RequestHeaders,
    ResponseHeaders,
)
from relaykit.values import Secret


def faults(**keys: object) -> list[tuple[str, str]]:
    """What is wrong with a proxy that has these besides a domain: the keys and the words."""
    made = msgspec.convert({"customDomains": ["a.example"], **keys}, HttpOptions)
    return [(each.key, each.reason) for each in made.problems()]


class HttpOptionsTests(SynchronousTestCase):
    """Tests for what travels, and what may be."""

    def test_wire(self) -> None:
        """All keys travel in frp's fields."""
        given = HttpOptions(
            custom_domains=("a.example",),
            subdomain="b",
            locations=("/x", "/y/"),
            http_user="u",
            http_password=Secret("p"),
            route_by_http_user="bob",
            host_header_rewrite="in.example",
            request_headers=RequestHeaders(set={"X-From": "there"}),
            response_headers=ResponseHeaders(set={"X-To": "here"}),
        )
        sent = {
            "custom_domains": ["a.example"],
            "subdomain": "b",
            "locations": ["/x", "/y/"],
            "http_user": "u",
            "http_pwd": "p",
            "route_by_http_user": "bob",
            "host_header_rewrite": "in.example",
            "headers": {"X-From": "there"},
            "response_headers": {"X-To": "here"},
        }
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(to_wire(given))), sent)
        self.assertEqual(from_wire(HttpOptions, sent), given)
        self.assertEqual(list(given.problems()), [])

    def test_domain(self) -> None:
        """A proxy needs a domain; an empty name is one to frp."""
        self.assertEqual([each.key for each in HttpOptions().problems()], ["customDomains"])
        self.assertEqual(list(HttpOptions(subdomain="s").problems()), [])
        self.assertEqual(list(HttpOptions(custom_domains=("",)).problems()), [])

    def test_locations(self) -> None:
        """A location that no request can have is told, each by itself."""
        (first, second) = faults(locations=["/a", "b", "/c//d", ""])
        self.assertEqual(first, ("locations", '"b" matches nothing: paths begin with a slash'))
        self.assertIn("several slashes in a row", second[1])

    def test_host(self) -> None:
        """What takes the place of the Host field must be one value without blanks."""
        for value in ("a.example", "a.example:8080", "[::1]:80", ""):
            self.assertEqual(faults(hostHeaderRewrite=value), [])
        for value in ("a b", " a", "a\r\nX-Evil: 1", "a\0", "in.ex\tample", "\udc80"):
            (fault,) = faults(hostHeaderRewrite=value)
            self.assertEqual(fault, ("hostHeaderRewrite", f'"{value}" cannot be a Host'))

    def test_headers(self) -> None:
        """Fields that cannot be are told by their keys."""
        for key in ("requestHeaders", "responseHeaders"):
            for name, value, part in (
                ("X A", "1", "is not the name of a header field"),
                ("", "1", "is not the name of a header field"),
                ("X-A", "1\r\nX-Evil: 1", "characters that no header field can have"),
            ):
                ((where, what),) = faults(**{key: {"set": {name: value}}})
                self.assertEqual(where, f"{key}.set", name)
                self.assertIn(part, what)
            self.assertEqual(faults(**{key: {"set": {"X-Empty": "", "x-ü": "ü"}}})[0][0], f"{key}.set")
            self.assertEqual(faults(**{key: {"set": {"X-Empty": "", "X-Name": "ü"}}}), [])

    def test_unsettable(self) -> None:
        """Fields that follow from the message are faults of a configuration; a server lets them be."""
        for key, table in (("requestHeaders", RequestHeaders), ("responseHeaders", ResponseHeaders)):
            for name in ("Host", "content_length", "Transfer-Encoding", "connection"):
                headers = {name: "1"}
                self.assertEqual(
                    list(table(set=headers).problems()),
                    [Problem("set", f"{name} cannot be set: it follows from the message and its connection")],
                )
                self.assertEqual(faults(**{key: {"set": headers}}), [])

    def test_rules(self) -> None:
        """The rules say what the keys say."""
        made = HttpOptions(
            custom_domains=("a.example",),
            host_header_rewrite="in.example",
            request_headers=RequestHeaders(set={"X-From": " there "}),
            response_headers=ResponseHeaders(set={"X-To": "here"}),
        )
        rules = made.rules
        self.assertEqual(rules.host, b"in.example")
        self.assertEqual(
            (list(rules.request.lines), list(rules.response.lines)), ([b"X-From: there"], [b"X-To: here"])
        )
        self.assertEqual((rules.request.keys, rules.response.keys), ({b"x-from"}, {b"x-to"}))

    def test_credentials(self) -> None:
        """Users need none, or the user, the password, or both that the keys name."""
        self.assertIsNone(HttpOptions().credentials)
        for user, password in (("u", ""), ("", "p"), ("u", "p")):
            found = HttpOptions(http_user=user, http_password=Secret(password)).credentials
            assert found is not None
            self.assertEqual((found.user, found.password), (user.encode(), password.encode()))

    def test_secret(self) -> None:
        """The password is not shown."""
        self.assertNotIn("hush", repr(HttpOptions(http_password=Secret("hush"))))

    def test_keys_of_the_server(self) -> None:
        """The server's keys have frp's names and defaults."""
        made = HttpKeys()
        self.assertEqual((made.vhost_http_port, made.vhost_http_timeout), (0, DEFAULT_TIMEOUT_S))
        self.assertEqual((made.custom_404_page, made.sub_domain_host), ("", ""))
