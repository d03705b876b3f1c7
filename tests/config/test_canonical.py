"""Tests for :mod:`relaykit.config.canonical`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.canonical import canonical_proxy, canonical_visitor
from relaykit.config.definitions import Definitions
from relaykit.config.load import client_from_table
from relaykit.plugins import ProxyTypes
from relaykit.proxies.http.options import HttpOptions
from relaykit.proxies.stcp import StcpOptions
from relaykit.proxies.tcp import TcpOptions
from relaykit.proxies.xtcp.options import XtcpVisitorOptions

_EMPTY = {
    "transport": {"bandwidthLimit": ""},
    "loadBalancer": {"group": ""},
    "healthCheck": {"type": "", "intervalSeconds": 0},
    "plugin": None,
}

_BOOLEANS = st.none() | st.booleans()
_NUMBERS = st.none() | st.integers(-1, 70000)
_MAPS = st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "x", "<&>"]))
_LISTS = st.none() | st.lists(st.sampled_from(["a.example", "/", "*"]), max_size=2)


def _texts(*some: str) -> st.SearchStrategy[str | None]:
    """No text, an empty one, or one of these."""
    return st.sampled_from([None, "", *some])


def _tables(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """No table, or one with some of these keys."""
    return st.none() | st.fixed_dictionaries({}, optional={**keys, "zz": _NUMBERS})


_GIVEN = {
    "localPort": 1,
    "serverName": "s",
    "secretKey": "k",
    "bindPort": 1,
    "customDomains": ["a.example"],
    "multiplexer": "httpconnect",
}
"""What some type or other needs."""

_DEFINITIONS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("localPort", "REMOTEPORT", "remotePort", "maxRetriesAnHour", "openSeconds"), _NUMBERS
        ),
        **dict.fromkeys(("enabled", "keepTunnelOpen", "keepOpen", "direct", "zz"), _BOOLEANS),
        **dict.fromkeys(("annotations", "metadatas"), _MAPS),
        **dict.fromkeys(("locations", "allowUsers"), _LISTS),
        **dict.fromkeys(("httpUser", "httpPassword", "greeting", "subdomain", "secretKey"), _texts("x")),
        "localIP": _texts("::1", "host.example"),
        "protocol": _texts("quic", "kcp"),
        "peers": _texts("any"),
        "transport": _tables(
            useEncryption=_BOOLEANS,
            bandwidthLimit=_texts("2MB", "0KB"),
            bandwidthLimitMode=_texts("client", "server"),
            proxyProtocolVersion=_texts("v1"),
        ),
        "loadBalancer": _tables(group=_texts("g"), groupKey=_texts("k"), balance=_texts("roundRobin")),
        "healthCheck": _tables(
            type=_texts("tcp", "http"), intervalSeconds=_NUMBERS, maxFailed=_NUMBERS, path=_texts("/")
        ),
        "plugin": st.none() | st.just({"type": "unix_domain_socket", "unixPath": "/run/s"}),
        "requestHeaders": _tables(set=_MAPS),
        "natTraversal": _tables(disableAssistedAddrs=_BOOLEANS),
    },
)
_TYPES = ProxyTypes.installed()


def definitions() -> Definitions:
    """What a client with all installed types reads definitions by."""
    loaded = client_from_table({"auth": {"token": "s"}}, types=_TYPES, environ={})
    assert loaded.definitions is not None
    return loaded.definitions


class CanonicalTests(SynchronousTestCase):
    """Tests for definitions as frp writes them."""

    def test_proxy(self) -> None:
        """Keys are spelled and ordered as frp's, the unknown ones are left out, and some are always there."""
        table = {
            "REMOTEPORT": 1,
            "zz": 2,
            "type": "tcp",
            "name": "a",
            "localPort": 22,
            "metadatas": {"k": "v"},
        }
        found = canonical_proxy(table, TcpOptions)
        self.assertEqual(
            found,
            {"name": "a", "type": "tcp", "metadatas": {"k": "v"}, **_EMPTY, "localPort": 22, "remotePort": 1},
        )
        order = ["name", "type", "transport", "metadatas", "loadBalancer", "healthCheck", "localPort"]
        self.assertEqual(list(found), [*order, "plugin", "remotePort"])

    def test_http(self) -> None:
        """Tables of headers are always there."""
        found = canonical_proxy({"name": "a", "type": "http"}, HttpOptions)
        self.assertEqual((found["requestHeaders"], found["responseHeaders"]), ({}, {}))

    def test_visitor(self) -> None:
        """The secret of a visitor is where frp has it; nothing else is there that was not given."""
        table = {"name": "v", "type": "xtcp", "bindPort": -1, "serverName": "s", "secretKey": "k"}
        found = canonical_visitor(table, XtcpVisitorOptions)
        self.assertEqual(
            list(found), ["name", "type", "transport", "secretKey", "serverName", "bindPort", "plugin"]
        )

    def test_complete(self) -> None:
        """What was left open is written out as far as frp does."""
        found = canonical_visitor(
            {"name": "v", "type": "xtcp", "transport": {}}, XtcpVisitorOptions, complete=True
        )
        self.assertEqual(
            found,
            {
                "name": "v",
                "type": "xtcp",
                "transport": {},
                "bindAddr": "127.0.0.1",
                "plugin": None,
                "protocol": "quic",
                "maxRetriesAnHour": 8,
                "minRetryInterval": 90,
                "fallbackTimeoutMs": 1000,
            },
        )
        proxy = canonical_proxy({"name": "a", "type": "tcp", "localIP": ""}, TcpOptions, complete=True)
        self.assertEqual(
            (proxy["localIP"], proxy["transport"]["bandwidthLimitMode"]), ("127.0.0.1", "client")
        )
        self.assertEqual(proxy["healthCheck"], {"type": "", "intervalSeconds": 0})

    def test_plugin(self) -> None:
        """A plugin has its own keys."""
        plugin = {"Type": "https2http", "localAddr": "127.0.0.1:1", "zz": 1}
        found = canonical_proxy({"plugin": plugin}, TcpOptions)["plugin"]
        self.assertEqual(found, {"type": "https2http", "localAddr": "127.0.0.1:1", "requestHeaders": {}})
        found = canonical_proxy({"plugin": plugin}, TcpOptions, complete=True)["plugin"]
        self.assertTrue(found["enableHTTP2"])

    def test_on_purpose(self) -> None:
        """What is off or empty on purpose stays so."""
        table = {"enabled": False, "secretKey": "", "loadBalancer": {"group": "g", "groupKey": ""}}
        found = canonical_proxy(table, StcpOptions)
        self.assertEqual((found["enabled"], found["secretKey"]), (False, ""))
        self.assertEqual(found["loadBalancer"], {"group": "g", "groupKey": ""})

    def test_trimmed(self) -> None:
        """A limit of bandwidth has no blanks around it."""
        found = canonical_proxy({"transport": {"bandwidthLimit": " 2MB "}}, TcpOptions)
        self.assertEqual(found["transport"], {"bandwidthLimit": "2MB"})

    @settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(st.sampled_from([each.name for each in _TYPES]), st.booleans(), _DEFINITIONS)
    def test_same(self, type_name: str, visits: bool, table: dict[str, Any]) -> None:
        """What can be used means the same as frp writes it, and is written the same again."""
        list_name = "visitors" if visits else "proxies"
        read = definitions()
        table = {**_GIVEN, **table, "name": "a", "type": type_name}
        checked = read.check(list_name, table, strict=False)
        if checked.entry is None or checked.unread or checked.problems:
            return
        found: Any = _TYPES.get(type_name)
        write = canonical_visitor if visits else canonical_proxy
        own = found.visitor_options if visits else found.proxy_options
        written = write(table, own)
        again = read.check(list_name, json.loads(json.dumps(written)))
        self.assertEqual((again.unread, again.problems, again.entry), ((), (), checked.entry))
        self.assertEqual(write(written, own), written)
