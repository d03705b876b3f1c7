"""Tests for :mod:`relaykit.commands.tunnels.commands`."""

from __future__ import annotations

import shlex
import socket
import tomllib
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.commands.tunnels.commands import (
    TunnelCommand,
    _made_up_name,
    find_others,
    find_tunnel,
    installed_tunnels,
)
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.errors import BrokenProxyType, RelaykitError
from relaykit.interfaces import IOneLineProxyType, IProxyTypeReference
from relaykit.options import HealthCheck, LoadBalancer, OneLine, ProxyTransport
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from relaykit.proxies.http.options import HttpOptions
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions
from relaykit.proxies.sudp.options import SudpOptions, SudpVisitorOptions
from relaykit.proxies.tcp import TcpOptions
from relaykit.proxies.udp import UdpOptions
from relaykit.values import Secret
from tests.commands.tunnels.lines import BUILT_IN, TOKEN, Odd, called, loaded, table
from tests.layering import ROOT


class PublishTests(SynchronousTestCase):
    """Tests for forms that publish."""

    def test_tcp(self) -> None:
        """A port, a name, and the type's own key."""
        (proxy,) = loaded(table("tcp", "22", "--remote-port", "6000", "--name", "ssh")).proxies
        self.assertEqual((proxy.type_name, proxy.options), ("tcp", TcpOptions(remote_port=6000)))
        self.assertEqual((proxy.common.name, proxy.common.local_endpoint), ("ssh", "tcp:127.0.0.1:22"))

    def test_udp(self) -> None:
        """A key of the top of a file is a flag, too."""
        found = loaded(table("udp", "51820", "--remote-port", "6000", "--udp-packet-size", "9000"))
        (proxy,) = found.proxies
        self.assertEqual(
            (proxy.type_name, proxy.common.local_datagram_endpoint), ("udp", "udp:127.0.0.1:51820")
        )
        self.assertEqual(proxy.options, UdpOptions(remote_port=6000, udp_packet_size=9000))

    def test_http(self) -> None:
        """Domains and paths may be given many times; a password comes from a file or the environment."""
        words = ("--domain", "a.example,b.example", "--domain", "c.example", "--http-user", "ann")
        said = table("http", "8080", *words, "--location", "/a", RELAYKIT_HTTP_PASSWORD="pass")
        (proxy,) = loaded(said).proxies
        self.assertEqual(
            proxy.options,
            HttpOptions(
                custom_domains=("a.example", "b.example", "c.example"),
                locations=("/a",),
                http_user="ann",
                http_password=Secret("pass"),
            ),
        )

    def test_paths(self) -> None:
        """The paths of a site are those that its type names; where it names none there are none."""
        for command, words, paths in (
            ("http", ("--domain", "a", "--location", "/a", "--location", "/b"), ("/a", "/b")),
            ("http", ("--domain", "a"), ()),
            ("https", ("--domain", "a"), ()),
            ("tcp", (), ()),
        ):
            tunnel = find_tunnel(BUILT_IN, command)
            assert tunnel is not None
            (proxy,) = loaded(table(command, "80", *words)).proxies
            self.assertEqual(tuple(tunnel.paths(proxy.options)), paths)

    def test_url_flags(self) -> None:
        """Flags about a URL are where there may be one; what is for browsers anyhow has no flag for that."""
        for command, flags in (
            ("http", {"qr"}),
            ("https", {"qr"}),
            ("tcp", {"qr", "web"}),
            ("visit", {"qr", "web"}),
            ("udp", set()),
        ):
            tunnel = find_tunnel(BUILT_IN, command)
            assert tunnel is not None
            names = {each.name for each in tunnel.command().params}
            self.assertEqual(names & {"qr", "web"}, flags, command)

    def test_common_keys(self) -> None:
        """Some keys of every proxy are flags; the key of a group comes from a file or the environment."""
        path = Path(self.mktemp())
        path.write_text("from a file\n")
        words = (
            *("tcp", "80", "--bandwidth-limit", "5MB", "--bandwidth-limit-mode", "server"),
            *("--proxy-protocol", "v2", "--group", "web", "--group-key-file", str(path)),
            *("--balance", "leastConnections", "--health-check", "http", "--health-check-path", "/well"),
        )
        (proxy,) = loaded(table(*words)).proxies
        common = proxy.common
        self.assertEqual(
            (common.transport, common.load_balancer, common.health_check),
            (
                ProxyTransport(
                    bandwidth_limit="5MB", bandwidth_limit_mode="server", proxy_protocol_version="v2"
                ),
                LoadBalancer(group="web", group_key=Secret("from a file"), balance="leastConnections"),
                HealthCheck(type="http", path="/well"),
            ),
        )
        (entry,) = table("tcp", "80", "--group", "web", RELAYKIT_GROUP_KEY="k")["proxies"]
        self.assertEqual(entry["loadBalancer"], {"group": "web", "groupKey": "k"})
        (entry,) = table("tcp", "80", "--name", "n")["proxies"]
        self.assertEqual(entry, {"type": "tcp", "name": "n", "localPort": 80})

    def test_howto(self) -> None:
        """The lines of howtos are the proxies of their files; the key of a group is not on them."""
        for name in ("group/line.sh", "bandwidth/line.sh"):
            line = ROOT / "docs" / "listings" / name
            words = shlex.split(line.read_text("utf-8"))[1:]
            environ = {}
            if "--group-key-file" in words:
                flag = words.index("--group-key-file")
                del words[flag : flag + 2]
                environ["RELAYKIT_GROUP_KEY"] = "a secret of the group"
            said = table(*words, token=TOKEN, **environ)
            file = tomllib.loads((line.parent / "client.toml").read_text("utf-8"))
            self.assertEqual(loaded(said).proxies, loaded(file).proxies)

    def test_made_up_name(self) -> None:
        """Without a name, the machine, the command and the service make one, always the same."""
        first, again, other = (
            table("tcp", word)["proxies"][0]["name"] for word in ("unix:/run/a b", "unix:/run/a b", "23")
        )
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertTrue(first.endswith("tcp-unix-run-a-b"), first)

    def test_secret_from_token(self) -> None:
        """Both halves of a secret service make the same key of the token; another name has another key."""
        (proxy,) = loaded(table("secret", "5432", "--name", "db")).proxies
        (visitor,) = loaded(table("visit", "db", "--port", "5432")).visitors
        assert isinstance(proxy.options, StcpOptions)
        self.assertTrue(proxy.options.secret_key)
        self.assertEqual(visitor.options, StcpVisitorOptions(secret_key=proxy.options.secret_key))
        (other,) = loaded(table("secret", "5432", "--name", "other")).proxies
        assert isinstance(other.options, StcpOptions)
        self.assertNotEqual(proxy.options.secret_key, other.options.secret_key)

    def test_secret_datagrams(self) -> None:
        """With the flag, both halves are of the type that carries datagrams."""
        (proxy,) = loaded(table("secret --udp", "51820", "--name", "wg")).proxies
        (visitor,) = loaded(table("visit --udp", "wg", "--port", "51821")).visitors
        self.assertEqual((proxy.type_name, visitor.type_name), ("sudp", "sudp"))
        assert isinstance(proxy.options, SudpOptions)
        self.assertEqual(visitor.options, SudpVisitorOptions(secret_key=proxy.options.secret_key))

    def test_secret_of_another_user(self) -> None:
        """A visitor of another user's service names that user, and makes that one's key."""
        (proxy,) = table("secret", "5432", "--name", "db", "--user", "alice")["proxies"]
        (visitor,) = table("visit", "db", "--port", "1", "--user", "bob", "--server-user", "alice")[
            "visitors"
        ]
        self.assertEqual(proxy["secretKey"], visitor["secretKey"])
        self.assertEqual(visitor["serverUser"], "alice")

    def test_no_token_no_secret(self) -> None:
        """Without a token, the key of a secret service has to be given."""
        with self.assertRaisesRegex(RelaykitError, "--secret-key-file"):
            table("secret", "5432", token=Secret(""))

    def test_given_secret(self) -> None:
        """A key comes from its file, or from the environment, never from the command line itself."""
        path = Path(self.mktemp())
        path.write_text("from a file\n")
        found = table("secret", "1", "--secret-key-file", str(path), RELAYKIT_SECRET_KEY="from elsewhere")
        self.assertEqual(found["proxies"][0]["secretKey"], "from a file")
        found = table("secret", "1", RELAYKIT_SECRET_KEY="from elsewhere", token=Secret(""))
        self.assertEqual(found["proxies"][0]["secretKey"], "from elsewhere")
        with self.assertRaisesRegex(RelaykitError, "cannot read the secret file"):
            table("secret", "1", "--secret-key-file", "no/such/file")

    def test_other_half(self) -> None:
        """A form that has visitors can say how to visit."""
        for command, words, line in (
            ("secret", ("5432",), "relaykit visit db --port 5432"),
            ("secret", ("unix:/run/pg",), "relaykit visit db --port PORT"),
            ("secret", ("5432", "--user", "alice"), "relaykit visit db --port 5432 --user alice"),
            (
                *("secret", ("5432", "--secret-key-file", "k")),
                "relaykit visit db --port 5432 --secret-key-file k",
            ),
            ("visit", ("db",), ""),
            ("tcp", ("22",), ""),
        ):
            tunnel = find_tunnel(BUILT_IN, command)
            assert tunnel is not None
            self.assertEqual(tunnel.other_half(called(tunnel, *words), "db"), line)


class VisitTests(SynchronousTestCase):
    """Tests for forms that visit."""

    def test_free_port(self) -> None:
        """Without a port, it is one that is free on this machine, of TCP or UDP."""
        for command, kind in (("visit", socket.SOCK_STREAM), ("visit --udp", socket.SOCK_DGRAM)):
            (visitor,) = loaded(table(command, "db")).visitors
            with socket.socket(type=kind) as opened:
                opened.bind(("127.0.0.1", visitor.common.bind_port))
        with self.assertRaisesRegex(RelaykitError, "cannot listen on 192.0.2.1:0"):
            table("visit", "db", "--bind-addr", "192.0.2.1")

    def test_visit(self) -> None:
        """A visitor has the proxy's name and a port of this machine."""
        (visitor,) = loaded(table("visit", "db", "--port", "5432", "--bind-addr", "::1")).visitors
        self.assertEqual((visitor.common.server_name, visitor.common.bind_addr), ("db", "::1"))
        self.assertEqual(visitor.common.bind_port, 5432)


class ValueTests(SynchronousTestCase):
    """Tests for what the values of flags become."""

    def setUp(self) -> None:
        """Takes the odd type's form."""
        self.tunnel = TunnelCommand(Odd(), Odd.one_lines[0])

    def test_values(self) -> None:
        """Only what was given is set; a secret that nobody gave is left out."""
        words = ("80", "--name", "n", "--domain", "a.example,b.example", "--strict", "--labels", "k=v")
        (entry,) = self.tunnel.table(called(self.tunnel, *words), {}, TOKEN)["proxies"]
        self.assertEqual(
            entry,
            {
                "type": "odd",
                "name": "n",
                "localPort": 80,
                "domains": ["a.example", "b.example"],
                "strict": True,
                "labels": {"k": "v"},
            },
        )


@implementer(IOneLineProxyType)
@frozen
class OddAgain(Odd):
    """Another type, whose command is a flag of the first one's."""

    name = "odd-again"
    one_lines = (OneLine(command="odd --again", summary="Be odd again", flags={"strict": "severe"}),)


@implementer(IProxyTypeReference)
@frozen
class Reference:
    """What a dropin has for a type that is there already."""

    type: Any
    has_messages = False

    @property
    def name(self) -> str:
        """That of the type."""
        return str(self.type.name)

    @property
    def module(self) -> str:
        """Where it is."""
        return __name__

    @property
    def commands(self) -> tuple[str, ...]:
        """All that the type has."""
        return tuple(line.command for line in self.type.one_lines)

    def load(self) -> Any:
        """The type."""
        return self.type


class ChoosingTests(SynchronousTestCase):
    """Tests for commands of one name, of which a flag chooses."""

    def setUp(self) -> None:
        self.types = ProxyTypes.from_references([Reference(Odd()), Reference(OddAgain())])
        tunnel = find_tunnel(self.types, "odd")
        assert tunnel is not None
        self.command = tunnel.command(find_others(self.types, "odd"))

    def type_of(self, *words: str) -> str:
        """The name of the type that a command line means."""
        context = self.command.make_context("odd", list(words))
        return str(context.command.name)

    def test_chosen(self) -> None:
        """The flag stands anywhere before what is no flag any more; without it, the first type is meant."""
        self.assertEqual(self.type_of("22"), "odd")
        for words in (("--again", "22"), ("22", "--again"), ("--severe", "yes", "--again", "22")):
            self.assertEqual(self.type_of(*words), "odd --again", words)
        error = self.assertRaises(click.BadParameter, self.type_of, "--strict", "yes", "--", "--again")
        assert error.ctx is not None
        self.assertEqual(error.ctx.command.name, "odd")

    def test_own_flags(self) -> None:
        """Each has its own flags."""
        self.assertRaises(click.UsageError, self.type_of, "--again", "--strict", "yes", "22")
        self.assertRaises(click.UsageError, self.type_of, "--severe", "yes", "22")

    def test_help(self) -> None:
        """The help of the first tells of the flag."""
        shown = self.command.get_help(click.Context(self.command, info_name="odd"))
        self.assertRegex(shown, r"--again +be odd again\n")

    def test_unusable(self) -> None:
        """A type that cannot be used takes nothing away from the first."""
        broken = ProxyTypeReference("broken", "tests.commands.no_such_module", commands=("odd --more",))
        types = ProxyTypes.from_references([Reference(Odd()), broken])
        self.assertEqual(find_others(types, "odd"), [])


class AsTypedTests(SynchronousTestCase):
    """What is wrong with a command line is told in its own words."""

    def told(self, command: str, *words: str) -> list[str]:
        """What is said of a command line."""
        tunnel = find_tunnel(BUILT_IN, command)
        assert tunnel is not None
        server = {"serverAddr": "a b", "serverPort": 7000}
        with self.assertRaises(ConfigurationProblems) as caught:
            loaded({**server, **tunnel.table(called(tunnel, *words), {}, TOKEN)})
        return [str(tunnel.as_typed(problem)) for problem in caught.exception.problems]

    def test_flags(self) -> None:
        """Flags and words stand for the keys of the table that was made of them."""
        self.assertRegex("\n".join(self.told("tcp", "22")), "(?m)^--server: ")
        (told,) = (each for each in self.told("udp", "1", "--udp-packet-size", "-1") if "server" not in each)
        self.assertRegex(told, "^--udp-packet-size: must be in")
        told = "\n".join(self.told("visit", "db", "--port", "1", "--bind-addr", "a b"))
        self.assertRegex(told, "(?m)^--bind-addr: ")

    def test_own_keys(self) -> None:
        """So is what the type says of its keys."""
        self.assertIn("--domain: --domain or --subdomain must be given", self.told("http", "80"))
        (told,) = (
            each for each in self.told("http", "80", "--domain", "a", "--location", "x") if "loc" in each
        )
        self.assertRegex(told, "^--location: ")

    def test_common_keys(self) -> None:
        """The same is true of keys of every proxy, also where another one is what to do about it."""
        for words, beginning in (
            (("--health-check", "http"), "--health-check-path: must be given"),
            (("--health-check", "icmp"), "--health-check: "),
            (("--proxy-protocol", "v3"), "--proxy-protocol: "),
            (("--bandwidth-limit", "much"), "--bandwidth-limit: "),
            (("--bandwidth-limit", "1MB", "--bandwidth-limit-mode", "both"), "--bandwidth-limit-mode: "),
            (("--group", "g", "--balance", "any"), "--balance: "),
        ):
            told = self.told("tcp", "80", *words)
            self.assertTrue(any(each.startswith(beginning) for each in told), told)
        tunnel = find_tunnel(BUILT_IN, "tcp")
        assert tunnel is not None
        problem = ConfigurationProblem(
            what="has no effect without loadBalancer.group", key="proxies[0].loadBalancer.balance"
        )
        self.assertEqual(str(tunnel.as_typed(problem)), "--balance: has no effect without --group")

    def test_others(self) -> None:
        """A key that nothing on the command line stands for is named as it is."""
        tunnel = find_tunnel(BUILT_IN, "tcp")
        assert tunnel is not None
        key = "proxies[0].healthCheck.maxFailed"
        problem = ConfigurationProblem(what="no", key=key, subject='proxy "a"')
        self.assertEqual(str(tunnel.as_typed(problem)), f"{key}: no")


class FindTests(SynchronousTestCase):
    """Tests for :func:`find_tunnel` and :func:`installed_tunnels`."""

    def test_built_in(self) -> None:
        """The built-in types have their commands, like any other."""
        self.assertEqual(
            [each.line.command for each in installed_tunnels(BUILT_IN)],
            ["http", "https", "secret", "secret --udp", "tcp", "udp", "visit", "visit --udp"],
        )
        self.assertIsNone(find_tunnel(BUILT_IN, "nosuch"))

    def test_imports_one(self) -> None:
        """Only the type that has the command is imported."""
        types = ProxyTypes.from_references(
            [
                ProxyTypeReference("broken", "tests.commands.no_such_module", commands=("break",)),
                ProxyTypeReference("tcp", "relaykit.proxies.tcp", commands=("tcp",)),
            ]
        )
        self.assertIsNotNone(find_tunnel(types, "tcp"))
        with self.assertRaisesRegex(BrokenProxyType, "no_such_module"):
            find_tunnel(types, "break")
        self.assertEqual([each.line.command for each in installed_tunnels(types)], ["tcp"])

    def test_twice(self) -> None:
        """A command that two types have is nobody's."""
        types = ProxyTypes.from_references(
            [ProxyTypeReference(name, f"some.{name}", commands=("go",)) for name in ("one", "two")]
        )
        with self.assertRaisesRegex(BrokenProxyType, "by the proxy types one and two"):
            find_tunnel(types, "go")

    def test_announced_in_vain(self) -> None:
        """A dropin that announces a command which its type does not have is told so."""
        types = ProxyTypes.from_references(
            [ProxyTypeReference("tcp", "relaykit.proxies.tcp", commands=("udp",))]
        )
        with self.assertRaisesRegex(BrokenProxyType, 'no command "udp"'):
            find_tunnel(types, "udp")


class MadeUpNameTests(SynchronousTestCase):
    """Tests for names of proxies that nobody has named."""

    def test_no_secret(self) -> None:
        """A name, which others get to see, has no password of the local service in it."""
        name = _made_up_name("tcp", "socks5:username=alice:password=hush")
        self.assertIn("alice", name)
        self.assertNotIn("hush", name)
