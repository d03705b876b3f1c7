"""Logins by OpenID Connect: our programs, and frp's at either end, with a provider that is a program, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.integration.certificates import Authority
from tests.integration.oidc_provider import AUDIENCE, CLIENT, SECRET, Provider
from tests.integration.programs import Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, PATIENT, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse

SCOPES = ["HeartBeats", "NewWorkConns"]


class OidcTestCase(RelayTestCase):
    """A provider, and who trusts it."""

    def setUp(self) -> None:
        """Chooses the ports of the provider; it does not run yet."""
        super().setUp()
        self.authority = Authority(self.folder)
        self._shown = self.authority.certify("id.example", [LOOPBACK])
        self._ports = (free_port(), free_port())
        self.issuer = f"http://{LOOPBACK}:{self._ports[0]}"
        self._users = 0

    def start_provider(self) -> Provider:
        """Runs it."""
        provider = Provider(self.folder, self._ports, self._shown)
        self.addCleanup(provider.program.stop)
        return provider

    def serve(
        self,
        table: Table = NOTHING,
        command: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Program:
        """A server that trusts the provider."""
        server = self.start(
            command or self.server_command,
            {
                **PATIENT,
                "bindAddr": LOOPBACK,
                "bindPort": self.bind_port,
                "auth.method": "oidc",
                "auth.additionalScopes": SCOPES,
                "auth.oidc.issuer": self.issuer,
                "auth.oidc.audience": AUDIENCE,
                "log.level": "trace",
                **table,
            },
            environ,
        )
        server.wait_for("started successfully")
        return server

    def log_in(self, table: Table, command: Sequence[str] = ()) -> tuple[Program, int]:
        """A client with a proxy, and the port of that."""
        self._users += 1
        port = free_port()
        proxy: Table = {
            "name": f"echo-{self._users}",
            "type": "tcp",
            "localPort": self.start_service().port,
            "remotePort": port,
        }
        # As frp does, both ends would encrypt with a token if one were there.
        method = {
            "auth.token": "",
            "auth.method": "oidc",
            "auth.additionalScopes": SCOPES,
            "log.level": "trace",
        }
        return self.start_client({**method, **table}, [proxy], command=command), port

    def asking(self, **changes: str) -> Table:
        """How a client asks the provider, but for these keys of ``auth.oidc``."""
        keys = {
            "clientID": CLIENT,
            "clientSecret": SECRET,
            "audience": AUDIENCE,
            "tokenEndpointURL": f"{self.issuer}/token",
            **changes,
        }
        return {f"auth.oidc.{key}": value for key, value in keys.items()}

    def from_file(self, token: str, name: str = "token") -> Table:
        """How a client takes a token from a file."""
        (self.folder / name).write_text(token)
        source = {"type": "file", "file": {"path": str(self.folder / name)}}
        return {"auth.oidc.tokenSource": source}

    def check_served(self, client: Program, port: int) -> None:
        """The client is in, and its users are served."""
        client.wait_for("start proxy success")
        converse(port)

    def check_refused(self, client: Program, *parts: str) -> None:
        """The client ends, and says why."""
        self.assertEqual(client.wait_for_end(), 1)
        for part in parts:
            self.assertIn(part, client.output)

    def check_secrets(self, provider: Provider, *programs: Program) -> None:
        """No log has a secret or a token in it, not even the part of one that is signed."""
        for secret in (SECRET, "hush-hush", *provider.issued()):
            for part in secret.split("."):
                for program in programs:
                    self.assertNotIn(part, program.output)


class LoginTests(OidcTestCase):
    """Our programs at both ends."""

    def test_granted(self) -> None:
        """A client gets a token and logs in with it, and with it are work connections asked for."""
        provider = self.start_provider()
        server = self.serve()
        client, port = self.log_in(self.asking())
        self.check_served(client, port)
        # The token is kept.
        self.assertEqual(len(provider.issued()), 1)
        self.check_secrets(provider, server, client)

    def test_tls(self) -> None:
        """Clients know the provider's authority by a file, servers by the system; others refuse it."""
        provider = self.start_provider()
        blind = self.serve({"auth.oidc.issuer": provider.tls_issuer})
        self.assertIn("certificate", blind.wait_for(f"the keys of {provider.tls_issuer} cannot be had"))
        blind.stop()
        server = self.serve(
            {"auth.oidc.issuer": provider.tls_issuer}, environ={"SSL_CERT_FILE": str(self.authority.file)}
        )
        url = f"{provider.tls_issuer}/token"
        client, port = self.log_in(self.asking(tokenEndpointURL=url, trustedCaFile=str(self.authority.file)))
        self.check_served(client, port)
        stranger, _ = self.log_in({**self.asking(tokenEndpointURL=url), "loginFailExit": True})
        self.check_refused(stranger, f"{url} cannot be asked", "certificate")
        self.check_secrets(provider, server, client, stranger)

    def test_wrong(self) -> None:
        """Who has a wrong secret is told by the client, and who has a wrong audience by the server."""
        provider = self.start_provider()
        server = self.serve()
        for changes, parts in (
            ({"clientSecret": "hush-hush"}, ("invalid_client", "auth.oidc.clientSecret")),
            (
                {"audience": "else"},
                (f'invalid OIDC token in login: it is not for the audience "{AUDIENCE}"',),
            ),
        ):
            client, _ = self.log_in({**self.asking(**changes), "loginFailExit": True})
            self.check_refused(client, *parts)
            self.check_secrets(provider, server, client)

    def test_bad_answers(self) -> None:
        """Junk and huge answers are told as such, by either end."""
        provider = self.start_provider()
        for behavior, part in (("junk", "no JSON object"), ("huge", "is too large")):
            provider.behave("keys", behavior)
            server = self.serve()
            self.assertIn(part, server.wait_for(f"the keys of {self.issuer} cannot be had"))
            server.stop()
        provider.behave("keys", "well")
        server = self.serve()
        for behavior, part in (("junk", "no JSON object"), ("huge", "is too large")):
            provider.behave("tokens", behavior)
            client, _ = self.log_in({**self.asking(), "loginFailExit": True})
            self.check_refused(client, part)
            self.check_secrets(provider, server, client)

    def test_read(self) -> None:
        """Tokens come from a file, and from a command where that is allowed."""
        provider = self.start_provider()
        server = self.serve()
        table = self.from_file(provider.token() + "\n")
        self.check_served(*self.log_in(table))
        command = {"command": "cat", "args": [str(self.folder / "token")]}
        table = {"auth.oidc.tokenSource": {"type": "exec", "exec": command}, "loginFailExit": True}
        refused, _ = self.log_in(table)
        self.check_refused(refused, "TokenSourceExec")
        client, port = self.log_in(table, (*self.client_command, "--allow-unsafe", "TokenSourceExec"))
        self.check_served(client, port)
        self.check_secrets(provider, server, client, refused)


class WeatherTests(OidcTestCase):
    """A provider that is not always well.  The server leaves 10 seconds between two questions."""

    def test_down_at_start(self) -> None:
        """The server starts without it, and says so; once it is there, clients get in by themselves."""
        server = self.serve()
        server.wait_for(f"the keys of {self.issuer} cannot be had")
        client, port = self.log_in({**self.asking(), "loginFailExit": False})
        client.wait_for("couldn't generate OIDC token for login")
        provider = self.start_provider()
        self.check_served(client, port)
        server.wait_for(f"the keys of {self.issuer} are there again")
        self.check_secrets(provider, server, client)

    def test_rotation(self) -> None:
        """New keys are asked for when a token has one; while that hangs, others log in, and get served."""
        provider = self.start_provider()
        server = self.serve()
        old = self.from_file(provider.token(), "old")
        first, first_port = self.log_in(old)
        self.check_served(first, first_port)
        provider.rotate()
        provider.behave("keys", "hanging")
        client, port = self.log_in({**self.asking(), "loginFailExit": False})
        provider.program.wait_for("asked for keys, behaves: hanging")
        self.check_served(*self.log_in(old))
        converse(first_port)
        provider.behave("keys", "well")
        self.check_served(client, port)
        self.check_secrets(provider, server, client, first)


class FrpTests(OidcTestCase):
    """frp's program at one end."""

    skip = missing_frp()

    def test_frpc(self) -> None:
        """Its client logs in at our server."""
        provider = self.start_provider()
        server = self.serve()
        client, port = self.log_in(self.asking(), frp_command("frpc"))
        self.check_served(client, port)
        self.check_secrets(provider, server)

    def test_frps(self) -> None:
        """Our client logs in at its server."""
        provider = self.start_provider()
        self.serve(command=frp_command("frps"))
        client, port = self.log_in(self.asking())
        self.check_served(client, port)
        self.check_secrets(provider, client)
