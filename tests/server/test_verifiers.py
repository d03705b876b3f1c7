from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.authentication import TokenVerifier
from relaykit.config.schema.auth import ServerAuth, ServerOidc
from relaykit.oidc.verifying import OidcVerifier
from relaykit.sansio.control.credentials import Scope
from relaykit.server.verifiers import make_verifier
from relaykit.values import Secret


class _Reactor(Clock):
    """Tells what is to be done once it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[Any] = []

    def callWhenRunning(self, call: Any) -> None:
        self.first.append(call)


class MakeTests(SynchronousTestCase):
    """Tests for the choice by method."""

    def test_methods(self) -> None:
        """Each method has its verifier, with the scopes of the file; a provider is asked at the start."""
        oidc = ServerOidc(issuer="https://id.example")
        for auth, kind, asked in (
            (ServerAuth(additional_scopes=("NewWorkConns",)), TokenVerifier, 0),
            (ServerAuth(method="oidc", additional_scopes=("NewWorkConns",), oidc=oidc), OidcVerifier, 1),
        ):
            reactor = _Reactor()
            verifier = make_verifier(auth, Secret("t"), reactor)
            self.assertIsInstance(verifier, kind)
            self.assertEqual(verifier.scopes, {Scope.LOGIN, Scope.WORK_CONNECTIONS})
            self.assertEqual(len(reactor.first), asked)
