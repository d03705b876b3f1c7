"""What Prometheus and orchestrators read of running programs, beside what frp's server has for them."""

from __future__ import annotations

import http.client
import re
from collections.abc import Sequence
from typing import Any

from tests.administration.metrics.texts import Samples, key, only, read
from tests.integration.programs import (
    PATIENCE_S,
    free_port,
    free_ports,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import RelayTestCase, Table, Way
from tests.integration.traffic import LOOPBACK, converse


class MetricsTestCase(RelayTestCase):
    """Has a web server without a password, for this machine."""

    def setUp(self) -> None:
        super().setUp()
        self.web = free_port()
        self.table: Table = {"webServer.port": self.web, "enablePrometheus": True}

    def ask(self, target: str) -> tuple[int, bytes]:
        """The status and the body that are answered."""
        connection = http.client.HTTPConnection(LOOPBACK, self.web, timeout=PATIENCE_S)
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def scrape(self) -> Samples:
        """What is told."""
        status, body = self.ask("/metrics")
        self.assertEqual(status, 200, body)
        return read(body)

    def proxies(self, ports: Sequence[int], local: int) -> list[Table]:
        """One that is used, and one that is not."""
        return [
            {"name": name, "type": "tcp", "localPort": local, "remotePort": port}
            for name, port in zip(("used", "idle"), ports, strict=True)
        ]


class FrpMetricsTests(MetricsTestCase):
    """Beside frp's server."""

    skip = missing_frp()

    def test_same(self) -> None:
        """All that frp's server has for Prometheus is there, by the same names, with the same values."""
        ports, service = free_ports(2), self.start_service()

        def told_by(command: Sequence[str]) -> tuple[dict[Any, float], set[bytes]]:
            server = self.start_server(self.table, command)
            client = self.start_client(
                {"user": "ann"}, self.proxies(ports, service.port), command=frp_command("frpc")
            )
            client.wait_for("start proxy success", 2)
            converse(ports[0])
            # The parser calls every counter so.
            moved = key("frp_server_traffic_out_total", name="ann.used", type="tcp")
            users = key("frp_server_connection_counts", name="ann.used", type="tcp")
            # frp counts a user's bytes when it is gone.
            self.wait_for_it(lambda: self.scrape().get(moved, 0) > 0 and not self.scrape()[users])
            _, text = self.ask("/metrics")
            client.stop()
            server.stop()
            samples = {name: value for name, value in read(text).items() if name[0].startswith("frp_")}
            return samples, set(re.findall(rb"^# (?:HELP|TYPE) frp_.*$", text, re.MULTILINE))

        (theirs, their_heads), (ours, our_heads) = map(
            told_by, (frp_command("frps"), relaykit_command("server"))
        )
        self.assertEqual({name: ours.get(name) for name in theirs}, theirs)
        self.assertEqual(our_heads, their_heads)


class OwnMetricsTests(MetricsTestCase):
    """What relaykit has."""

    def test_server(self) -> None:
        """A server tells of its clients, and of how their users fare."""
        ports, service = free_ports(2), self.start_service()
        self.start_server(self.table)
        self.assertEqual(self.ask("/readyz"), (200, b"ready\n"))
        self.assertEqual(self.ask("/healthz"), (200, b""))
        self.start_client({}, self.proxies(ports, service.port)).wait_for("start proxy success", 2)
        converse(ports[0])
        self.wait_for_it(lambda: only(self.scrape(), "relaykit_user_seconds_count") == 1)
        samples = self.scrape()
        self.assertEqual(only(samples, "relaykit_clients"), 1)
        self.assertEqual(only(samples, "relaykit_work_connection_wait_seconds_count"), 1)
        self.assertGreater(only(samples, "process_resident_memory_bytes"), 1e6)

    def test_carriers(self) -> None:
        """Bytes are told by what the client came by; within TLS, both kinds of WebSocket are one."""
        service = self.start_service()
        for carrier in ("tcp", "websocket", "wss", "quic", "kcp"):
            with self.subTest(carrier=carrier):
                way = Way("auto", tls=carrier != "wss", mux=True, carrier=carrier)
                server = self.start_server({**self.table, **way.server(self.bind_port)})
                (port,) = free_ports(1)
                client = self.start_client(way.client, self.proxies([port, free_port()], service.port))
                client.wait_for("start proxy success", 2)
                converse(port)
                seen = "websocket" if carrier == "wss" else carrier
                moved = key("relaykit_carrier_bytes_total", carrier=seen, direction="out")
                self.wait_for_it(lambda moved=moved: self.scrape().get(moved, 0) > 0)  # type: ignore[misc]
                client.stop()
                server.stop()

    def test_client(self) -> None:
        """A client tells of its session, and is not ready without one, nor with a proxy that is refused."""
        ports, service = free_ports(2), self.start_service()
        server = self.start_server({"allowPorts": [{"single": ports[0]}]})
        client = self.start_client(self.table, self.proxies(ports, service.port))
        client.wait_for("start proxy success")
        self.wait_for_it(lambda: self.ask("/readyz") == (503, b"1 of 2 proxies are not up\n"))
        converse(ports[0])
        samples = self.scrape()
        self.assertEqual(only(samples, "relaykit_client_connected"), 1)
        self.assertEqual(samples[key("relaykit_client_proxies", state="running")], 1)
        self.assertEqual(samples[key("relaykit_client_proxies", state="refused")], 1)
        server.stop()
        self.wait_for_it(lambda: self.ask("/readyz")[1].startswith(b"there is no session with the server\n"))
        self.start_server()
        self.wait_for_it(lambda: self.ask("/readyz") == (200, b"ready\n"))

    def test_secret(self) -> None:
        """Who does not know the password is told whether it is ready, and no figures."""
        self.start_server({**self.table, "webServer.user": "u", "webServer.password": "p"})
        self.assertEqual(self.ask("/metrics")[0], 401)
        self.assertEqual(self.ask("/readyz")[0], 200)

    def test_off(self) -> None:
        """Without ``enablePrometheus`` there is nothing."""
        self.start_server({**self.table, "enablePrometheus": False})
        self.assertEqual(self.ask("/metrics")[0], 404)
