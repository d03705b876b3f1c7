"""Clients that get out through forward proxies, of others and of the test's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec

from twisted.trial.unittest import SkipTest

from tests.integration.certificates import Authority
from tests.integration.forward_proxies import NotingProxy, dante, microsocks, squid
from tests.integration.programs import Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse

SERVER = "relay.example"
"""The name of the server, which only proxies of a test know."""

OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def _answer(said: bytes, _: bytes) -> list[bytes]:
    return [said]


class ForwardProxyTestCase(RelayTestCase):
    """One server of ours, and a client whose way leads through a proxy."""

    def setUp(self) -> None:
        """Runs a server."""
        super().setUp()
        self.start_server()
        self.port = free_port()

    def start_through(
        self,
        url: str,
        table: Table = NOTHING,
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> Program:
        """A client whose file names this proxy, if any, and whose environment is this."""
        proxy: Table = {
            "name": "open",
            "type": "tcp",
            "localPort": self.start_service().port,
            "remotePort": self.port,
        }
        named = {"transport.proxyURL": url} if url else {}
        return self.start_client(
            {"serverAddr": SERVER, "loginFailExit": True, **named, **table},
            [proxy],
            command=command,
            environ=environ,
        )

    def check_served(self, client: Program) -> None:
        """A user is served, and no log has a password in it."""
        client.wait_for("start proxy success")
        converse(self.port)
        self.check_secret(client)

    def check_refused(self, client: Program, *parts: str) -> None:
        """The client ends with a message that has these parts, and none of the password."""
        self.assertEqual(client.wait_for_end(), 1)
        for part in parts:
            self.assertIn(part, client.output)
        self.check_secret(client)

    def check_secret(self, client: Program) -> None:
        """Nothing of who asks is said."""
        for secret in ("p@ss", "p%40ss", "hush", "dXNlcj"):
            self.assertNotIn(secret, client.output)


class SquidTests(ForwardProxyTestCase):
    """Squid, with a user and a password."""

    def start_squid(self, ntlm: bool = False, allowed: int = 0) -> int:
        """Squid, which knows the name of the server; its port."""
        proxy = squid(self.folder, {SERVER: LOOPBACK}, allowed or self.bind_port, ntlm)
        self.addCleanup(proxy.program.stop)
        return proxy.port

    def test_password(self) -> None:
        """It lets in whom it knows, with mux and without, and resolves the name."""
        port = self.start_squid()
        for mux in (True, False):
            client = self.start_through(
                f"http://user:p%40ss@{LOOPBACK}:{port}", {"transport.tcpMux": mux, "log.level": "trace"}
            )
            self.check_served(client)
            client.stop()

    def test_who_is_not_let_in(self) -> None:
        """Nobody, and a wrong password: both are told what to do."""
        port = self.start_squid()
        self.check_refused(
            self.start_through(f"http://{LOOPBACK}:{port}"),
            f"the proxy http://{LOOPBACK}:{port} wants to know who asks (407 Proxy Authentication Required",
            "by Basic: put user and password into transport.proxyURL",
        )
        self.check_refused(
            self.start_through(f"http://user:hush@{LOOPBACK}:{port}"),
            "does not accept the user and the password in transport.proxyURL (407 Proxy Authentication",
        )

    def test_not_allowed(self) -> None:
        """A port that its rules do not have is refused with what squid says."""
        port = self.start_squid(allowed=443)
        self.check_refused(
            self.start_through(f"http://user:p%40ss@{LOOPBACK}:{port}"),
            f"does not let this client connect to {SERVER}:{self.bind_port}: "
            "403 Forbidden, ERR_ACCESS_DENIED 0; many proxies allow the port 443 only",
        )

    def test_nobody_there(self) -> None:
        """A server that is not there, or whose name squid does not know, is told from a proxy that is not."""
        nowhere = free_port()
        port = self.start_squid(allowed=nowhere)
        self.check_refused(
            self.start_through(f"http://user:p%40ss@{LOOPBACK}:{port}", {"serverPort": nowhere}),
            f"the proxy http://{LOOPBACK}:{port} cannot connect to {SERVER}:{nowhere}: 503 Service",
        )
        self.check_refused(
            self.start_through(f"http://user:p%40ss@{LOOPBACK}:{nowhere}"),
            "the proxy that transport.proxyURL names cannot be reached: "
            f"cannot connect to {LOOPBACK}:{nowhere}: connection refused",
        )

    def test_environment(self) -> None:
        """A proxy that only the environment names is used, told of in one line, and can be forbidden."""
        port = self.start_squid()
        environ = {"https_proxy": f"http://user:p%40ss@{LOOPBACK}:{port}"}
        client = self.start_through("", environ=environ)
        self.check_served(client)
        self.assertEqual(
            client.output.count(
                f"the server is dialed through the proxy http://{LOOPBACK}:{port}, since the environment "
                "variable https_proxy names it"
            ),
            1,
        )
        client.stop()
        for url, more in (("direct", NOTHING), ("", {"no_proxy": ".example"})):
            client = self.start_through(url, environ={**environ, **more})
            self.check_refused(client, f"cannot connect to {SERVER}:")
        client = self.start_through("", {"serverAddr": LOOPBACK}, environ)
        self.check_served(client)
        self.assertNotIn("through the proxy", client.output)

    def test_ntlm(self) -> None:
        """NTLM with squid's own helper, which takes every user; it does not know it by frp's name."""
        if find_spec("spnego") is None:
            raise SkipTest("pyspnego is not installed: the extra ntlm")
        port = self.start_squid(ntlm=True)
        self.check_served(self.start_through(f"ntlm://DOMAIN%5Cuser:p%40ss@{LOOPBACK}:{port}"))

    def test_tls(self) -> None:
        """A proxy behind TLS is verified by the authorities that the system trusts."""
        authority = Authority(self.folder)
        certified = authority.certify("localhost", [LOOPBACK])
        for each in (certified.certificate, certified.key):
            each.chmod(0o644)
        proxy = squid(self.folder, {SERVER: LOOPBACK}, self.bind_port, certified=certified)
        self.addCleanup(proxy.program.stop)
        url = f"https://user:p%40ss@localhost:{proxy.tls_port}"
        self.check_refused(
            self.start_through(url),
            f"TLS with the proxy https://localhost:{proxy.tls_port} failed",
            "is not signed by a trusted CA",
        )
        self.check_served(self.start_through(url, environ={"SSL_CERT_FILE": str(authority.file)}))

    def test_frp(self) -> None:
        """With the same URL, frp's client gets to our server, and our client to frp's."""
        if reason := missing_frp():
            raise SkipTest(reason)
        url = f"http://user:p%40ss@{LOOPBACK}:{self.start_squid()}"
        client = self.start_through(url, command=frp_command("frpc"))
        client.wait_for("start proxy success")
        converse(self.port)
        self.stop_programs()
        self.start_server(command=frp_command("frps"))
        self.check_served(self.start_through(url))


class Socks5Tests(ForwardProxyTestCase):
    """SOCKS 5, by two programs."""

    def test_microsocks(self) -> None:
        """User and password, and names that the proxy resolves."""
        proxy = microsocks(self.folder)
        self.addCleanup(proxy.program.stop)
        where = f"{LOOPBACK}:{proxy.port}"
        table: Table = {"serverAddr": "localhost"}
        client = self.start_through(f"socks5://user:p%40ss@{where}", table)
        self.check_served(client)
        client.stop()
        self.check_refused(
            self.start_through(f"socks5://{where}", table),
            f"the proxy socks5://{where} wants to know who asks",
        )
        self.check_refused(
            self.start_through(f"socks5://user:hush@{where}", table),
            "does not accept the user and the password in transport.proxyURL",
        )
        self.check_refused(
            self.start_through(f"socks5://user:p%40ss@{where}", {**table, "serverPort": free_port()}),
            "the connection was refused: look whether the server runs",
        )

    def test_dante(self) -> None:
        """No user, and rules that allow one port."""
        proxy = dante(self.folder, self.bind_port)
        self.addCleanup(proxy.program.stop)
        url = f"socks5://{LOOPBACK}:{proxy.port}"
        client = self.start_through(url, {"serverAddr": "localhost"})
        self.check_served(client)
        client.stop()
        self.check_refused(
            self.start_through(url, {"serverAddr": "localhost", "serverPort": free_port()}),
            "its rules do not allow it",
        )


class OwnProxyTests(ForwardProxyTestCase):
    """A proxy of the test, which sees what it is asked."""

    def test_asked(self) -> None:
        """One request, with nothing in the clear but what the scheme says, answered in two pieces."""
        proxy = NotingProxy((LOOPBACK, self.bind_port), lambda head: [OPEN[:5], OPEN[5:]])
        self.addCleanup(proxy.stop)
        client = self.start_through(f"http://user:p%40ss@{LOOPBACK}:{proxy.port}")
        self.check_served(client)
        (head,) = proxy.asked
        self.assertEqual(
            head,
            f"CONNECT {SERVER}:{self.bind_port} HTTP/1.1\r\nHost: {SERVER}:{self.bind_port}\r\n"
            "User-Agent: relaykit\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n".encode(),
        )

    def test_junk(self) -> None:
        """What is no answer, and one that does not end, are refused."""
        for said, why in (
            (b"SSH-2.0-x\r\n", "does not answer as such a proxy does: it is no response of HTTP/1"),
            (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000, "its head has more than 65536 bytes"),
        ):
            proxy = NotingProxy((LOOPBACK, self.bind_port), partial(_answer, said))
            self.addCleanup(proxy.stop)
            self.check_refused(self.start_through(f"http://{LOOPBACK}:{proxy.port}"), why)

    def test_silent(self) -> None:
        """A proxy that takes the connection and says nothing is given up."""
        proxy = NotingProxy((LOOPBACK, self.bind_port), lambda head: [])
        self.addCleanup(proxy.stop)
        client = self.start_through(f"socks5://{LOOPBACK}:{proxy.port}", {"transport.dialServerTimeout": 1})
        self.check_refused(client, "did not answer within 1 seconds")
