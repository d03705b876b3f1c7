"""Tests for the paths of a daemon's configuration."""

from __future__ import annotations

import os

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport, ServerConfig
from relaykit.tap.paths import with_absolute_paths


class WithAbsolutePathsTests(SynchronousTestCase):
    """Tests for :func:`with_absolute_paths`."""

    def test_named(self) -> None:
        """Relative paths are those of the current folder; what is not named stays so."""
        tls = ClientTls(cert_file="a.crt", key_file="/k/a.key")
        config = ClientConfig(user="me", transport=ClientTransport(tls=tls))
        settled = with_absolute_paths(config)
        self.assertEqual(
            settled.transport.tls,
            msgspec.structs.replace(tls, cert_file=os.path.join(os.getcwd(), "a.crt")),
        )
        self.assertEqual(settled.user, "me")

    def test_nothing_named(self) -> None:
        """A configuration without files is as it was."""
        self.assertEqual(with_absolute_paths(ServerConfig()), ServerConfig())
