from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.quic import carrier as quic_carrier
from relaykit.config.problems import Findings
from relaykit.config.rules.checking import (
    TOKEN_SOURCE_EXEC,
    check_client,
    check_proxy,
    check_server,
    check_visitor,
    nested_problems,
    value_problems,
)
from relaykit.config.schema import (
    ClientConfig,
    ClientTls,
    ClientTransport,
    HttpPlugin,
    PortRange,
    ServerConfig,
    ServerTls,
    ServerTransport,
    VirtualNet,
)
from relaykit.config.schema.auth import (
    ClientAuth,
    ClientOidc,
    ServerAuth,
    TokenCommand,
    TokenFile,
    TokenSource,
)
from relaykit.config.schema.sections import WebServerConfig, WebServerTls
from relaykit.config.schema.server import Bandwidth, ServerLogConfig
from relaykit.options import (
    HealthCheck,
    HttpHeader,
    LoadBalancer,
    Options,
    ProxyCommon,
    ProxyTransport,
    VisitorCommon,
)
from relaykit.proxies.tcp import TcpOptions
from relaykit.values import Secret

EXEC = TokenSource(type="exec", exec=TokenCommand(command="c"))
TOKEN = ServerAuth(token=Secret("t"))


def keys(found: Findings) -> list[str]:
    """The keys that something is wrong with."""
    return [problem.key for problem in found.problems]


WEB = WebServerConfig(tls=WebServerTls(key_file="k"))


class Plain(Options, frozen=True, kw_only=True):
    """A type's options that nothing is wrong with."""


class ServerTests(SynchronousTestCase):
    """Tests for the rules of servers."""

    def test_nested(self) -> None:
        """Problems of tables in tables and lists have the whole path of their key."""
        config = ServerConfig(
            log=ServerLogConfig(level="x"),
            web_server=WebServerConfig(tls=WebServerTls(cert_file="c")),
            http_plugins=(HttpPlugin(addr=Secret("h:1")), HttpPlugin(addr=Secret("h:1"), ops=("x",))),
        )
        found = [problem.key for problem in nested_problems(config)]
        self.assertEqual(found, ["httpPlugins[1].ops", "log.level", "webServer.tls.keyFile", "auth.token"])

    def test_permission(self) -> None:
        """A token from a command needs permission."""
        config = ServerConfig(auth=ServerAuth(token_source=EXEC))
        self.assertEqual(keys(check_server(config)), ["auth.tokenSource.type"])
        self.assertEqual(keys(check_server(config, ("other",))), ["auth.tokenSource.type"])
        self.assertEqual(keys(check_server(config, (TOKEN_SOURCE_EXEC,))), [])

    def test_bandwidth(self) -> None:
        """Limits of bandwidth must be some; those that limit nothing are warned about."""
        config = ServerConfig(auth=TOKEN, bandwidth=Bandwidth(per_client="1mb", per_user="5"))
        self.assertEqual(keys(check_server(config)), ["bandwidth.perClient", "bandwidth.perUser"])
        config = ServerConfig(bandwidth=Bandwidth(per_client="0MB", per_user="1MB"))
        found = check_server(config, token_given=True)
        self.assertEqual((keys(found), [each.key for each in found.warnings]), ([], ["bandwidth.perClient"]))

    def test_empty_token(self) -> None:
        """A server that lets everybody in must be wanted, and is warned about."""
        self.assertEqual(keys(check_server(ServerConfig())), ["auth.token"])
        self.assertEqual(keys(check_server(ServerConfig(), token_given=True)), [])
        wanted = check_server(ServerConfig(auth=ServerAuth(token=Secret(""))))
        self.assertEqual((keys(wanted), [each.key for each in wanted.warnings]), ([], ["auth.token"]))
        self.assertEqual(check_server(ServerConfig(auth=TOKEN)).warnings, [])

    def test_bound_without_token(self) -> None:
        """Logins that must be bound need a token, unless it comes from elsewhere."""
        required = ServerAuth(bound="require", token=Secret(""))
        self.assertEqual(keys(check_server(ServerConfig(auth=required))), ["auth.bound"])
        given = check_server(ServerConfig(auth=required), token_given=True)
        self.assertEqual((keys(given), given.warnings), ([], []))
        sourced = ServerAuth(bound="require", token_source=TokenSource(type="file", file=TokenFile(path="t")))
        self.assertEqual(keys(check_server(ServerConfig(auth=sourced))), [])

    def test_empty_ranges(self) -> None:
        """A range of allowed ports from high to low is blamed in its place."""
        ranges = (PortRange(start=1, end=2), PortRange(start=6010, end=6000))
        config = ServerConfig(auth=TOKEN, allow_ports=ranges)
        self.assertEqual(keys(check_server(config)), ["allowPorts[1]"])

    def test_carriers(self) -> None:
        """A carrier that lacks a library is refused where it is used, or that asks clients for nothing."""
        self.patch(quic_carrier, "available", lambda: False)
        for port, expected in ((0, []), (7000, ["quicBindPort"])):
            self.assertEqual(keys(check_server(ServerConfig(auth=TOKEN, quic_bind_port=port))), expected)
        client = ClientConfig(transport=ClientTransport(protocol="quic"))
        self.assertEqual(keys(check_client(client)), ["transport.protocol"])
        self.patch(quic_carrier, "available", lambda: True)
        self.assertEqual(keys(check_client(client)), [])
        transport = ServerTransport(tls=ServerTls(trusted_ca_file="ca.pem"))
        config = ServerConfig(auth=TOKEN, quic_bind_port=7000, transport=transport)
        self.assertEqual(keys(check_server(config)), ["quicBindPort"])

    def test_idle_plugin(self) -> None:
        """A plugin that is asked about nothing is warned about."""
        plugins = (HttpPlugin(addr=Secret("h:1"), ops=("Login",)), HttpPlugin(addr=Secret("h:1")))
        found = check_server(ServerConfig(auth=TOKEN, http_plugins=plugins))
        self.assertEqual((keys(found), [each.key for each in found.warnings]), ([], ["httpPlugins[1].ops"]))

    def test_known_password(self) -> None:
        """A password that everybody knows is warned about where others reach the web server."""
        for addr, password, count in (
            ("0.0.0.0", "admin", 1),
            ("0.0.0.0", "a password", 0),
            ("127.0.0.1", "admin", 0),
        ):
            web = WebServerConfig(port=7500, addr=addr, user="admin", password=Secret(password))
            for found in (
                check_server(ServerConfig(auth=TOKEN, web_server=web)),
                check_client(ClientConfig(web_server=web)),
            ):
                self.assertEqual([each.key for each in found.warnings], ["webServer.password"] * count)


class ClientTests(SynchronousTestCase):
    """Tests for the rules of clients."""

    def test_permission(self) -> None:
        """Both sources of tokens need permission."""
        config = ClientConfig(auth=ClientAuth(token_source=EXEC, oidc=ClientOidc(token_source=EXEC)))
        self.assertEqual(keys(check_client(config)), ["auth.tokenSource.type", "auth.oidc.tokenSource.type"])
        self.assertEqual(keys(check_client(config, (TOKEN_SOURCE_EXEC,))), [])

    def test_idle_tls_keys(self) -> None:
        """Keys of TLS without TLS are warned about."""
        tls = ClientTls(enable=False, cert_file="c", key_file="k", trusted_ca_file="t")
        found = check_client(ClientConfig(transport=ClientTransport(tls=tls)))
        self.assertEqual(
            [each.key for each in found.warnings],
            ["transport.tls.certFile", "transport.tls.keyFile", "transport.tls.trustedCaFile"],
        )

    def test_half_pairs(self) -> None:
        """A certificate without its key, or a key without its certificate, is warned about."""
        pairs: list[tuple[dict[str, Any], str]] = [
            ({"cert_file": "c"}, "certFile"),
            ({"key_file": "k"}, "keyFile"),
        ]
        for pair, key in pairs:
            client = ClientConfig(transport=ClientTransport(tls=ClientTls(**pair)))
            self.assertEqual([each.key for each in check_client(client).warnings], [f"transport.tls.{key}"])
            server = ServerConfig(transport=ServerTransport(tls=ServerTls(**pair)))
            self.assertIn(f"transport.tls.{key}", [each.key for each in check_server(server).warnings])

    def test_proxy(self) -> None:
        """A proxy to the server must be one that can be used; what is wrong is told without the password."""
        for url, wrong in (
            ("", False),
            ("direct", False),
            ("http://u:hush@p:1", False),
            ("socks5://p", False),
            ("ftp://u:hush@p:1", True),
            ("http://u:hush@p", True),
            ("p:1", True),
        ):
            found = check_client(ClientConfig(transport=ClientTransport(proxy_url=Secret(url))))
            self.assertEqual((keys(found), found.warnings), (["transport.proxyURL"] * wrong, []), url)
            self.assertNotIn("hush", str(found.problems))

    def test_virtual_net(self) -> None:
        """A virtual network needs the gate that frp has for it, and an address that makes sense."""
        for address, gates, wrong in (
            ("10.0.0.1/24", {"VirtualNet": True}, ""),
            ("fd86::1/64", {"VirtualNet": True}, ""),
            ("bad", {"VirtualNet": True}, "invalid CIDR address: bad"),
            ("10.0.0.1/24", {"VirtualNet": False}, "VirtualNet feature is not enabled: "),
            ("10.0.0.1/24", {}, "VirtualNet feature is not enabled: "),
            ("", {}, ""),
        ):
            config = ClientConfig(virtual_net=VirtualNet(address=address), feature_gates=gates)
            found = check_client(config)
            self.assertEqual(keys(found), ["virtualNet.address"] * bool(wrong))
            self.assertTrue(not wrong or found.problems[0].reason.startswith(wrong))
            self.assertEqual(found.warnings, [])

    def test_feature_gates(self) -> None:
        """Those of frp are taken in silence, on or off; others are refused by name."""
        for name, is_known in (("VirtualNet", True), ("virtualnet", False), ("Nope\n", False)):
            for value in (True, False):
                found = check_client(ClientConfig(feature_gates={name: value}))
                self.assertEqual((keys(found), found.warnings), (["featureGates"] * (not is_known), []))
        self.assertEqual(found.problems[0].reason, "unrecognized feature gate: Nope\\n (there is VirtualNet)")

    def test_profiling(self) -> None:
        """At either end, profiling pages are told to have no effect, and what helps instead."""
        pages = WebServerConfig(pprof_enable=True)
        for found in (
            check_client(ClientConfig(web_server=pages)),
            check_server(ServerConfig(auth=ServerAuth(token=Secret("t")), web_server=pages)),
        ):
            self.assertEqual(
                (keys(found), [each.key for each in found.warnings]), ([], ["webServer.pprofEnable"])
            )
            self.assertIn("py-spy", found.warnings[0].reason)


class ProxyTests(SynchronousTestCase):
    """Tests for the rules of proxies and visitors."""

    def test_right(self) -> None:
        """A name and a local service are enough."""
        found = check_proxy(ProxyCommon(name="a", local_port=22), TcpOptions(remote_port=7000))
        self.assertEqual((keys(found), found.warnings), ([], []))

    def test_problems(self) -> None:
        """Each rule blames its key."""
        for common, blamed in (
            (ProxyCommon(local_port=22), "name"),
            (ProxyCommon(name="a", local_port=1, annotations={"a b": "x"}), "annotations"),
            (
                ProxyCommon(name="a", local_port=1, transport=ProxyTransport(proxy_protocol_version="v3")),
                "transport.proxyProtocolVersion",
            ),
            (
                ProxyCommon(name="a", local_port=1, transport=ProxyTransport(bandwidth_limit_mode="x")),
                "transport.bandwidthLimitMode",
            ),
            (ProxyCommon(name="a", local_port=1, health_check=HealthCheck(type="udp")), "healthCheck.type"),
            (ProxyCommon(name="a", local_port=1, health_check=HealthCheck(type="http")), "healthCheck.path"),
            (
                ProxyCommon(name="a", local_port=1, load_balancer=LoadBalancer(balance="x")),
                "loadBalancer.balance",
            ),
            (ProxyCommon(name="a", local="unix:/x", local_port=1), "local"),
            (ProxyCommon(name="a", local="/run/x.sock"), "local"),
            (ProxyCommon(name="a", local="/run:x"), "local"),
            (ProxyCommon(name="a", local="nosuch:/run/x"), "local"),
        ):
            problems = [problem.key for problem in check_proxy(common, Plain()).problems]
            self.assertEqual(problems, [blamed])

    def test_local(self) -> None:
        """An endpoint string stands for host and port, and so does a plugin."""
        self.assertEqual(keys(check_proxy(ProxyCommon(name="a", local="unix:/x"), Plain())), [])
        found = check_proxy(ProxyCommon(name="a"), Plain(), has_plugin=True)
        self.assertEqual((keys(found), found.warnings), ([], []))
        self.assertEqual(
            keys(check_proxy(ProxyCommon(name="a", local="unix:/x"), Plain(), has_plugin=True)), ["local"]
        )
        found = check_proxy(ProxyCommon(name="a"), Plain())
        self.assertEqual([each.key for each in found.warnings], ["localPort"])

    def test_health_check(self) -> None:
        """What a check over HTTP sends must be what HTTP allows, and datagrams are not checked."""
        for name, value, blamed in (
            ("Host", "app.example:8080", []),
            ("X-Probe", "yes, I am", []),
            ("Host", "http://app", ["healthCheck.httpHeaders[1].value"]),
            ("X Probe", "1", ["healthCheck.httpHeaders[1].name"]),
            ("", "1", ["healthCheck.httpHeaders[1].name"]),
            ("X-Probe", "1\r\nX-Other: 2", ["healthCheck.httpHeaders[1].value"]),
        ):
            headers = (HttpHeader(name="A", value="b"), HttpHeader(name=name, value=value))
            check = HealthCheck(type="http", path="/", http_headers=headers)
            found = check_proxy(ProxyCommon(name="a", local_port=1, health_check=check), Plain())
            self.assertEqual((keys(found), found.warnings), (blamed, []))
        datagrams = ProxyCommon(name="a", local="udp:127.0.0.1:53", health_check=HealthCheck(type="tcp"))
        self.assertEqual(keys(check_proxy(datagrams, Plain(), takes_datagrams=True)), ["healthCheck.type"])

    def test_kind_of_local_service(self) -> None:
        """A type that takes datagrams has an endpoint for datagrams, and any other one for a stream."""
        for local, of_streams, of_datagrams in (
            ("tcp:127.0.0.1:53", [], ["local"]),
            ("unix:/run/app.sock", [], ["local"]),
            ("udp:127.0.0.1:53", ["local"], []),
            ("UDP:127.0.0.1:53", ["local"], []),
            ("nonsense", ["local"], ["local"]),
        ):
            common = ProxyCommon(name="a", type="plain", local=local)
            self.assertEqual(keys(check_proxy(common, Plain())), of_streams, local)
            self.assertEqual(keys(check_proxy(common, Plain(), takes_datagrams=True)), of_datagrams, local)

    def test_announced_datagrams(self) -> None:
        """Version 1 of the PROXY protocol cannot name a user of datagrams, which is said."""
        for version, warned in (("", []), ("v1", ["transport.proxyProtocolVersion"]), ("v2", [])):
            transport = ProxyTransport(proxy_protocol_version=version)
            common = ProxyCommon(name="a", local_port=53, transport=transport)
            found = check_proxy(common, Plain(), takes_datagrams=True)
            self.assertEqual((keys(found), [each.key for each in found.warnings]), ([], warned))
            self.assertEqual(check_proxy(common, Plain()).warnings, [])

    def test_health_check_of_datagrams(self) -> None:
        """What takes datagrams may have a check: that says what it looks at."""
        common = ProxyCommon(name="a", local_port=53, health_check=HealthCheck(type="tcp"))
        for datagrams, warned in ((False, []), (True, ["healthCheck.type"])):
            found = check_proxy(common, Plain(), takes_datagrams=datagrams)
            self.assertEqual((keys(found), [each.key for each in found.warnings]), ([], warned))

    def test_idle_health_check(self) -> None:
        """Keys of a check that checks nothing are warned about."""
        for check, port, plugin, warned in (
            (HealthCheck(type="tcp"), 1, False, []),
            (HealthCheck(type="tcp"), 0, False, ["localPort", "healthCheck.type"]),
            (HealthCheck(type="tcp"), 0, True, []),
            (HealthCheck(path="/x"), 1, False, ["healthCheck.type"]),
            (HealthCheck(), 1, False, []),
        ):
            common = ProxyCommon(name="a", local_port=port, health_check=check)
            found = check_proxy(common, Plain(), has_plugin=plugin)
            self.assertEqual((keys(found), [each.key for each in found.warnings]), ([], warned))

    def test_idle_limits(self) -> None:
        """A limit of bandwidth that limits nothing is warned about."""
        for text, found in (("0MB", ["transport.bandwidthLimit"]), ("1MB", []), ("", []), ("1mb", [])):
            common = ProxyCommon(name="a", local_port=1, transport=ProxyTransport(bandwidth_limit=text))
            self.assertEqual([each.key for each in check_proxy(common, Plain()).warnings], found)

    def test_values(self) -> None:
        """A limit of bandwidth must be one, whether the proxy is started or not."""
        for text, found in (("1MB", []), ("", []), ("1mb", ["transport.bandwidthLimit"])):
            common = ProxyCommon(transport=ProxyTransport(bandwidth_limit=text))
            self.assertEqual([problem.key for problem in value_problems(common)], found)

    def test_group(self) -> None:
        """A group of a type that has none is of no effect, which is said."""
        common = ProxyCommon(name="a", type="plain", local_port=1, load_balancer=LoadBalancer(group="g"))
        self.assertEqual(check_proxy(common, Plain()).warnings, [])
        (warning,) = check_proxy(common, Plain(), is_groupable=False).warnings
        self.assertEqual(warning.key, "loadBalancer.group")
        self.assertEqual(warning.reason, "has no effect: proxies of type plain cannot be grouped")

    def test_idle_group_keys(self) -> None:
        """What a load balancer is given without a group is of no effect, which is said."""
        for balancer, warned in (
            (LoadBalancer(), []),
            (LoadBalancer(group="g", group_key=Secret("k"), balance="roundRobin"), []),
            (LoadBalancer(group_key=Secret("k")), ["loadBalancer.groupKey"]),
            (LoadBalancer(balance="roundRobin"), ["loadBalancer.balance"]),
        ):
            common = ProxyCommon(name="a", local_port=1, load_balancer=balancer)
            self.assertEqual([each.key for each in check_proxy(common, Plain()).warnings], warned)

    def test_visitor(self) -> None:
        """A visitor needs a name, a proxy to visit, and a port or none by intention."""
        self.assertEqual(keys(check_visitor(VisitorCommon(), Plain())), ["name", "serverName", "bindPort"])
        for port in (9000, -1):
            common = VisitorCommon(name="v", server_name="s", bind_port=port)
            self.assertEqual(keys(check_visitor(common, Plain())), [])

    def test_standing_visitor(self) -> None:
        """A visitor may connect one local service of streams, in place of one that a plugin stands for."""
        for local, has_plugin, takes_datagrams, wrong in (
            ("unix:/run/app.sock", False, False, ""),
            ("virtual_net:destinationIP=10.0.0.2", False, False, ""),
            ("", True, False, ""),
            ("", False, True, ""),
            ("unix:/run/app.sock", True, False, "local"),
            ("nonsense", False, False, "local"),
            ("udp:127.0.0.1:53", False, False, "local"),
            ("unix:/run/app.sock", False, True, "local"),
            ("", True, True, "plugin"),
        ):
            common = VisitorCommon(name="v", server_name="s", bind_port=-1, local=local)
            found = check_visitor(common, Plain(), has_plugin=has_plugin, takes_datagrams=takes_datagrams)
            self.assertEqual(keys(found), [wrong] * bool(wrong), local)
