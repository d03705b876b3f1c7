"""Looking whether users are served, at real programs whose services and clients come and go."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from typing import Any

from tests.integration.programs import Program, free_port, free_ports, frp_command, missing_frp
from tests.integration.relays import RelayTestCase
from tests.integration.traffic import LOOPBACK

_WEB = """
import http.server, sys
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
server.serve_forever()
"""
"""A web service."""


class ProbesTests(RelayTestCase):
    """Both ends are ours."""

    is_frp = False

    def setUp(self) -> None:
        super().setUp()
        self.web, self.http, self.tcp, self.site = free_ports(4)
        self.start_server({"webServer.port": self.web, "vhostHTTPPort": self.http, "userConnTimeout": 10})

    def ask(self, method: str, target: str) -> tuple[int, dict[str, Any]]:
        """What the server answers."""
        connection = http.client.HTTPConnection(LOOPBACK, self.web, timeout=120)
        connection.request(method, f"/api/relaykit/v1{target}")
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body)

    def probe(self, name: str) -> Mapping[str, Any]:
        """What comes of looking at a proxy."""
        status, told = self.ask("POST", f"/proxies/{name}/probe")
        self.assertEqual(status, 200, told)
        return told

    def publish_both(self, local: int) -> Program:
        """A client with a port and a site that lead to these services."""
        client = self.start_client(
            {},
            [
                {"name": "port", "type": "tcp", "localPort": local, "remotePort": self.tcp},
                {"name": "site", "type": "http", "localPort": self.site, "customDomains": ["a.example"]},
            ],
        )
        client.wait_for("start proxy success", 2)
        return client

    def start_web(self) -> Program:
        """A web service."""
        service = Program((sys.executable, "-c", _WEB, str(self.site)), self.folder)
        self.addCleanup(service.kill)
        self.wait_for_it(lambda: self.site in service.listening_ports())
        return service

    def test_service(self) -> None:
        """A service that is there is found, one that is stopped or gone is not; no look counts as a user."""
        service, web = self.start_service(), self.start_web()
        self.publish_both(service.port)
        self.assertEqual((self.probe("port")["online"], self.probe("port")["reached"]), (True, "service"))
        told = self.probe("site")
        self.assertEqual((told["online"], told["reached"]), (True, "service" if self.is_frp else "answer"))
        if not self.is_frp:
            # It takes connections as before, because the kernel does; and nobody answers.
            web.freeze()
            told = self.probe("site")
            self.assertEqual((told["online"], told["problem"]), (False, "local-service"))
            web.thaw()
        web.kill()
        service.stop()
        for name in ("port", "site"):
            told = self.probe(name)
            self.assertEqual((told["online"], told["reached"]), (False, "client"))
            self.assertEqual(self.ask("GET", f"/proxies/{name}")[1]["probe"], told)
            self.assertEqual(self.ask("GET", f"/proxies/{name}")[1]["connections"], 0)

    def test_client(self) -> None:
        """A client that stands still is found to, while its proxies look as if all were well."""
        service = self.start_service()
        client = self.publish_both(service.port)
        self.assertTrue(self.probe("port")["online"])
        client.freeze()
        told = self.probe("port")
        self.assertEqual((told["online"], told["reached"]), (False, "nobody"))
        self.assertEqual(told["problem"], "no-work-connection")
        self.assertEqual(self.ask("GET", "/proxies/port")[1]["state"], "open")
        client.thaw()
        self.wait_for_it(lambda: bool(self.probe("port")["online"]))


class FrpcProbesTests(ProbesTests):
    """The client is frp's, which knows of no probes."""

    skip = missing_frp()
    is_frp = True
    client_command = frp_command("frpc")


class ProbeRoundsTests(RelayTestCase):
    """A server that looks by itself."""

    def test_rounds(self) -> None:
        """The log tells what was found, and tells it again when it is no longer so."""
        service = self.start_service()
        server = self.start_server({"probeInterval": 1})
        client = self.start_client(
            {}, [{"name": "port", "type": "tcp", "localPort": service.port, "remotePort": free_port()}]
        )
        client.wait_for("start proxy success")
        server.wait_for("[port] users would be served: a probe got to the service")
        service.stop()
        server.wait_for("[port] users would not be served")
