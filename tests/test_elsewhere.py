"""relaykit is a client on every system that Python runs on: nothing that only Linux has is needed.

What other systems do not have is hidden from an interpreter (:mod:`tests.elsewhere`); a whole client that
moves bytes there is in ``tests/integration``.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.commands.terminal import run_python
from tests.layering import ROOT, modules

BEFORE = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT)!r})
from twisted.internet import selectreactor
selectreactor.install()
from tests.elsewhere import hide, import_libraries
import_libraries()
hide()
"""

IMPORTS = """
for name in {names!r}:
    try:
        importlib.import_module(name)
    except Exception as error:
        print(name, repr(error))
"""

SERVICES = """
from twisted.internet import reactor
from relaykit.client.service import RelayClient
from relaykit.config.load import client_from_table, server_from_table
from relaykit.dataplane.plane import make_data_plane
from relaykit.dataplane.poller import make_poller
from relaykit.plugins import ProxyTypes
from relaykit.server.service import RelayServer
from relaykit.values import Secret

types = ProxyTypes.installed()
secret = {"type": "stcp", "secretKey": "s"}
proxies = [{"name": "a", "type": "tcp", "localPort": 1}, {"name": "b", "localPort": 1, **secret}]
visitor = {"name": "v", "serverName": "b", "bindPort": 1, **secret}
client = client_from_table({"proxies": proxies, "visitors": [visitor]}, types=types, environ={})
RelayClient(client, Secret("t"), types, reactor)
server = server_from_table({"auth": {"token": "t"}}, types=types)
RelayServer(server.config, Secret("t"), types, reactor)
print(len(make_data_plane(make_poller(reactor))._forwarders))
"""


class ElsewhereTests(SynchronousTestCase):
    """Tests in an interpreter that has nothing of Linux."""

    def test_imports(self) -> None:
        """Every module can be imported."""
        names = [
            ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            for path in modules()
            if path.name != "__main__.py"
        ]
        self.assertGreater(len(names), 100)
        self.assertEqual(run_python(BEFORE + IMPORTS.format(names=names)), [])

    def test_services(self) -> None:
        """Both roles can be made, with the forwarders and the reactor that every system has."""
        self.assertEqual(run_python(BEFORE + SERVICES), ["1"])
