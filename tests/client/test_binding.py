"""Tests of when a client binds its login, and of what it says when that comes to nothing."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.binding import BindingPolicy
from relaykit.client.remembered import Remembered
from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport
from relaykit.config.schema.auth import ClientAuth
from relaykit.sansio.control.events import BindingFailed
from relaykit.sansio.control.login_proofs import BindingFailure, BoundLogin
from relaykit.sansio.control.texts import NOT_BOUND
from relaykit.values import Secret

SERVER = "relay.example:7000"
UNKNOWN = Remembered()
PROVEN = Remembered(speaks_v2=True, bound=True, certificate="sha256:01")


def policy(
    bound: str = "prefer", *, token: str = "t", method: str = "token", tls: bool = True, wire: str = "auto"
) -> BindingPolicy:
    """The policy of a configuration."""
    transport: Any = ClientTransport(wire_protocol=wire, tls=ClientTls(enable=tls))
    config = ClientConfig(auth=ClientAuth(bound=bound, method=method), transport=transport)
    return BindingPolicy.of(config, Secret(token), SERVER)


class ModeTests(SynchronousTestCase):
    """How a login is made."""

    def test_settings(self) -> None:
        """As it is configured; who proved itself once must do so again where it is preferred."""
        for setting, known, mode in (
            ("prefer", UNKNOWN, BoundLogin.PREFER),
            ("prefer", Remembered(speaks_v2=True), BoundLogin.PREFER),
            ("prefer", PROVEN, BoundLogin.REQUIRE),
            ("require", UNKNOWN, BoundLogin.REQUIRE),
            ("require", PROVEN, BoundLogin.REQUIRE),
            ("off", UNKNOWN, BoundLogin.OFF),
            ("off", PROVEN, BoundLogin.OFF),
        ):
            self.assertEqual(policy(setting).mode(known), mode)

    def test_impossible(self) -> None:
        """Without token, TLS or version 2 there is none to be had, and require does not turn into less."""
        for lacking in ({"token": ""}, {"tls": False}, {"wire": "v1"}, {"method": "oidc"}):
            for known in (UNKNOWN, PROVEN):
                self.assertEqual(policy(**lacking).mode(known), BoundLogin.OFF)
                self.assertEqual(policy("require", **lacking).mode(known), BoundLogin.REQUIRE)
            self.assertFalse(policy(**lacking).possible)


class ExplanationTests(SynchronousTestCase):
    """Every failure names its causes."""

    def test_both_causes(self) -> None:
        """A wrong token, or TLS that is ended in between: nobody can tell which."""
        for why in (BindingFailure.REFUSED, BindingFailure.NOT_PROVEN):
            text = policy().explained(BindingFailed(why, "go away"), UNKNOWN, "sha256:01")
            self.assertIn("the token is not the server's, or somebody is between you and the server", text)
            self.assertEqual("go away" in text, why is BindingFailure.REFUSED)
            self.assertNotIn("forget", text)

    def test_wrong_token(self) -> None:
        """A wrong token is told in a sentence; with the certificate that was proved it is nothing else."""
        failure = BindingFailed(BindingFailure.REFUSED, NOT_BOUND)
        told = "token in login doesn't match token from configuration: the token is not the server's"
        self.assertEqual(policy().explained(failure, PROVEN, "sha256:01"), told)
        self.assertEqual(
            policy().explained(failure, UNKNOWN, "sha256:01"),
            f"{told}, or somebody is between you and the server",
        )

    def test_not_agreed(self) -> None:
        """Where nothing was proven the token is not the cause."""
        failure = BindingFailed(BindingFailure.NOT_AGREED)
        required = policy("require").explained(failure, UNKNOWN, "sha256:01")
        self.assertIn('auth.bound = "require" demands', required)
        self.assertIn("TLS is ended in between", required)
        before = policy().explained(failure, PROVEN, "sha256:01")
        self.assertIn("as it did before", before)
        self.assertIn("relaykit forget relay.example:7000", before)

    def test_other_certificate(self) -> None:
        """Another certificate than before is named, for whoever can tell whether it was replaced."""
        failure = BindingFailed(BindingFailure.NOT_PROVEN)
        self.assertIn("sha256:02, is not the one", policy().explained(failure, PROVEN, "sha256:02"))
        self.assertNotIn("is not the one", policy().explained(failure, PROVEN, "sha256:01"))

    def test_impossible(self) -> None:
        """What is missing is named: in the configuration, or of the connection."""
        self.assertIn("needs TLS, version 2", policy("require", tls=False).impossible(""))
        self.assertIn("the connection has TLSv1.2", policy("require").impossible("TLSv1.2"))
        self.assertIn("the connection has no TLS", policy("require").impossible(""))
