"""Tests for the commands of one line; that tunnels work is shown in ``tests/integration``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.steering import Steering
from relaykit.assembly import ClientAssembly
from relaykit.client.status import ClientStatus, ProxyStatus, RegistrationState
from relaykit.commands.tunnels.logins import Login, RememberedLogins, ServerName
from relaykit.commands.tunnels.run import login_for
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode, RelaykitError
from relaykit.state import StateDirectory
from relaykit.values import Exchange, Secret
from tests.commands.fakes import FakeRole
from tests.commands.serving import ServingTestCase
from tests.commands.terminal import run_printed

RELAY = ServerName("relay.example")


class LoginForTests(SynchronousTestCase):
    """Tests for :func:`login_for`."""

    def setUp(self) -> None:
        """Makes a state directory that knows a server."""
        self.logins = RememberedLogins(StateDirectory(Path(self.mktemp())))
        self.known = Login(server=RELAY, token=Secret("known"), fingerprint="sha256:known")

    def login(
        self,
        server: str = "",
        token_file: str = "",
        fingerprint: str = "",
        no_token: bool = False,
        **environ: str,
    ) -> Login:
        """What a command line means."""
        return login_for(self.logins, environ, server, token_file, fingerprint, no_token=no_token)

    def test_given(self) -> None:
        """The command line comes first, for the server, its token and its fingerprint."""
        self.logins.remember(self.known)
        path = Path(self.mktemp())
        path.write_text("given\n")
        words = ("relay.example", str(path), "sha256:given")
        self.assertEqual(
            self.login(*words, RELAYKIT_SERVER="e", RELAYKIT_TOKEN="e", RELAYKIT_FINGERPRINT="e"),
            Login(server=RELAY, token=Secret("given"), fingerprint="sha256:given"),
        )

    def test_environment(self) -> None:
        """Then comes the environment."""
        self.logins.remember(self.known)
        found = self.login(RELAYKIT_SERVER="other:1", RELAYKIT_TOKEN=" t\n", RELAYKIT_FINGERPRINT="sha256:e")
        self.assertEqual(
            found, Login(server=ServerName("other", 1), token=Secret("t"), fingerprint="sha256:e")
        )

    def test_no_token(self) -> None:
        """A token in the environment that is empty is none; for a server without one there is a flag."""
        self.logins.remember(self.known)
        for nothing in ("", " \n"):
            with self.assertRaisesRegex(RelaykitError, "RELAYKIT_TOKEN is empty; .* --no-token"):
                self.login("relay.example", RELAYKIT_TOKEN=nothing)
            self.assertEqual(self.login("other", no_token=True, RELAYKIT_TOKEN=nothing).token, Secret(""))

    def test_remembered(self) -> None:
        """Then comes what is remembered: of the server that is named, else of the last one."""
        self.logins.remember(self.known)
        self.logins.remember(Login(server=ServerName("other"), token=Secret("other")))
        self.assertEqual(self.login("relay.example:7000"), self.known)
        self.assertEqual(self.login().server, ServerName("other"))

    def test_nothing(self) -> None:
        """Without a server, or without a token for it, there is nothing to try."""
        with self.assertRaisesRegex(RelaykitError, "no server is named"):
            self.login()
        with self.assertRaisesRegex(RelaykitError, "no token is given for relay.example:7000"):
            self.login("relay.example")


class RunTests(ServingTestCase):
    """Tests for running one."""

    def setUp(self) -> None:
        """Takes the place of the client, and notes what it is made of."""
        super().setUp()
        self.made: list[ClientAssembly] = []
        self.steering = Steering()
        case = self

        def make(assembly: ClientAssembly, reactor: Any, steering: Steering) -> FakeRole:
            case.made.append(assembly)
            case.steering = steering
            return case.role

        self.patch(ClientAssembly, "make", make)
        self.role.now = ClientStatus(
            connected=True,
            since=0.0,
            proxies=(ProxyStatus(name="ssh", type="tcp", state=RegistrationState.RUNNING, address=":6000"),),
        )

    def test_tcp(self) -> None:
        """A line runs a client with the one proxy, tells where it is, and ends well by a signal."""
        words = ("tcp", "22", "--server", "relay.example", "--remote-port", "6000", "--name", "ssh")
        printed = self.serve(*words, "--fingerprint", "ab" * 32, RELAYKIT_TOKEN="t")
        self.assertEqual(
            (printed.status, printed.stderr, printed.stdout),
            (
                0,
                "",
                "connected to relay.example:7000\n[ssh] open: relay.example:6000 -> 127.0.0.1:22\n"
                "ended: 0 users, 0 bytes down, 0 bytes up\n",
            ),
        )
        (assembly,) = self.made
        config = assembly.loaded.config
        self.assertEqual((config.server_addr, config.server_port), ("relay.example", 7000))
        self.assertEqual((assembly.token, config.login_fail_exit), (Secret("t"), True))
        self.assertEqual(config.transport.tls.server_fingerprint, "ab" * 32)
        self.assertEqual(config.transport.protocol, "auto")
        self.assertEqual(self.role.done, ["started", "stopped"])
        self.assertIsNotNone(self.steering.stop, "relaykit stop can end it")

    def test_secret(self) -> None:
        """A secret service tells how to visit it; with ``--web``, an address is a URL."""
        status = ProxyStatus(name="db", type="stcp", state=RegistrationState.RUNNING)
        self.role.now = ClientStatus(connected=True, proxies=(status,))
        words = ("secret", "5432", "--server", "relay.example:7001", "--name", "db")
        self.assertIn(
            "[db] open: on the other machine: RELAYKIT_TOKEN=... relaykit visit db --port 5432 "
            "--server relay.example:7001 -> 127.0.0.1:5432\n",
            self.serve(*words, RELAYKIT_TOKEN="t").stdout,
        )

    def test_web(self) -> None:
        """A service for browsers is shown as a URL."""
        words = ("tcp", "80", "--server", "relay.example", "--name", "ssh", "--web")
        self.assertIn("http://relay.example:6000/", self.serve(*words, RELAYKIT_TOKEN="t").stdout)

    def test_http(self) -> None:
        """A site is shown by its URLs, and what its users ask for in lines."""
        self.role.now = ClientStatus(
            connected=True,
            proxies=(
                ProxyStatus(
                    name="web", type="http", state=RegistrationState.RUNNING, address="a.example,b.example"
                ),
            ),
        )

        def ask() -> None:
            (observer,) = self.role.observers
            observer.on_exchange("web", Exchange(method="GET", target="/a", status=200, seconds=0.1))
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)

        words = ("http", "8080", "--server", "r", "--domain", "a.example,b.example", "--location", "/a")
        printed = self.serve(*words, "--name", "web", during=ask, RELAYKIT_TOKEN="t")
        self.assertIn(
            "[web] open: http://a.example/a, http://b.example/a -> 127.0.0.1:8080\n", printed.stdout
        )
        self.assertIn("[web] GET /a -> 200 (100 ms, 0 bytes)\n", printed.stdout)

    def test_fails(self) -> None:
        """A first login that fails ends the program with the reason and what to do."""
        self.role = FakeRole(ConnectionFailed("cannot connect to relay.example:7000: connection refused"))
        words = ("tcp", "22", "--server", "relay.example")
        printed = self.serve(*words, during=lambda: None, RELAYKIT_TOKEN="t")
        self.assertEqual(printed.status, 1)
        self.assertTrue(
            printed.stderr.startswith("cannot connect to relay.example:7000: connection refused\n  The")
        )

    def test_refused(self) -> None:
        """What the server refuses for good ends the program; what may be free later is asked for again."""
        words = ("tcp", "22", "--server", "relay.example", "--remote-port", "6000")
        self.role.refused = ProxyRefusedError(RefusalCode.OTHER, "[ssh] start error: port not allowed")
        printed = self.serve(*words, during=lambda: None, RELAYKIT_TOKEN="t")
        self.assertEqual(printed.status, 1)
        self.assertTrue(printed.stderr.startswith("[ssh] start error: port not allowed\n  "), printed.stderr)
        self.role.refused = ProxyRefusedError(
            RefusalCode.OTHER, "[ssh] start error: proxy [ssh] already exists"
        )
        self.assertEqual(self.serve(*words, RELAYKIT_TOKEN="t").status, 0)

    def test_remember(self) -> None:
        """A server that let the client in is remembered, where that is asked for."""
        folder = str(Path(self.mktemp()).absolute())
        words = ("tcp", "22", "--state-dir", folder)
        self.serve(*words, RELAYKIT_SERVER="relay.example", RELAYKIT_TOKEN="t")
        self.assertEqual(run_printed(words).status, 1)
        told = self.serve(*words, "--remember", RELAYKIT_SERVER="relay.example", RELAYKIT_TOKEN="t").stderr
        self.assertIn(f"relay.example:7000 and its token is remembered in {folder}/logins.json", told)
        self.assertEqual(self.serve(*words).status, 0)
        self.assertEqual(self.made[-1].token, Secret("t"))

    def test_not_remembered(self) -> None:
        """A server that did not let the client in is not remembered."""
        self.role = FakeRole(ConnectionFailed("no"))
        folder = str(Path(self.mktemp()).absolute())
        words = ("tcp", "22", "--server", "relay.example", "--state-dir", folder, "--remember")
        self.serve(*words, during=lambda: None, RELAYKIT_TOKEN="t")
        self.assertIsNone(RememberedLogins(StateDirectory(Path(folder))).latest())

    def test_cannot_remember(self) -> None:
        """Where nothing can be remembered, the tunnel runs, and that is told."""
        words = ("tcp", "22", "--server", "relay.example", "--remember")
        printed = self.serve(*words, RELAYKIT_TOKEN="t")
        self.assertEqual(printed.status, 0)
        self.assertIn("problem: nothing can be remembered", printed.stderr)

    def test_bad_values(self) -> None:
        """What cannot be is told before anything is dialed."""
        for words, status, said in (
            (("tcp",), 2, "Missing argument 'SERVICE'"),
            (("visit",), 2, "Missing argument 'PROXY'"),
            (("tcp", "22", "23"), 2, "unexpected extra argument (23)"),
            (("tcp", "22"), 1, "no server is named"),
            (("http", "80", "--server", "r"), 1, "--domain or --subdomain must be given"),
            (("tcp", "70000"), 2, "they go from 1 to 65535"),
            (("tcp", "what:"), 2, "is not an endpoint"),
            (("secret", "1", "--server", "r", "--secret-key-file", "no"), 1, "cannot read the secret file"),
        ):
            printed = run_printed(words, {"RELAYKIT_TOKEN": "t"})
            self.assertEqual((printed.status, printed.stdout), (status, ""), words)
            self.assertIn(said, printed.stderr)
