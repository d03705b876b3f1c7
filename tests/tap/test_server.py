"""Tests for the daemon of the relay server."""

from __future__ import annotations

from pathlib import Path

from twisted.application.service import IService, IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.server.service import RelayServer
from relaykit.tap.server import Options, makeService


class ServerTests(SynchronousTestCase):
    """Tests for ``twistd relaykit-server``."""

    def test_listed(self) -> None:
        """Twisted finds the daemon, by name, and its options."""
        makers = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
        self.assertIs(makers["relaykit-server"].options, Options)

    def test_made(self) -> None:
        """The service holds a relay server that does not run yet."""
        path = Path(self.mktemp())
        path.write_text('auth.token = "s"\n')
        options = Options()
        options.parseOptions(["-c", str(path)])
        program = makeService(options)
        verifyObject(IService, program)
        (server,) = program
        self.assertIsInstance(server, RelayServer)
        self.assertEqual((server.running, server.port), (0, 0))
