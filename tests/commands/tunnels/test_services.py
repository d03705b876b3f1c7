"""Tests for :mod:`relaykit.commands.tunnels.services`."""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.tunnels.services import local_service
from tests.commands.terminal import run_printed


class LocalServiceTests(SynchronousTestCase):
    """Tests for :func:`local_service`."""

    def setUp(self) -> None:
        """Knows a few services, whatever this machine knows."""
        self.patch(socket, "getservbyname", self.known)

    def known(self, name: str, protocol: str) -> int:
        """The port of a service."""
        try:
            return {("ssh", "tcp"): 22, ("http", "tcp"): 80, ("domain", "udp"): 53}[name, protocol]
        except KeyError:
            raise OSError("service/proto not found") from None

    def test_forms(self) -> None:
        """A port, a host with a port, names in place of numbers, a path, or what Twisted can connect to."""
        for word, keys in {
            "22": {"localPort": 22},
            "ssh": {"localPort": 22},
            "nas.lan:80": {"localIP": "nas.lan", "localPort": 80},
            "localhost:http": {"localIP": "localhost", "localPort": 80},
            "192.0.2.1:8080": {"localIP": "192.0.2.1", "localPort": 8080},
            "[::1]:22": {"localIP": "::1", "localPort": 22},
            "/run/app.sock": {"local": "unix:/run/app.sock"},
            "/run/a:b=c\\d": {"local": "unix:/run/a\\:b\\=c\\\\d"},
            "./app.sock": {"local": f"unix:{os.getcwd()}/app.sock"},
            "unix:/run/app.sock": {"local": "unix:/run/app.sock"},
            "unix:app": {"local": "unix:app"},
            "tcp:host=nas.lan:port=80": {"local": "tcp:host=nas.lan:port=80"},
            "tcp:127.0.0.1:80": {"local": "tcp:127.0.0.1:80"},
        }.items():
            self.assertEqual(local_service(word), keys, word)
        self.assertEqual(local_service("domain", "udp"), {"localPort": 53})

    def test_none(self) -> None:
        """What can be no service is refused with the reason."""
        for word, reason in {
            "": "it must be a port, host:port, a service's name such as ssh, or an endpoint",
            " ": "it must be a port",
            "0": '"0" is no port: they go from 1 to 65535',
            "65536": "they go from 1 to 65535",
            "nas.lan:0": "they go from 1 to 65535",
            "nosuch": 'this machine knows no service "nosuch"',
            "localhost:nosuch": "it must be a port, host:port",
            "a b:80": "must be a host, without blanks",
            "[1.2.3:4]:80": "is neither a host name nor an IPv6 address",
            "nosuch:/x": "nobody takes nosuch: here",
            "http://127.0.0.1:80": "is not an endpoint",
        }.items():
            self.assertIn(reason, str(self.assertRaises(ValueError, local_service, word)))
        self.assertIn("takes datagrams", str(self.assertRaises(ValueError, local_service, "/run/x", "udp")))


class CommandLineTests(SynchronousTestCase):
    """What is said of a wrong word."""

    def test_before_all_else(self) -> None:
        """It is said before a token is asked for, or a server; the status is that of a misuse."""
        for words, said in (
            (("tcp", ""), "Invalid value for 'SERVICE': it must be a port"),
            (("tcp", "0"), "Invalid value for 'SERVICE': \"0\" is no port"),
            (("udp", "/run/app.sock"), "this command takes datagrams"),
            (
                ("tcp", "22", "--remote-port", "abc"),
                "'--remote-port': 'abc' is not a valid port",
            ),
            (
                ("tcp", "22", "--remote-port", "70000"),
                "70000 is not in the range 0<=x<=65535",
            ),
            (("tcp", "22", "--remote-port", "-1"), "-1 is not in the range 0<=x<=65535"),
            (("visit", "db", "--port", "70000"), "is not in the range 0<=x<=65535"),
        ):
            printed = run_printed(words)
            self.assertEqual((printed.status, printed.stdout), (2, ""), words)
            self.assertIn(said, printed.stderr)
