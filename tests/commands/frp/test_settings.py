"""Tests for what the flags of frp's programs set."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.frp.flags import FRPC, FRPS
from relaykit.commands.frp.settings import client_table, entry_table, server_table
from relaykit.flags.grammar import Call, Command, parse


def call(root: Command, line: str) -> Call:
    """The call that a line means; ``''`` is an empty word."""
    found = parse(root, ["" if word == "''" else word for word in line.split()])
    assert isinstance(found, Call)
    return found


class ServerTableTests(SynchronousTestCase):
    """Tests for :func:`server_table`."""

    def table(self, line: str) -> dict[str, Any]:
        """What these flags set."""
        return server_table(call(FRPS, line))

    def test_nothing(self) -> None:
        """Without flags everything has the default of files, but for the proxies' address."""
        self.assertEqual(self.table(""), {"proxyBindAddr": "0.0.0.0"})

    def test_keys(self) -> None:
        """Each flag sets its key, in its table."""
        self.assertEqual(
            self.table(
                "--bind_addr 127.0.0.1 -p 7001 -t s --log_level debug --tls_only --allow_ports 1-5,9 "
                "--proxy_bind_addr ::1"
            ),
            {
                "bindAddr": "127.0.0.1",
                "bindPort": 7001,
                "proxyBindAddr": "::1",
                "auth": {"token": "s"},
                "log": {"level": "debug"},
                "transport": {"tls": {"force": True}},
                "allowPorts": [{"start": 1, "end": 5}, {"single": 9}],
            },
        )

    def test_dashboard(self) -> None:
        """The dashboard's address, user and password have defaults, and count only with a port."""
        self.assertEqual(self.table("--dashboard_user u"), {"proxyBindAddr": "0.0.0.0"})
        self.assertEqual(
            self.table("--dashboard_port 1 --dashboard_user u")["webServer"],
            {"addr": "0.0.0.0", "port": 1, "user": "u", "password": "admin"},
        )

    def test_empty_values(self) -> None:
        """An empty value is none: the key keeps its default."""
        self.assertEqual(self.table("--bind_port 0 --log_file ''"), {"proxyBindAddr": "0.0.0.0"})


class ClientTablesTests(SynchronousTestCase):
    """Tests for the tables of clients."""

    def test_client(self) -> None:
        """The server is this machine, unless a flag says otherwise; an explicit no is kept."""
        self.assertEqual(client_table(call(FRPC, "tcp")), {"serverAddr": "127.0.0.1"})
        self.assertEqual(
            client_table(call(FRPC, "tcp -s h -P 7001 -u me --client-id c -p '' --tls_enable=false")),
            {
                "serverAddr": "h",
                "serverPort": 7001,
                "user": "me",
                "clientID": "c",
                "transport": {"tls": {"enable": False}},
            },
        )

    def test_proxy(self) -> None:
        """A proxy has its type, and what its flags say."""
        self.assertEqual(
            entry_table(call(FRPC, "stcp -n a -l 22 --ue --sk k --allow_users u,v --metadatas x=y"), "stcp"),
            {
                "type": "stcp",
                "name": "a",
                "localPort": 22,
                "transport": {"useEncryption": True},
                "secretKey": "k",
                "allowUsers": ["u", "v"],
                "metadatas": {"x": "y"},
            },
        )

    def test_visitor(self) -> None:
        """A visitor likewise."""
        self.assertEqual(
            entry_table(call(FRPC, "stcp visitor -n a --server_name b --bind_port 9 --uc"), "stcp"),
            {
                "type": "stcp",
                "name": "a",
                "serverName": "b",
                "bindPort": 9,
                "transport": {"useCompression": True},
            },
        )
