from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.auth import (
    ClientAuth,
    ClientOidc,
    CommandVariable,
    ServerAuth,
    ServerOidc,
    TokenCommand,
    TokenFile,
    TokenSource,
)
from relaykit.options import Options
from relaykit.values import Secret

FILE = TokenSource(type="file", file=TokenFile(path="t"))


def keys(options: Options) -> list[str]:
    """The keys that something is wrong with."""
    return [problem.key for problem in options.problems()]


class TokenSourceTests(SynchronousTestCase):
    """Tests for where a token comes from."""

    def test_chosen(self) -> None:
        """The type chooses the table, the other one does not count."""
        source = TokenSource(type="file", file=TokenFile(path="t"), exec=TokenCommand())
        self.assertEqual(source.chosen(), TokenFile(path="t"))
        self.assertEqual(keys(source), [])
        self.assertIsNone(TokenSource(type="env").chosen())

    def test_problems(self) -> None:
        """The chosen table must be there and say enough."""
        for source, found in (
            (TokenSource(), ["type"]),
            (TokenSource(type="env"), ["type"]),
            (TokenSource(type="file"), ["file"]),
            (TokenSource(type="file", file=TokenFile()), ["file.path"]),
            (TokenSource(type="exec", exec=TokenCommand()), ["exec.command"]),
            (
                TokenSource(
                    type="exec",
                    exec=TokenCommand(command="c", env=(CommandVariable(), CommandVariable(name="A=B"))),
                ),
                ["exec.env[0].name", "exec.env[1].name"],
            ),
        ):
            self.assertEqual(keys(source), found)


class AuthTests(SynchronousTestCase):
    """Tests for who may log in."""

    def test_words(self) -> None:
        """Methods and scopes are spelled exactly so."""
        for auth in (ServerAuth, ClientAuth):
            self.assertEqual(
                keys(auth(method="TOKEN", additional_scopes=("HeartBeats", "x"))),
                ["method", "additionalScopes"],
            )
            self.assertEqual(keys(auth(token=Secret("t"), token_source=FILE)), ["tokenSource"])
            self.assertEqual(keys(auth(additional_scopes=("HeartBeats", "NewWorkConns"))), [])

    def test_oidc(self) -> None:
        """A client that asks for tokens needs to know where, and as whom."""
        for oidc, found in (
            (ClientOidc(), ["oidc.clientID", "oidc.tokenEndpointURL"]),
            (ClientOidc(client_id="a", token_endpoint_url="http://h/x"), []),
            (ClientOidc(token_source=FILE), []),
            (
                ClientOidc(
                    client_id="a",
                    audience="b",
                    token_endpoint_url="https://h",
                    additional_endpoint_params={"audience": "c", "scope": "d"},
                ),
                ["oidc.additionalEndpointParams.scope", "oidc.additionalEndpointParams.audience"],
            ),
        ):
            self.assertEqual(keys(ClientAuth(method="oidc", oidc=oidc)), found)
        self.assertEqual(keys(ClientAuth(oidc=ClientOidc(token_endpoint_url="foo"))), [])

    def test_endpoint(self) -> None:
        """The endpoint is an absolute URL with http or https."""
        for url, words in (
            ("foo", "absolute"),
            ("http:///path", "absolute"),
            ("mailto:x", "absolute"),
            ("http://%zz/", "absolute"),
            ("http://[::1", "absolute"),
            ("ftp://h/x", "must use http or https"),
        ):
            (problem,) = ClientOidc(client_id="a", token_endpoint_url=url).credential_problems()
            self.assertIn(words, problem.reason, url)

    def test_issuer(self) -> None:
        """A server that checks tokens of a provider must know which."""
        for issuer, found in (
            ("", ["oidc.issuer"]),
            ("id.example", ["oidc.issuer"]),
            ("https://id.example", []),
        ):
            auth = ServerAuth(method="oidc", oidc=ServerOidc(issuer=issuer))
            self.assertEqual(keys(auth), found)
        self.assertEqual(keys(ServerAuth(token=Secret("sesame"))), [])

    def test_oidc_token_source(self) -> None:
        """A source of tokens excludes everything else."""
        self.assertEqual(keys(ClientOidc(token_source=FILE, scope="s")), ["tokenSource"])
        self.assertEqual(keys(ClientOidc(token_source=FILE)), [])

    def test_secrets(self) -> None:
        """No secret is shown."""
        shown = repr(ClientAuth(token=Secret("sesame"), oidc=ClientOidc(client_secret=Secret("sesame"))))
        self.assertNotIn("sesame", shown)
