"""A client whose proxies are edited while it runs, beside frp's, which is asked the same."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.programs import (
    Program,
    free_port,
    free_ports,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse, dial, receive_exactly
from tests.integration.walkthrough import WalkTestCase, need
from tests.layering import ROOT

USER, PASSWORD = "admin", "a password"
KILLS = 12
MOST_FILE_BYTES = 64 * 1024
"""What a program may write into one file where the disk is full after that."""

_TYPES: Sequence[tuple[str, Table]] = (
    ("tcp", {"localPort": 22, "remotePort": 0, "transport": {"bandwidthLimit": "1MB"}}),
    ("udp", {"localPort": 53, "enabled": False}),
    ("http", {"localPort": 80, "customDomains": ["a.example"], "requestHeaders": {"set": {"x": "<1>"}}}),
    ("https", {"localPort": 443, "subdomain": "s", "annotations": {"a": "b"}}),
    ("tcpmux", {"localPort": 22, "customDomains": ["b.example"], "multiplexer": "httpconnect"}),
    ("stcp", {"localPort": 22, "secretKey": "k", "allowUsers": ["*"]}),
    ("sudp", {"localPort": 53, "secretKey": "k", "metadatas": {"m": "ö"}}),
    ("xtcp", {"localIP": "127.0.0.1", "localPort": 22, "secretKey": "k"}),
)
_VISITORS: Sequence[tuple[str, Table]] = (
    ("stcp", {"serverName": "s", "secretKey": "k", "bindPort": -1, "serverUser": "ann"}),
    ("sudp", {"serverName": "s", "secretKey": "k", "bindPort": 0, "enabled": False}),
    ("xtcp", {"serverName": "s", "secretKey": "k", "bindPort": -1, "keepTunnelOpen": True}),
)


class StoreTestCase(RelayTestCase):
    """A client with a store and a web server."""

    def setUp(self) -> None:
        super().setUp()
        self.web = free_port()
        self.store = self.folder / "store.json"
        self.table: Table = {
            "webServer.port": self.web,
            "webServer.user": USER,
            "webServer.password": PASSWORD,
            "store.path": "store.json",
        }

    def begin(self, command: Sequence[str] = (), proxies: Sequence[Table] = ()) -> Program:
        """Starts the client of a server, and waits until it can be asked."""
        client = self.start_client(
            {"loginFailExit": False, **self.table}, proxies, command=command or relaykit_command("client")
        )
        client.wait_for("the web server listens on" if not command else "admin server listen on")
        return client

    def ask(self, method: str, target: str, value: Any = None) -> tuple[int, Any]:
        """What is answered: the status, and the JSON or the text."""
        connection = http.client.HTTPConnection(LOOPBACK, self.web, timeout=60)
        credentials = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        body = None if value is None else json.dumps(value)
        try:
            connection.request(method, target, body, {"Authorization": f"Basic {credentials}"})
            answer = connection.getresponse()
            told = answer.read()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json" and told
        return answer.status, json.loads(told) if is_json else told

    def kept(self) -> Any:
        """What the file has, its lists in the order of names: frp's have none."""
        lists = json.loads(self.store.read_bytes())
        return {key: sorted(each, key=lambda entry: str(entry["name"])) for key, each in lists.items()}


def tcp(name: str, local: int, remote: int) -> Any:
    """A definition."""
    return {"name": name, "type": "tcp", "tcp": {"localPort": local, "remotePort": remote}}


class EditTests(StoreTestCase):
    """Tests for proxies that come and go."""

    def test_edited(self) -> None:
        """A proxy comes, changes and goes while users of another one stay."""
        self.start_server()
        service = self.start_service()
        stays, first, second = free_ports(3)
        client = self.begin(
            proxies=[{"name": "stays", "type": "tcp", "localPort": service.port, "remotePort": stays}]
        )
        client.wait_for("[stays] start proxy success")
        with dial(stays) as user:
            self.say(user, b"before")
            self.assertEqual(self.ask("POST", "/api/store/proxies", tcp("new", service.port, first))[0], 200)
            client.wait_for("[new] start proxy success")
            converse(first)
            self.assertEqual(
                self.ask("PUT", "/api/store/proxies/new", tcp("new", service.port, second))[0], 200
            )
            client.wait_for("[new] start proxy success", 2)
            converse(second)
            told = self.ask("GET", "/api/status")[1]["tcp"]
            self.assertEqual(
                {each["name"]: each.get("source") for each in told}, {"new": "store", "stays": None}
            )
            self.assertEqual(self.ask("DELETE", "/api/store/proxies/new")[0], 200)
            self.say(user, b"after")
        self.assertEqual([each["name"] for each in self.ask("GET", "/api/status")[1]["tcp"]], ["stays"])

    def say(self, user: socket.socket, what: bytes) -> None:
        """Has an echo answer."""
        user.sendall(what)
        self.assertEqual(receive_exactly(user, len(what)), what)

    def test_foreign(self) -> None:
        """A proxy of a type of another package comes like any other one."""
        environ = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'third_party'}"}
        table: Table = {"bindAddr": LOOPBACK, "bindPort": self.bind_port, "auth.token": TOKEN}
        server = self.start(relaykit_command("server"), table, environ)
        server.wait_for("started successfully")
        client = self.start_client(self.table, command=relaykit_command("client"), environ=environ)
        client.wait_for("login to server success")
        block = {"localPort": 22, "secretKey": "k", "remotePort": free_port()}
        self.assertEqual(
            self.ask("POST", "/api/store/proxies", {"name": "k", "type": "knock", "knock": block})[0], 200
        )
        client.wait_for("[k] start proxy success")
        (told,) = self.ask("GET", "/api/status")[1]["knock"]
        self.assertEqual((told["status"], told["source"]), ("running", "store"))

    def test_damaged(self) -> None:
        """A client with a store that makes no sense does not start, and says where and what to do."""
        self.store.write_text('{"proxies": [{"name": "a"')
        client = self.start_client(self.table, command=relaykit_command("client"))
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn(f"{self.store}: the store is no JSON", client.output)
        self.assertIn("move it away to begin with an empty store", client.output)


class DiskTests(StoreTestCase):
    """Tests for disks that fail, and programs that are killed."""

    def test_full(self) -> None:
        """What does not fit on the disk is refused, and what was kept is there, in memory and in the file."""
        command = (
            "sh",
            "-c",
            f'ulimit -f {MOST_FILE_BYTES // 512}; exec "$@"',
            "sh",
            *relaykit_command("client"),
        )
        client = self.start_client({"loginFailExit": False, **self.table}, command=command)
        client.wait_for("the web server listens on")
        refused = 0
        for number in range(12):
            definition = tcp(f"p{number}", 22, 0)
            definition["tcp"]["metadatas"] = {"m": "x" * 10_000}
            status, told = self.ask("POST", "/api/store/proxies", definition)
            if status != 200:
                self.assertEqual((status, told["Code"]), (500, 500))
                self.assertTrue(told["Msg"].startswith("failed to persist: "), told)
                refused += 1
        names = [each["name"] for each in self.ask("GET", "/api/store/proxies")[1]["proxies"]]
        self.assertEqual((len(names) + refused, len(names) > 3, refused > 3), (12, True, True))
        self.assertEqual([each["name"] for each in self.kept()["proxies"]], names)
        self.assertEqual(
            [path.name for path in self.folder.iterdir() if "store" in path.name], ["store.json"]
        )
        self.assertEqual(self.ask("DELETE", "/api/store/proxies/p0")[0], 200)

    def test_killed(self) -> None:
        """However often a client is killed while it writes, the file is whole, with the old or the new."""
        acknowledged = -1
        for _ in range(KILLS):
            client = self.begin()
            first = acknowledged + 1
            told: list[int] = []
            asking = threading.Thread(target=self.write_many, args=[first, told])
            asking.start()
            client.wait_for("store: ", 3)
            client.kill()
            asking.join(60)
            acknowledged = told[-1]
            (entry,) = self.kept()["proxies"]
            # What was answered is there; one more may be.
            self.assertIn(entry["remotePort"], (acknowledged, acknowledged + 1))
            self.assertEqual(stat.S_IMODE(self.store.stat().st_mode), 0o600)
            acknowledged = entry["remotePort"]
        self.begin()
        self.assertEqual(self.ask("GET", "/api/store/proxies/p")[1]["tcp"]["remotePort"], acknowledged)
        self.assertEqual(self.ask("DELETE", "/api/store/proxies/p")[0], 200)
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith(".store")], [])

    def write_many(self, number: int, told: list[int]) -> None:
        """Changes a definition until nobody answers any more."""
        while True:
            definition = tcp("p", 22, number)
            definition["tcp"]["metadatas"] = {"m": "x" * 50_000}
            method, target = ("PUT", "/p") if number else ("POST", "")
            try:
                status, _ = self.ask(method, f"/api/store/proxies{target}", definition)
            except (OSError, http.client.HTTPException):
                return
            self.assertEqual(status, 200)
            told.append(number)
            number += 1


class InteropTests(StoreTestCase):
    """Tests for stores that frp's client and ours hand over to each other."""

    skip = missing_frp()

    def fill(self) -> list[Any]:
        """Keeps one of each type; answers what is told."""
        told: list[Any] = []
        for list_name, of_types in (("proxies", _TYPES), ("visitors", _VISITORS)):
            for type_name, block in of_types:
                definition = {"name": f"of {type_name}", "type": type_name, type_name: block}
                if list_name == "visitors" and not block["bindPort"]:
                    definition[type_name] = {**block, "bindPort": free_port()}
                told.append(self.ask("POST", f"/api/store/{list_name}", definition))
        return told

    def told(self) -> list[Any]:
        """All that can be asked."""
        asked = [self.ask("GET", f"/api/store/{each}") for each in ("proxies", "visitors")]
        for kind, of_types in (("proxy", _TYPES), ("visitor", _VISITORS)):
            asked += [self.ask("GET", f"/api/{kind}/of%20{each}/config") for each, _ in of_types]
        return asked

    def handed_over(self, *commands: Sequence[str]) -> None:
        """What the one has kept, the other one has, and tells the same of it, and writes the same."""
        self.start_server({"vhostHTTPPort": free_port(), "vhostHTTPSPort": free_port()})
        before, after = commands
        self.begin_added(before)
        self.assertEqual([status for status, _ in self.fill()], [200] * 11)
        told, kept = self.told(), self.kept()
        self.client.stop()
        self.begin_added(after)
        self.assertEqual(self.told(), told)
        another = tcp("another", 22, 0)
        self.assertEqual(self.ask("POST", "/api/store/proxies", another)[0], 200)
        self.assertEqual(self.ask("DELETE", "/api/store/proxies/another")[0], 200)
        self.assertEqual(self.kept(), kept)

    def begin_added(self, command: Sequence[str]) -> None:
        """Starts a client, and waits until it works with what it has; frpc says so after its login."""
        self.client = self.begin(command)
        self.client.wait_for("login to server success")
        if command and self.store.exists():
            self.client.wait_for("visitor added")

    def test_from_frp(self) -> None:
        """Relaykit takes over the store of frpc."""
        self.handed_over(frp_command("frpc"), ())

    def test_to_frp(self) -> None:
        """Frpc takes over the store of relaykit."""
        self.handed_over((), frp_command("frpc"))


class HowtoTests(WalkTestCase):
    """Tests for what the howto shows."""

    def test_walk(self) -> None:
        """Its commands add a proxy, switch it off and delete it."""
        need("curl")
        self.replace("7400", free_port())
        self.replace("relay.example", LOOPBACK)
        client = self.begin(f"relaykit client -c {self.copy('edit/client.toml')}")
        client.wait_for("the web server listens on")
        checked, kept = self.do(self.listing("edit/add.sh")).splitlines()
        self.assertEqual(json.loads(checked), {"problems": [], "warnings": [], "more": 0})
        self.assertEqual(json.loads(kept)["tcp"]["remotePort"], 6000)
        self.assertFalse(json.loads(self.do(self.listing("edit/off.sh")))["tcp"]["enabled"])
        self.assertEqual(self.do(self.listing("edit/delete.sh")), "")
        self.assertEqual(json.loads(Path(self.folder, "store.json").read_bytes()), {})
