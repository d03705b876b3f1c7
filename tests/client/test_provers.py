from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.authentication import TokenProver
from relaykit.client.provers import make_prover
from relaykit.config.schema.auth import ClientAuth, ClientOidc, TokenFile, TokenSource
from relaykit.oidc.proving import OidcProver
from relaykit.sansio.control.credentials import Scope
from relaykit.values import Secret

SOURCE = TokenSource(type="file", file=TokenFile(path="t"))


class MakeTests(SynchronousTestCase):
    """Tests for the choice by method."""

    def test_methods(self) -> None:
        """Each method has its prover, with the scopes of the file."""
        for auth, kind in (
            (ClientAuth(additional_scopes=("HeartBeats",)), TokenProver),
            (ClientAuth(method="oidc", additional_scopes=("HeartBeats",)), OidcProver),
            (
                ClientAuth(
                    method="oidc", additional_scopes=("HeartBeats",), oidc=ClientOidc(token_source=SOURCE)
                ),
                OidcProver,
            ),
        ):
            prover = make_prover(auth, Secret("t"), Clock(), lambda: 0.0)
            self.assertIsInstance(prover, kind)
            self.assertEqual(prover.scopes, {Scope.LOGIN, Scope.HEARTBEATS})
