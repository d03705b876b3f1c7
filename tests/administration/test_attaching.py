"""Tests for :mod:`relaykit.administration.attaching`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.internet.testing import MemoryReactorClock

from relaykit.administration.attaching import ClientAdministration, ServerAdministration
from relaykit.administration.own.openapi import PREFIX
from relaykit.administration.steering import Steering
from relaykit.administration.traffic import DailyTraffic
from relaykit.administration.web_server import WebServer
from relaykit.assembly import RoleFiles, read_client, read_server
from relaykit.logs.tail import LogTail
from relaykit.plugins import ProxyTypes
from tests.administration.exchanges import KNOWN, Connection
from tests.config.tables import ConfigurationTestCase

_WEB = 'auth.token = "s"\nwebServer.port = 7400\nwebServer.user = "admin"\nwebServer.password = "pw"\n'


class AttachingTests(ConfigurationTestCase):
    """Tests for what roles get."""

    types = ProxyTypes.installed()

    def files(self, text: str) -> RoleFiles:
        """Files with one configuration."""
        return RoleFiles(config=self.write("role.toml", text), environ={})

    def test_server(self) -> None:
        """A server with a port for it answers by both versions of the API."""
        server = read_server(self.files(_WEB)).make(MemoryReactorClock())
        tail, traffic, web = server.services
        assert isinstance(tail, LogTail) and isinstance(traffic, DailyTraffic) and isinstance(web, WebServer)
        connection = Connection(web.site)
        for target in ("/healthz", "/api/serverinfo", "/api/v2/system/info", "/api/v2/proxies?type=sudp"):
            connection.ask("GET", target, Authorization=KNOWN)
        self.assertEqual([each.status for each in connection.answers()], [200] * 4)

    def test_client(self) -> None:
        """So does a client, with the file that it was made of."""
        tail, web = read_client(self.files(_WEB)).make(MemoryReactorClock()).services
        assert isinstance(tail, LogTail) and isinstance(web, WebServer)
        connection = Connection(web.site)
        for target in ("/api/status", "/api/config"):
            connection.ask("GET", target, Authorization=KNOWN)
        self.assertEqual([each.body.decode() for each in connection.answers()], ["{}\n", _WEB])

    def test_off(self) -> None:
        """Without a port nothing is attached, and nothing of it is imported."""
        for text in ('auth.token = "s"\n', 'auth.token = "s"\nwebServer.addr = "0.0.0.0"\n'):
            self.assertEqual(read_server(self.files(text)).make(MemoryReactorClock()).services, [])
            self.assertEqual(read_client(self.files(text)).make(MemoryReactorClock()).services, [])
        code = (
            "import sys\n"
            "from twisted.internet.testing import MemoryReactorClock\n"
            "from relaykit.assembly import RoleFiles, read_client, read_server\n"
            f"files = RoleFiles(config={self.write('off.toml', '')!r}, environ={{}}, token_file=__file__)\n"
            "for read in (read_server, read_client): read(files).make(MemoryReactorClock())\n"
            "heavy = ('relaykit.administration', 'twisted.web.http')\n"
            "print([name for name in sys.modules if name.startswith(heavy)])\n"
        )
        script = self.write("off.py", code)
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))

    def test_control(self) -> None:
        """Over a control socket there is the same API, without a password, and no page."""
        read: tuple[Any, ...] = (read_server, read_client)
        for make, own in zip(read, ("/api/serverinfo", "/api/status"), strict=True):
            role = make(self.files('auth.token = "s"\n')).make(MemoryReactorClock())
            kind: Any = ServerAdministration if make is read_server else ClientAdministration
            given = (["tcp"],) if make is read_server else ()
            loaded: Any = make(self.files('auth.token = "s"\n')).loaded
            tail = LogTail(lambda: "info", MemoryReactorClock())
            made: Any = kind(role, loaded, *given, MemoryReactorClock(), Steering(), None, tail)
            connection = Connection(made.control_site(None))
            for target in ("/control/status", own, f"{PREFIX}/overview", f"{PREFIX}/log", "/"):
                connection.ask("GET", target)
            self.assertEqual([each.status for each in connection.answers()], [200] * 4 + [404])
