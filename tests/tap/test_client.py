"""Tests for the daemon of the client."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from twisted.application.service import IService, IServiceMaker
from twisted.internet import reactor as installed_reactor  # noqa: TID251  # the program's
from twisted.plugin import getPlugins
from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.client.service import RelayClient
from relaykit.tap.client import Options, makeService


class ClientTests(SynchronousTestCase):
    """Tests for ``twistd relaykit-client``."""

    def options(self) -> Options:
        """The options of a command line that is in order."""
        path = Path(self.mktemp())
        path.write_text('auth.token = "s"\n')
        options = Options()
        options.parseOptions(["-c", str(path)])
        return options

    def test_listed(self) -> None:
        """Twisted finds the daemon, by name, and its options."""
        makers = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
        self.assertIs(makers["relaykit-client"].options, Options)

    def test_made(self) -> None:
        """The service holds a client that does not run yet, and that will try to log in for ever."""
        options = self.options()
        self.assertIsNone(options["assembly"].loaded.config.login_fail_exit)
        program = makeService(options)
        verifyObject(IService, program)
        (client,) = program
        self.assertIsInstance(client, RelayClient)
        self.assertFalse(client.running)

    def test_clock(self) -> None:
        """The program's reactor keeps monotonic time."""
        reactor: Any = installed_reactor
        self.patch(reactor, "getDelayedCalls", lambda: [])
        self.patch(reactor, "seconds", runtime.seconds)
        makeService(self.options())
        self.assertEqual(reactor.seconds, time.monotonic)
