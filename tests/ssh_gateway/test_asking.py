"""Tests for :mod:`relaykit.ssh_gateway.asking`: commands, in the grammar of frp."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.plugins import ProxyTypes
from relaykit.ssh_gateway.asking import (
    MOST_COMMAND_BYTES,
    TYPES,
    CommandRefused,
    TunnelRequest,
    UsageAsked,
    read_command,
)
from relaykit.values import Secret

INSTALLED = ProxyTypes.installed()


def read(command: str | bytes) -> TunnelRequest:
    """What a command asks for."""
    raw = command.encode() if isinstance(command, str) else command
    return read_command(raw, INSTALLED, b"\xca\xc4\x65\x06")


class CommandTests(SynchronousTestCase):
    """Tests for :func:`read_command`."""

    def test_each_type(self) -> None:
        """Each type that frp's gateway has takes the flags that it has there, under the names of the wire."""
        for command, fields in {
            "tcp -r 28010": {"remote_port": 28010},
            "http -d a.example,b.example --locations /x,/y --http_user u --http_pwd p "
            "--host_header_rewrite h": {
                "custom_domains": ("a.example", "b.example"),
                "locations": ("/x", "/y"),
                "http_user": "u",
                "http_pwd": "p",
                "host_header_rewrite": "h",
            },
            "https --custom-domain a.example --sd s": {"custom_domains": ("a.example",), "subdomain": "s"},
            "tcpmux --mux httpconnect -d a.example": {
                "multiplexer": "httpconnect",
                "custom_domains": ("a.example",),
            },
            'stcp --sk s --allow_users "*"': {"sk": "s", "allow_users": ("*",)},
        }.items():
            request = read(f"{command} -n web")
            self.assertEqual((request.type, request.name), (command.split()[0], "web"))
            self.assertEqual(dict(request.fields), fields)

    def test_client(self) -> None:
        """What is of the client: user, token, id, and what plugins get."""
        request = read("tcp -n web -u bob -t s --client-id c --metadatas a=b --annotations x=y")
        self.assertEqual((request.user, request.client_id, request.token), ("bob", "c", Secret("s")))
        self.assertEqual(request.full_name, "bob.web")
        self.assertEqual(dict(request.metadatas), {"a": "b"})
        self.assertEqual(dict(request.fields), {"metas": {"a": "b"}, "annotations": {"x": "y"}})
        self.assertNotIn("'s'", repr(request))

    def test_no_name(self) -> None:
        """Without a name the proxy gets one as frp's."""
        self.assertEqual(read("tcp").full_name, "sshtunnel-tcp-cac46506")

    def test_spaces(self) -> None:
        """Several spaces are as good as one."""
        self.assertEqual(read("  tcp  -n web   -r 5 "), read("tcp -n web -r 5"))

    def test_refused(self) -> None:
        """What cannot be understood is refused with why."""
        for command, text in {
            "udp -n web": "invalid proxy type: udp, support types: [tcp http https tcpmux stcp]",
            "": "invalid proxy type: , support types: [tcp http https tcpmux stcp]",
            "tcp --nope": "unknown flag: --nope",
            "tcp --custom_domain a": "unknown flag: --custom_domain",
            "tcp -r": "flag needs an argument: 'r' in -r",
            "tcp -r abc": 'invalid argument "abc" for "-r, --remote-port" flag: it is not a whole number',
            "tcp -r 1e5": 'invalid argument "1e5" for "-r, --remote-port" flag: it is not a whole number',
            "\x1b[2J": "invalid proxy type: \\x1b[2J, support types: [tcp http https tcpmux stcp]",
        }.items():
            error = self.assertRaises(CommandRefused, read, command)
            self.assertEqual(str(error), text)
        self.assertRaises(CommandRefused, read, b"tcp -n \xff")
        self.assertRaises(CommandRefused, read, b"tcp -n " + b"x" * MOST_COMMAND_BYTES)

    def test_help(self) -> None:
        """Help shows how commands are, and the flags of a type."""
        for command in ("help", "--help", "-h"):
            text = str(self.assertRaises(UsageAsked, read, command))
            for name in TYPES:
                self.assertIn(f"\n  {name} ", text)
        text = str(self.assertRaises(UsageAsked, read, "http -h"))
        self.assertTrue(text.startswith("Usage:\n  ssh v0@{address} [command] [flags]\n\nFlags:\n"))
        self.assertIn("-d, --custom-domain strings", text)

    @given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: f"tcp {text}".encode())))
    def test_junk(self, command: bytes) -> None:
        """Whatever is given, there is a request, or a text."""
        with contextlib.suppress(CommandRefused, UsageAsked):
            read(command)
