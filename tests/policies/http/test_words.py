"""Tests for requests in frp's words, and back."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.server import HTTP_PLUGIN_OPERATIONS
from relaykit.policies.http.words import operations
from relaykit.policy_requests import (
    HeartbeatRequest,
    LoginRequest,
    ProxyRequest,
    Request,
    UserRequest,
    WorkConnectionRequest,
)
from relaykit.sansio.http_plugins import question
from relaykit.values import Address, ClientIdentity, Origin

ANN = ClientIdentity("r1", "ann", "c1", Address("192.0.2.1", 5000))
METAS = {"token": "apple"}
USER = {"user": "ann", "metas": METAS, "run_id": "r1"}
ORIGIN = Origin(Address("192.0.2.7", 4000))
LOGIN = LoginRequest(
    client=ANN,
    origin=ORIGIN,
    user="ann",
    metas=METAS,
    pool_count=1,
    version="0.70.1",
    hostname="h",
    os="linux",
    arch="amd64",
)
PROXY = ProxyRequest(client=ANN, metas=METAS, name="ann.web", type="tcp", fields={"remote_port": 6000})
REQUESTS: dict[str, tuple[Request, dict[str, Any]]] = {
    "Login": (
        LOGIN,
        {
            "version": "0.70.1",
            "hostname": "h",
            "os": "linux",
            "arch": "amd64",
            "user": "ann",
            "run_id": "r1",
            "client_id": "c1",
            "metas": METAS,
            "client_spec": {},
            "pool_count": 1,
            "client_address": "192.0.2.7:4000",
        },
    ),
    "NewProxy": (
        PROXY,
        {"user": USER, "proxy_name": "ann.web", "proxy_type": "tcp", "remote_port": 6000},
    ),
    "CloseProxy": (PROXY.closed(was_open=True), {"user": USER, "proxy_name": "ann.web"}),
    "NewUserConn": (
        UserRequest(client=ANN, metas=METAS, proxy="ann.web", type="tcp", origin=ORIGIN),
        {"user": USER, "proxy_name": "ann.web", "proxy_type": "tcp", "remote_addr": "192.0.2.7:4000"},
    ),
    "Ping": (HeartbeatRequest(client=ANN, metas=METAS), {"user": USER}),
    "NewWorkConn": (WorkConnectionRequest(client=ANN, metas=METAS), {"user": USER, "run_id": "r1"}),
}


class OperationTests(SynchronousTestCase):
    """Tests for the table of operations."""

    def test_complete(self) -> None:
        """Each operation that a file may name is one, and nobody is asked about others."""
        self.assertEqual(
            {each.name for each in operations(HTTP_PLUGIN_OPERATIONS).values()}, set(HTTP_PLUGIN_OPERATIONS)
        )
        self.assertEqual(list(operations(("Ping",))), [HeartbeatRequest])

    def test_content(self) -> None:
        """Each request is told in frp's words, in frp's order; what proves a token is never told."""
        known = operations(HTTP_PLUGIN_OPERATIONS)
        for name, (request, content) in REQUESTS.items():
            asked = known[type(request)]
            self.assertEqual(asked.name, name)
            said = json.loads(question(name, asked.content(request)))["content"]
            self.assertEqual(list(said.items()), list(content.items()))

    def test_unknown_source(self) -> None:
        """A source that nobody knows is empty."""
        request = UserRequest(client=ANN, metas={}, proxy="p", type="tcp", origin=Origin())
        self.assertEqual(operations(("NewUserConn",))[UserRequest].content(request)["remote_addr"], "")

    def test_changes(self) -> None:
        """Of logins and proxies counts what may be changed; of all else nothing does."""
        known = operations(HTTP_PLUGIN_OPERATIONS)
        login = known[LoginRequest].changed(LOGIN, {"user": "bob", "run_id": "r2", "metas": {"a": "b"}})
        self.assertEqual((login.user, login.metas, login.pool_count), ("bob", {"a": "b"}, 0))
        self.assertEqual(login.client, ANN)
        proxy = known[ProxyRequest].changed(PROXY, {"proxy_name": "ann.web", "remote_port": 6001})
        self.assertEqual((proxy.name, proxy.fields), ("ann.web", {"remote_port": 6001}))
        for name in ("CloseProxy", "NewUserConn", "Ping", "NewWorkConn"):
            request = REQUESTS[name][0]
            self.assertIs(known[type(request)].changed(request, {"user": "bob"}), request)
