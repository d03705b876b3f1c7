"""Both roles are asked over HTTP, beside frp's programs, which are asked the same."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from tests.certificates.made import DAY, NOW, made
from tests.integration.programs import Program, free_port, free_ports, frp_command, missing_frp
from tests.integration.relays import RelayTestCase, Table
from tests.integration.traffic import LOOPBACK

USER, PASSWORD = "admin", "a password"

_MOMENTARY = {"runID": "RUN", "version": "VERSION", "hostname": "HOST", "key": "KEY"}
_TIMES = re.compile(r"At$|Time$|^date$")


class AdministrationTests(RelayTestCase):
    """Tests for the APIs of running programs."""

    skip = missing_frp()

    def setUp(self) -> None:
        """Reserves a port for the web server of one role."""
        super().setUp()
        self.web = free_port()
        self.table: Table = {
            "webServer.port": self.web,
            "webServer.user": USER,
            "webServer.password": PASSWORD,
        }
        self.http_port = free_port()

    def ask(self, target: str, method: str = "GET", context: ssl.SSLContext | None = None) -> Any:
        """What is answered: the status, and the JSON or the text."""
        connection: http.client.HTTPConnection
        if context is None:
            connection = http.client.HTTPConnection(LOOPBACK, self.web, timeout=60)
        else:
            connection = http.client.HTTPSConnection(LOOPBACK, self.web, timeout=60, context=context)
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        connection.request(method, target, headers={"Authorization": f"Basic {credentials}"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.headers.get_content_type() == "application/json":
            return answer.status, json.loads(body)
        return answer.status, body

    def proxies(self, ports: Sequence[int], local: int) -> list[Table]:
        """Proxies of several types."""
        tcp, udp = ports
        common: Table = {"localPort": local}
        return [
            {
                "name": "ssh",
                "type": "tcp",
                "remotePort": tcp,
                "annotations.a": "1",
                "metadatas.m": "2",
                "transport.useEncryption": True,
                "transport.bandwidthLimit": "1MB",
                **common,
            },
            {"name": "a/b", "type": "udp", "remotePort": udp, **common},
            {
                "name": "web",
                "type": "http",
                "customDomains": ["a.example", "b.example"],
                "locations": ["/x"],
                "httpUser": "u",
                "httpPassword": "p",
                **common,
            },
            {"name": "key", "type": "stcp", "secretKey": "s", **common},
            {"name": "past", "type": "xtcp", "secretKey": "s", **common},
        ]

    def test_server(self) -> None:
        """A server of relaykit tells of a client of frp what frp's server tells of it."""
        ports, service = free_ports(2), self.start_service()
        targets = (
            "/api/serverinfo",
            "/api/clients",
            "/api/clients/ann.c1",
            *(f"/api/proxy/{each}" for each in ("tcp", "udp", "http", "stcp", "xtcp", "https")),
            "/api/proxies/ann.ssh",
            "/api/traffic/ann.ssh",
            "/api/v2/system/info",
            "/api/v2/users",
            "/api/v2/clients?q=ANN",
            "/api/v2/clients/ann.c1",
            "/api/v2/proxies?pageSize=3&page=2",
            "/api/v2/proxies?q=b.example",
            f"/api/v2/proxies/{quote('ann.a/b', safe='')}",
            "/api/v2/proxies/ann.ssh/traffic",
            "/api/v2/proxies/none",
        )

        def ask_all(command: Sequence[str]) -> list[Any]:
            server = self.start_server({**self.table, "vhostHTTPPort": self.http_port}, command)
            client = self.start_client(
                {"user": "ann", "clientID": "c1"},
                self.proxies(ports, service.port),
                command=frp_command("frpc"),
            )
            client.wait_for("start proxy success", 5)
            told = [_lasting(self.ask(each)) for each in targets]
            client.stop()
            self.wait_for_it(lambda: not self.ask("/api/clients/ann.c1")[1]["online"])
            told += [_lasting(self.ask(each)) for each in targets]
            told.append(_lasting(self.ask("/api/v2/system/prune?type=offline_proxies", "POST")))
            told.append(_lasting(self.ask("/api/v2/proxies")))
            server.stop()
            return told

        ours, theirs = ask_all(self.server_command), ask_all(frp_command("frps"))
        names = [*targets, *(f"{each} of a client that is gone" for each in targets), "prune", "pruned"]
        for name, our, their in zip(names, ours, theirs, strict=True):
            self.assertEqual(our, their, name)

    def test_client(self) -> None:
        """A client of relaykit tells of its proxies what frp's client tells of the same."""
        ports, service = free_ports(2), self.start_service()
        self.start_server({"vhostHTTPPort": self.http_port})
        proxies = self.proxies(ports, service.port)
        # This server has no port for it.
        refused = {"name": "no", "type": "https", "localPort": 1, "customDomains": ["c.example"]}

        def ask(command: Sequence[str]) -> Any:
            client = self.start_client({**self.table, "user": "ann"}, [*proxies, refused], command=command)
            client.wait_for("start error")
            client.wait_for("start proxy success", 5)
            told = self.ask("/api/status")
            self.assert_asked(client)
            client.stop()
            return told

        self.assertEqual(ask(self.client_command), ask(frp_command("frpc")))

    def assert_asked(self, client: Program) -> None:
        """What every program answers."""
        self.assertEqual(self.ask("/healthz"), (200, b""))
        self.assertEqual(self.ask("/nope"), (404, b"404 page not found\n"))
        self.assertEqual(self.ask("/api/status", "POST"), (405, b""))

    def test_tls(self) -> None:
        """With a certificate the web server speaks TLS alone."""
        site = made("localhost", ends=NOW + 36_500 * DAY)
        files = {"certFile": self.folder / "web.crt", "keyFile": self.folder / "web.key"}
        files["certFile"].write_bytes(site.pem)
        files["keyFile"].write_bytes(site.key_pem)
        tls = {f"webServer.tls.{key}": str(path) for key, path in files.items()}
        self.start_server({**self.table, **tls})
        context = ssl.create_default_context(cadata=site.pem.decode())
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        status, told = self.ask("/api/serverinfo", context=context)
        self.assertEqual((status, told["bindPort"]), (200, self.bind_port))
        self.assertRaises((http.client.HTTPException, OSError), self.ask, "/api/serverinfo")


def _lasting(told: Any) -> Any:
    """What of an answer is the same in every run."""
    if isinstance(told, (list, tuple)):
        return [_lasting(each) for each in told]
    if not isinstance(told, dict):
        return told
    return {
        key: _MOMENTARY.get(key, "TIME" if _TIMES.search(key) else _lasting(value))
        for key, value in told.items()
    }
