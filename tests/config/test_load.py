from __future__ import annotations

import os
from typing import Annotated, Any

import msgspec
from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from relaykit.config.load import client_from_table, role_of, server_from_table
from relaykit.config.problems import ConfigurationProblems
from relaykit.errors import BrokenProxyType
from relaykit.interfaces import IBackend, IClientHost, IIngress, IProxyType, IProxyTypeReference, IServerHost
from relaykit.options import (
    Count,
    Host,
    ListeningPort,
    Options,
    SecondsOrOff,
    VisitorName,
    doc,
    file_key,
)
from relaykit.plugins import Carriers, ProxyTypes
from relaykit.proxies import stcp
from relaykit.proxies.http.options import CertificateFiles, HttpKeys
from relaykit.proxies.https import HttpsKeys
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions
from relaykit.proxies.tcp import TcpOptions
from relaykit.proxies.tcpmux import TcpmuxKeys
from relaykit.values import Secret
from tests.config.cases import builtin_types
from tests.config.tables import ConfigurationTestCase

CLIENT = """
serverAddr = "relay.example.com"
user = "me"
[[proxies]]
name = "ssh"
type = "tcp"
localPort = 22
remotePort = 6000
transport.useEncryption = true
[[proxies]]
name = "app"
type = "stcp"
local = "unix:/run/app.sock"
secretKey = "sesame"
[[visitors]]
name = "v"
type = "stcp"
serverName = "app"
secretKey = "sesame"
bindPort = 9000
"""


SECRET = 'type = "stcp"\nsecretKey = "k"\n'
VISITOR = f"{SECRET}bindPort = 1\n"
"""What each secret proxy, and each visitor, needs."""


class KnockOptions(Options, frozen=True, kw_only=True):
    """The own keys of a foreign type."""

    phrase: Annotated[Secret, doc("What a user says first.")]
    knocks: Annotated[int, msgspec.Meta(ge=1, le=9), doc("How often.")] = 3
    size: Annotated[Count, file_key("knockSize"), doc("Of all proxies of the type.")] = 5


class HandingOptions(StcpVisitorOptions, frozen=True, kw_only=True):
    """The own keys of a visitor that may hand its users to another one."""

    fallback_to: VisitorName = ""


class KnockIngressOptions(Options, frozen=True, kw_only=True):
    """The server's keys of a foreign type."""

    door: str = "front"
    bell_port: Annotated[ListeningPort, file_key("bellPort"), doc("A port of the type's own.")] = 0
    wait: Annotated[SecondsOrOff, file_key("knock.timing.wait"), doc("Deep in the file.")] = 60
    domain: Annotated[Host, file_key("subDomainHost"), doc("A key that other types have, too.")] = ""
    tries: Annotated[Count, file_key("transport.knockTries"), doc("In a table of everybody's.")] = 1


@implementer(IProxyType)
class KnockType:
    """A foreign type: only its options are looked at here."""

    name = "knock"
    summary = "Knocks."
    proxy_options = KnockOptions
    ingress_options = KnockIngressOptions

    def make_ingress(self, options: Options, host: IServerHost) -> IIngress:
        raise NotImplementedError

    def make_backend(self, options: Options, host: IClientHost) -> IBackend:
        raise NotImplementedError


@implementer(IPlugin, IProxyTypeReference)
@frozen
class Reference:
    """A reference to the foreign type, or to one that cannot be loaded."""

    name: str
    module: str
    commands: tuple[str, ...] = ()
    has_messages: bool = False

    def load(self) -> IProxyType:
        if self.name == "knock":
            return KnockType()
        raise BrokenProxyType(f"importing {self.module} failed")


class ClientTests(ConfigurationTestCase):
    """Tests for the files of clients."""

    def test_loaded(self) -> None:
        """Common keys, the types' own and visitors come back as checked and complete options."""
        loaded = self.client(CLIENT)
        self.assertEqual(loaded.config.server_addr, "relay.example.com")
        self.assertEqual(loaded.config.transport.heartbeat_interval, -1)
        ssh, app = loaded.proxies
        self.assertEqual(ssh.options, TcpOptions(remote_port=6000))
        self.assertTrue(ssh.common.transport.use_encryption)
        self.assertEqual(ssh.common.local_endpoint, "tcp:127.0.0.1:22")
        self.assertEqual(app.options, StcpOptions(secret_key=Secret("sesame")))
        self.assertEqual(app.common.local_endpoint, "unix:/run/app.sock")
        (visitor,) = loaded.visitors
        self.assertEqual((visitor.type_name, visitor.common.server_user), ("stcp", "me"))
        self.assertEqual(visitor.options, StcpVisitorOptions(secret_key=Secret("sesame")))
        self.assertEqual(loaded.warnings, ())

    def test_all_problems(self) -> None:
        """Every problem of the file is told at once, in the order of its lines, with its place and a hint."""
        # Packages that are installed may bring carriers.
        self.patch(Carriers, "installed", lambda: ())
        problems = self.client_problems(
            'server_addr = "x"\nserverPort = "7000"\ntoken = "t"\n[transport]\nprotocol = "ws"\n'
            '[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 70000\ncustomDomains = ["x"]\n'
            '[[proxies]]\nname = "a"\ntype = "tpc"\n'
        )
        self.assertEqual(
            problems,
            [
                "frpc.toml:1: server_addr: unknown key (did you mean serverAddr?)",
                'frpc.toml:2: serverPort: must be a whole number, not the text "7000" (leave out the quotes)',
                "frpc.toml:3: token: unknown key (did you mean auth.token?)",
                'frpc.toml:5: transport.protocol: "ws" is not one of tcp, kcp, quic, websocket, wss, auto',
                'frpc.toml:9: proxies[0].localPort (proxy "a"): must be in the range 0..65535, not 70000',
                'frpc.toml:10: proxies[0].customDomains (proxy "a"): unknown key '
                "(it is a key of the proxy types http, https, tcpmux)",
                'frpc.toml:13: proxies[1].type (proxy "a"): unknown proxy type "tpc" '
                "(installed: http, https, stcp, sudp, tcp, tcpmux, udp, xtcp)",
            ],
        )

    def test_hosts(self) -> None:
        """What names a host is checked when the file is read, and loses its brackets."""
        for key, table in (
            ("serverAddr", ""),
            ("natHoleStunServer", ""),
            ("transport.connectServerLocalIP", ""),
            ("transport.tls.serverName", ""),
            ("webServer.addr", ""),
            ("localIP", '[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 1\n'),
            ("bindAddr", f'[[visitors]]\n{VISITOR}name = "a"\nserverName = "a"\n'),
        ):
            for value in ("a..b", "b" * 64, "http://a", "a b"):
                (problem,) = self.client_problems(f'{table}{key} = "{value}"\n')
                line = table.count("\n") + 1
                self.assertTrue(problem.startswith(f"frpc.toml:{line}: "), problem)
                self.assertIn(key, problem)
        for key in ("bindAddr", "proxyBindAddr"):
            self.assertEqual(len(self.server_problems(f'{key} = "[::]:7000"\n')), 1)
        self.assertEqual(self.server('bindAddr = "[::]"\n').config.bind_addr, "::")
        proxy = '[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 1\n'
        loaded = self.client(f'serverAddr = "[::1]"\n{proxy}localIP = "[::1]"\n')
        self.assertEqual(loaded.config.server_addr, "::1")
        self.assertEqual(loaded.proxies[0].common.local_ip, "::1")

    def test_domains(self) -> None:
        """Host names in a list are blamed one by one."""
        (problem,) = self.client_problems(
            '[[proxies]]\nname = "a"\ntype = "http"\ncustomDomains = ["a.example", "a..b", "*.example"]\n'
        )
        self.assertIn("proxies[0].customDomains[1]", problem)

    def test_same_port(self) -> None:
        """Two proxies of a type that want the same port of the server are warned about, if started."""
        first, second = (f'[[proxies]]\nname = "{name}"\ntype = "tcp"\nlocalPort = 1\n' for name in "ab")
        loaded = self.client(f"{first}remotePort = 6000\n{second}remotePort = 6000\n")
        self.assertEqual(
            [str(each) for each in loaded.warnings],
            [
                'frpc.toml:10: proxies[1].remotePort (proxy "b"): proxy "a" wants the port 6000 too: '
                "the server gives it to one of them"
            ],
        )
        disabled = self.client(f"{first}remotePort = 6000\n{second}remotePort = 6000\nenabled = false\n")
        self.assertEqual(disabled.warnings, ())

    def test_same_port_in_a_group(self) -> None:
        """Members of one group share a port; a type without groups has none to share."""
        entries = "".join(
            f'[[proxies]]\nname = "{name}"\ntype = "tcp"\nlocalPort = 1\nremotePort = 6000\n'
            f'loadBalancer.group = "{group}"\nloadBalancer.groupKey = "k"\n'
            for name, group in (("a", "x"), ("b", "x"), ("c", "y"))
        )
        (warning,) = self.client(entries).warnings
        self.assertIn('proxy "c"', str(warning))
        secret = f'[[proxies]]\nname = "a"\n{SECRET}localPort = 1\nloadBalancer.group = "x"\n'
        (warning,) = self.client(secret).warnings
        self.assertIn("loadBalancer.group", str(warning))
        self.assertIn("has no effect: proxies of type stcp cannot be grouped", str(warning))

    def test_other_visitors(self) -> None:
        """A visitor is warned about that names one which is not started, or which leads back to it."""
        self.patch(type(stcp.proxy_type), "visitor_options", HandingOptions)
        entry = f'[[visitors]]\nname = "{{}}"\nserverName = "s"\n{VISITOR}fallbackTo = "{{}}"\n'
        last = f'[[visitors]]\nname = "last"\nserverName = "s"\n{VISITOR}'
        self.assertEqual(self.client(entry.format("a", "last") + last).warnings, ())
        for text, why in (
            (entry.format("a", "nope"), 'there is no visitor "nope"'),
            (entry.format("a", "last") + f"{last}enabled = false\n", 'there is no visitor "last"'),
            (entry.format("a", "a"), 'the visitor "a" leads back to this one'),
        ):
            (warning,) = self.client(text).warnings
            self.assertIn("visitors[0].fallbackTo", str(warning))
            self.assertIn(why, str(warning))
        ring = entry.format("a", "b") + entry.format("b", "a")
        self.assertEqual(len(self.client(ring).warnings), 2)

    def test_secrets_are_not_shown(self) -> None:
        """A secret of the wrong kind is not repeated, neither in words nor by the loaded options."""
        (problem,) = self.client_problems("auth.token = 12345\n")
        self.assertNotIn("12345", problem)
        self.assertNotIn("sesame", repr(self.client(CLIENT)))

    def test_enabled_and_start(self) -> None:
        """What is switched off, or not in ``start``, is left out and not checked, but must make sense."""
        text = (
            'start = ["a"]\n[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 1\n'
            '[[proxies]]\nname = "b"\ntype = "tcp"\nlocal = "nobody:1"\n'
            '[[proxies]]\nname = "c"\ntype = "tcp"\nenabled = false\nlocal = "nobody:1"\n'
        )
        loaded = self.client(text)
        self.assertEqual([proxy.common.name for proxy in loaded.proxies], ["a"])
        self.assertEqual(len(self.client_problems(text + "foo = 1\n")), 1)

    def test_names(self) -> None:
        """A name must be its own; a proxy and a visitor may share one."""
        proxy = '[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 1\n'
        visitor = f'[[visitors]]\n{VISITOR}name = "a"\nserverName = "b"\n'
        self.assertEqual(len(self.client(proxy + visitor).visitors), 1)
        self.assertEqual(
            self.client_problems(proxy + proxy),
            ['frpc.toml:6: proxies[1].name (proxy "a"): the name "a" is given twice (first in frpc.toml:2)'],
        )

    def test_long_names(self) -> None:
        """A name that does not fit into a message is blamed at its key, with what is put before it."""
        longest = "x" * 255
        for key in ("user", "clientID"):
            problem = f"frpc.toml:1: {key}: has 256 characters, 255 fit into a message"
            self.assertEqual(self.client_problems(f'{key} = "{longest}x"\n'), [problem])
        proxy = f'[[proxies]]\nname = "{longest}"\ntype = "tcp"\nlocalPort = 1\n'
        self.assertEqual(len(self.client(proxy).proxies), 1)
        place = f'frpc.toml:3: proxies[0].name (proxy "{61 * "x"}...")'
        self.assertEqual(
            self.client_problems('user = "me"\n' + proxy),
            [f"{place}: has 255 characters, 252 fit into a message"],
        )
        visitor = f'[[visitors]]\n{VISITOR}name = "v"\nserverName = "{longest}"\n'
        self.assertEqual(len(self.client(visitor).visitors), 1)
        self.assertEqual(len(self.client_problems(visitor + 'serverUser = "me"\n')), 1)
        self.assertEqual(len(self.client_problems(visitor.replace('"v"', f'"{longest}x"'))), 1)

    def test_includes(self) -> None:
        """Proxies of included files count, in any format, other keys of theirs do not."""
        self.write(
            "confd/a.toml", 'log.level = "bad"\n[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 1\n'
        )
        self.write("confd/b.yaml", "proxies:\n- {name: '{{ .Envs.N }}', type: tcp, localPort: 2}\n")
        loaded = self.client('includes = ["confd/*"]\n', environ={"N": "b"})
        self.assertEqual([proxy.common.name for proxy in loaded.proxies], ["a", "b"])
        self.assertEqual(loaded.config.log.level, "info")

    def test_included_problems(self) -> None:
        """A problem of an included file names that file."""
        path = self.write("confd/a.toml", "foo = 1\n")
        self.assertEqual(self.client_problems('includes = ["confd/*"]\n'), [f"{path}:1: foo: unknown key"])
        (problem,) = self.client_problems('\nincludes = ["nodir/*"]\n')
        directory = os.path.join(self.directory, "nodir")
        self.assertEqual(problem, f"frpc.toml:2: includes[0]: {directory}: no such file or directory")

    def test_not_strict(self) -> None:
        """Without strictness, unknown keys are ignored at every level."""
        loaded = self.client(CLIENT + "foo = 1\n[transport]\nfoo = 2\n", strict=False)
        self.assertEqual(len(loaded.proxies), 2)

    def test_unix_socket_plugin(self) -> None:
        """frp's plugin for unix sockets is a local service like another."""  # noqa: D403
        loaded = self.client(
            '[[proxies]]\nname = "a"\ntype = "tcp"\n'
            '[proxies.plugin]\ntype = "unix_domain_socket"\nunixPath = "/run/a:b.sock"\n'
        )
        self.assertEqual(loaded.proxies[0].common.local_endpoint, "unix:/run/a\\:b.sock")

    def test_warnings(self) -> None:
        """What works otherwise than the file says, or was hardly meant, is warned about with its place."""
        loaded = self.client(
            'user = "{{ .Envs.NOPE }}"\nwebServer.port = 7400\nwebServer.pprofEnable = true\nUSER = "b"\n'
            '[[proxies]]\nname = "a"\ntype = "tcp"\ntransport.bandwidthLimit = "0MB"\n',
        )
        self.assertEqual(
            [str(warning) for warning in loaded.warnings],
            [
                'frpc.toml:1: {{ .Envs.NOPE }} has no value and was written as "<no value>" '
                '(set the variable, or write {{ or .Envs.NOPE "..." }})',
                "frpc.toml:1: user: is also given as USER; user counts",
                "frpc.toml:3: webServer.pprofEnable: has no effect: "
                "py-spy shows what a running program of Python spends its time with",
                'frpc.toml:5: proxies[0].localPort (proxy "a"): '
                "is 0: there is no local service to connect to",
                'frpc.toml:8: proxies[0].transport.bandwidthLimit (proxy "a"): '
                'is "0MB", which is no limit: leave it out, or give such as 512KB',
            ],
        )

    def test_no_value(self) -> None:
        """What a variable without a value breaks is told beside the variable, also if it is empty."""
        text = "user = 'a'\nserverPort = {{ .Envs.X }}\n"
        for environ in ({}, {"X": ""}):
            (problem,) = self.client_problems(text, environ=environ)
            self.assertTrue(problem.startswith("frpc.toml:2:"), problem)
            self.assertIn(
                '{{ .Envs.X }} has no value: set the variable, or write {{ or .Envs.X "..." }}', problem
            )

    def test_told_once(self) -> None:
        """An error is not warned about, too: a secret of nothing, a misspelled key."""
        error = self.assertRaises(
            ConfigurationProblems,
            self.client,
            'auth.token = "{{ .Envs.X }}"\nuser = "{{ .Envs.Y }}"\n'
            '[[proxies]]\nname = "a"\ntype = "tcp"\nlocal_port = 22\nremote_port = 6000\n',
        )
        self.assertEqual(
            [each.key for each in error.problems],
            ["auth.token", "proxies[0].local_port", "proxies[0].remote_port"],
        )
        (warning,) = error.warnings
        self.assertIn(".Envs.Y", str(warning))

    def test_template_lines(self) -> None:
        """Lines are those of the file, also behind a range that wrote many."""
        problems = self.client_problems(
            '{{ range parseNumberRange "1-2" }}\n[[proxies]]\nname = "p{{ . }}"\n'
            'type = "tcp"\nfoo = 1\n{{ end }}\n'
            "bar = 1\n"
        )
        self.assertEqual(
            [problem.partition(" (")[0] for problem in problems],
            ["frpc.toml:5: proxies[0].foo", "frpc.toml:5: proxies[1].foo", "frpc.toml:7: proxies[1].bar"],
        )

    def test_from_table(self) -> None:
        """A plain table is read by the same rules; there is no file to name."""
        proxy = {"name": "a", "type": "tcp", "localPort": 22, "remotePort": 6000}
        loaded = client_from_table({"proxies": [proxy]}, types=self.types, environ={})
        self.assertEqual(loaded.proxies[0].options, TcpOptions(remote_port=6000))
        error = self.assertRaises(
            ConfigurationProblems,
            client_from_table,
            {"proxies": [{**proxy, "localPort": 70000}]},
            types=self.types,
            environ={},
        )
        self.assertEqual(
            str(error), 'proxies[0].localPort (proxy "a"): must be in the range 0..65535, not 70000'
        )


class RoleTests(ConfigurationTestCase):
    """Tests for whose configuration a file is."""

    def role(self, text: str) -> str:
        """The role of a file with this text."""
        self.write("it", text)
        return role_of("it", environ={}, cwd=self.directory)

    def test_by_keys(self) -> None:
        """A server's address, proxies or visitors make a client's file; else the keys of one role count."""
        for text, role in (
            ("bindPort = 7000\nserveraddr = 'h'\n", "client"),
            ("[[proxies]]\nlocal_ip = '127.0.0.1'\nlocal_port = 22\nremote_port = 6000\n", "client"),
            ("visitors = 5\n", "client"),
            ("serverPort = 7000\n", "client"),
            ("bindPort = 7000\nuser = 'u'\nmaxPortsPerClient = 1\n", "server"),
            ("auth.token = 's'\n", ""),
            ("bindPort = \n", ""),
            ("- 1\n", ""),
        ):
            self.assertEqual(self.role(text), role, text)


class ServerTests(ConfigurationTestCase):
    """Tests for the files of servers."""

    def test_loaded(self) -> None:
        """A small file leaves everything else at its default, complete."""
        loaded = self.server('bindPort = 7001\nauth.token = "t"\ntransport.tcpMux = false\n')
        self.assertEqual(loaded.config.bind_port, 7001)
        self.assertEqual(loaded.config.proxy_bind_addr, "0.0.0.0")
        self.assertEqual(loaded.config.transport.heartbeat_timeout, 90)
        self.assertEqual(loaded.warnings, ())

    def test_empty_token(self) -> None:
        """A server without a token must be wanted, and is warned about."""
        (problem,) = self.server_problems("", token_given=False)
        self.assertIn("auth.token: must be given; relaykit token makes one", problem)
        self.assertIn('auth.token = ""', problem)
        (warning,) = self.server('auth.token = ""\n', token_given=False).warnings
        self.assertEqual(warning.key, "auth.token")

    def test_token_of_nothing(self) -> None:
        """A token that a template makes of nothing is refused, with the line and what was to be there."""
        cases: tuple[tuple[dict[str, str], str], ...] = (
            ({}, 'auth.token = "{{ .Envs.NAME }}"'),
            ({"NAME": ""}, 'auth.token = "{{ .Envs.NAME }}"'),
            ({"NAME": ""}, 'auth.token = "x{{ .Envs.NAME }}"'),
        )
        load: Any
        for environ, text in cases:
            for load in (self.server_problems, self.client_problems):
                (problem,) = load(f"# its own\n{text}\n", environ=environ)
                self.assertIn(":2: auth.token: {{ .Envs.NAME }} has no value", problem)
                self.assertIn("(set the variable)", problem)

    def test_blank_token(self) -> None:
        """A token of white space is none, at either end."""
        for load in (self.server_problems, self.client_problems):
            (problem,) = load('auth.token = "  "\n', token_given=False)
            self.assertIn("auth.token: is blank", problem)

    def test_allowed_ports(self) -> None:
        """Entries that allow no port are told with file, line, key and what to write, each once."""
        self.assertEqual(
            self.server_problems(
                'auth.token = "t"\n[[allowPorts]]\nstart = 7\nend = 2\n[[allowPorts]]\nsingle = 70000\n'
            ),
            [
                "frps.toml:2: allowPorts[0]: allows no port: start is above end; write start = 2 and end = 7",
                "frps.toml:6: allowPorts[1].single: must be in the range 0..65535, not 70000",
            ],
        )

    def test_other_program(self) -> None:
        """A key of the other program is told as such."""
        self.assertEqual(
            self.server_problems('serverAddr = "x"\n[[proxies]]\nname = "a"\n'),
            [
                "frps.toml:1: serverAddr: unknown key (it is a key of the client)",
                "frps.toml:2: proxies: unknown key (it is a key of the client)",
            ],
        )

    def test_numbers_as_text(self) -> None:
        """In YAML without strictness, a server takes numbers for texts; a client never does."""
        loaded = self.server("auth:\n  token: 123\nstateDir: 1.50\n", "frps.yaml", strict=False)
        self.assertEqual(loaded.config.auth.token, Secret("123"))
        self.assertEqual(loaded.config.state_dir, "1.5")
        self.assertEqual(len(self.server_problems("auth:\n  token: 123\n", "frps.yaml")), 1)
        self.assertEqual(len(self.client_problems("user: 5\n", "frpc.yaml", strict=False)), 1)

    def test_from_table(self) -> None:
        """A plain table is read by the same rules."""
        loaded = server_from_table({"bindPort": 7001, "auth": {"token": "t"}}, types=self.types)
        self.assertEqual(loaded.config.bind_port, 7001)
        self.assertRaises(ConfigurationProblems, server_from_table, {"bindPort": "x"}, types=self.types)


class ForeignTypeTests(ConfigurationTestCase):
    """Tests for proxy types of other packages."""

    types = ProxyTypes.from_references(
        [*builtin_types(), Reference("knock", "acme_knock"), Reference("broken", "acme_broken")]
    )

    def test_options(self) -> None:
        """Keys of a foreign type are read and checked by its own options class."""
        loaded = self.client(
            '[[proxies]]\nname = "a"\ntype = "knock"\nlocalPort = 1\nphrase = "p"\nKnocks = 2\n'
        )
        self.assertEqual(loaded.proxies[0].options, KnockOptions(phrase=Secret("p"), knocks=2))

    def test_problems(self) -> None:
        """Missing keys, limits and unknown keys of a foreign type are told like those of any other."""
        problems = self.client_problems(
            '[[proxies]]\nname = "a"\ntype = "knock"\nlocalPort = 1\nknocks = 10\nfrase = "p"\n'
        )
        self.assertEqual(
            problems,
            [
                'frpc.toml:1: proxies[0].phrase (proxy "a"): must be given',
                'frpc.toml:5: proxies[0].knocks (proxy "a"): must be in the range 1..9, not 10',
                'frpc.toml:6: proxies[0].frase (proxy "a"): unknown key (did you mean phrase?)',
            ],
        )

    def test_broken(self) -> None:
        """A type that cannot be loaded is a problem of its proxy, with the reason; its visitors likewise."""
        (problem,) = self.client_problems('[[proxies]]\nname = "a"\ntype = "broken"\n')
        self.assertIn("proxies[0].type", problem)
        self.assertIn("importing acme_broken failed", problem)
        self.assertEqual(len(self.client_problems('[[visitors]]\nname = "a"\ntype = "broken"\n')), 1)
        (problem,) = self.client_problems('[[visitors]]\nname = "a"\ntype = "knock"\n')
        self.assertIn("installed: stcp, sudp, xtcp)", problem)

    def test_ingress_options(self) -> None:
        """The server's table of a type is checked by that type's ingress options."""
        loaded = self.server('[proxyTypes.knock]\ndoor = "back"\n')
        self.assertEqual(loaded.ingress_options, {"knock": KnockIngressOptions(door="back")})
        problems = self.server_problems(
            "[proxyTypes.knock]\ndoor = 5\n[proxyTypes.nope]\n[proxyTypes.later]\n[proxyTypes.broken]\n"
        )
        self.assertEqual(
            [problem.split(": ")[1] for problem in problems],
            [
                "proxyTypes.knock.door",
                "proxyTypes.nope",
                "proxyTypes.later",
                "proxyTypes.broken",
            ],
        )

    def test_policies(self) -> None:
        """The tables of policies are in the order of the file; one that is not installed is a mistake."""
        self.assertEqual(self.server("bindPort = 1\n").policies, {})
        (problem,) = self.server_problems("[policies.nope]\n")
        self.assertIn('policies.nope: no policy "nope" is installed', problem)

    def test_keys_of_the_server(self) -> None:
        """Keys that a type declares at the top of the server's file, or deeper, reach its ingress."""
        loaded = self.server(
            'BELLPORT = 80\nsubDomainHost = "a.example"\nknock.timing.wait = 0\ntransport.knockTries = 7\n'
            '[proxyTypes.knock]\ndoor = "back"\n'
        )
        self.assertEqual(
            loaded.ingress_options,
            {
                "knock": KnockIngressOptions(door="back", bell_port=80, domain="a.example", tries=7),
                "http": HttpKeys(sub_domain_host="a.example"),
                "https": HttpsKeys(sub_domain_host="a.example"),
                "tcpmux": TcpmuxKeys(sub_domain_host="a.example"),
            },
        )
        self.assertEqual([str(each) for each in loaded.warnings if "token" not in each.key], [])
        self.assertEqual(self.server("bindPort = 1\n").ingress_options, {})

    def test_problems_of_such_keys(self) -> None:
        """They are checked as any other key, each has one place, and what is unknown around them is told."""
        self.assertEqual(
            self.server_problems(
                "bellPort = 70000\nbelPort = 1\nknock.timing.wat = 5\ntransport.knockTries = -1\n"
                "[proxyTypes.knock]\nbellPort = 80\n"
            ),
            [
                "frps.toml:1: bellPort: must be in the range 0..65535, not 70000",
                "frps.toml:2: belPort: unknown key (did you mean bellPort?)",
                "frps.toml:3: knock.timing.wat: unknown key (did you mean wait?)",
                "frps.toml:4: transport.knockTries: must be in the range 0..2147483647, not -1",
                "frps.toml:6: proxyTypes.knock.bellPort: unknown key "
                "(it belongs at the top of the file, as bellPort)",
            ],
        )
        self.assertEqual(
            self.client_problems("bellPort = 80\n"),
            ["frpc.toml:1: bellPort: unknown key (it is a key of the server)"],
        )

    def test_tables_of_such_keys(self) -> None:
        """A list of tables is one of these keys, too; what is wrong in it is told once, with its place."""
        port = "vhostHTTPSPort = 443\n"
        entry = '[[vhostHTTPSCertificates]]\ncertFile = "a.crt"\nkeyFile = "a.key"\n'
        self.assertEqual(
            self.server(port + entry).ingress_options["http"],
            HttpKeys(
                vhost_https_port=443,
                vhost_https_certificates=(CertificateFiles(cert_file="a.crt", key_file="a.key"),),
            ),
        )
        self.assertEqual(
            self.server_problems(entry),
            ["frps.toml:1: vhostHTTPSCertificates: vhostHTTPSPort must be given, the port of TLS"],
        )
        for entry, problem in (
            ('{ certFile = "a.crt" }', "2: vhostHTTPSCertificates[0].keyFile: must be given"),
            ("{ key = 1, certFile = 'a', keyFile = 'b' }", "2: vhostHTTPSCertificates[0].key: unknown key"),
            ("5", "2: vhostHTTPSCertificates[0]: must be a table, not a number"),
        ):
            (found,) = self.server_problems(f"{port}vhostHTTPSCertificates = [{entry}]\n")
            self.assertTrue(found.startswith(f"frps.toml:{problem}"), found)

    def test_keys_of_the_client(self) -> None:
        """Keys at the top of the client's file reach every proxy of the type, those of included files too."""
        self.write("more.toml", '[[proxies]]\nname = "b"\ntype = "knock"\nlocalPort = 1\nphrase = "p"\n')
        loaded = self.client(
            'knockSize = 9\nincludes = ["more.toml"]\n'
            '[[proxies]]\nname = "a"\ntype = "knock"\nlocalPort = 1\nphrase = "p"\n'
        )
        expected = KnockOptions(phrase=Secret("p"), size=9)
        self.assertEqual([each.options for each in loaded.proxies], [expected, expected])
        problems = self.client_problems(
            'knockSize = "x"\nincludes = ["more.toml"]\n'
            '[[proxies]]\nname = "a"\ntype = "knock"\nlocalPort = 1\nphrase = "p"\nknockSize = 1\n'
        )
        self.assertEqual(
            [each.partition(": must")[0] for each in problems],
            [
                "frpc.toml:1: knockSize",
                'frpc.toml:8: proxies[0].knockSize (proxy "a"): unknown key '
                "(it belongs at the top of the file, as knockSize)",
            ],
        )
