"""Tests for :mod:`relaykit.administration.store`."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs

from relaykit import blocking
from relaykit.administration import store as store_module
from relaykit.administration.store import MOST_DEFINITIONS, WRITE_S
from relaykit.administration.web_server import WebServer
from relaykit.assembly import RoleFiles, read_client
from relaykit.client.service import RelayClient
from relaykit.config.problems import ConfigurationProblems
from relaykit.errors import PluginError
from relaykit.plugins import ProxyTypes
from tests.administration.exchanges import KNOWN, Connection, Told
from tests.administration.recorded import Case, comparable, load
from tests.config.tables import ConfigurationTestCase

_WEB = 'webServer.port = 7400\nwebServer.user = "admin"\nwebServer.password = "pw"\n'
_CLIENT = f'auth.token = "s"\n{_WEB}store.path = "kept/store.json"\n'
_FILE = '[[proxies]]\nname = "ssh"\ntype = "tcp"\nlocalPort = 22\nremotePort = 6000\n'

_DETAILS = ("parse JSON error: ", "invalid argument: validation error: ")
_OWN_WORDS = (
    "store post unknown plugin",
    "store post http without domain",
    "store post bad limit",
    "visitor invalid",
)
"""Cases that are refused in words of relaykit's own, which name the key, after frp's."""

_OTHERWISE = {"store post invalid": "a number out of range is refused like one that is no number"}


def in_place(reactor: object, function: Any) -> Deferred[Any]:
    """What a thread does, at once."""
    return maybeDeferred(function)


def tcp(name: str, **keys: Any) -> dict[str, Any]:
    """A definition."""
    return {"name": name, "type": "tcp", "tcp": {"localPort": 22, **keys}}


_KEYS = st.sampled_from(["name", "type", "tcp", "stcp"])
_ODD: list[Any] = ["a", "tcp", {}, {"localPort": 1}, {"localPort": 1e999}, None, []]
_ODD += [{"secretKey": "\x00"}, {"metadatas": {"": None}}]
_OBJECTS = st.dictionaries(_KEYS, st.sampled_from(_ODD)).map(lambda each: json.dumps(each).encode())


class StoreTestCase(ConfigurationTestCase):
    """A client with a store, asked over its web server."""

    types = ProxyTypes.installed()

    def setUp(self) -> None:
        super().setUp()
        self.patch(blocking, "call_in_thread", in_place)
        self.path = Path(self.directory, "kept", "store.json")
        self.start(_CLIENT + _FILE)

    def start(self, text: str) -> None:
        """Starts a client with this file."""
        self.reactor = MemoryReactorClock()
        self.client_: RelayClient = read_client(
            RoleFiles(config=self.write("frpc.toml", text), environ={})
        ).make(self.reactor)
        (web,) = (each for each in self.client_.services if isinstance(each, WebServer))
        self.site = web.site

    def begin(self, method: str, target: str, body: Any = None, **headers: str) -> Connection:
        """Asks it."""
        connection = Connection(self.site)
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        connection.ask(method, f"/api/store/{target}", sent, **{"Authorization": KNOWN, **headers})
        return connection

    def ask(self, method: str, target: str, body: Any = None) -> Told:
        """What it answers."""
        (answer,) = self.begin(method, target, body).answers()
        return answer

    def started(self) -> dict[str, str]:
        """What the client works with, and where that comes from."""
        return {each.common.name: each.source.value for each in self.client_.proxies}


class RecordedTests(StoreTestCase):
    """The recorded calls of frp's store get the same answers here."""

    maxDiff = None

    def test_answers(self) -> None:
        """Each call gets frp's answer; the details of a refusal are in other words."""
        header, cases = load("api-frpc")
        text = header["clients"][0]
        plugin = text[text.index('[[proxies]]\nname = "plug"') : text.index("[[visitors]]")]
        text = text.replace(plugin, "").replace("DIR", self.directory)
        self.start('auth.token = ""\n' + text)
        asked = [case for case in cases if self.is_of_store(case)]
        self.assertGreater(len(asked), 70)
        for case in asked:
            connection = Connection(self.site)
            connection.send(case.sent)
            (answer,) = connection.answers()
            self.assertEqual(self.told(answer, case), self.told(case.answer, case), case.name)

    def is_of_store(self, case: Case) -> bool:
        """Whether a case asks for what this shows."""
        target = case.sent.split(b" ")[1]
        return target.startswith((b"/api/store", b"/api/proxy/", b"/api/visitor/")) and (
            case.name not in _OTHERWISE
        )

    def told(self, answer: Told, case: Case) -> Any:
        """What of an answer is compared."""
        status, headers, body = comparable(answer)
        if case.name in _OWN_WORDS:
            text = body["Msg"]
            body = next(each for each in _DETAILS if text.startswith(each))
        return status, headers, body


class StoreTests(StoreTestCase):
    """Tests for what is kept beside the files."""

    def test_create(self) -> None:
        """What is kept is started, and in its file, which is the owner's alone."""
        self.assertEqual(self.ask("POST", "proxies", tcp("a", remotePort=1)).status, 200)
        self.assertEqual(self.started(), {"ssh": "file", "a": "store"})
        (kept,) = json.loads(self.path.read_bytes())["proxies"]
        self.assertEqual((kept["name"], kept["remotePort"]), ("a", 1))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.path.parent), ["store.json"])

    def test_restart(self) -> None:
        """It is there after a restart."""
        self.ask("POST", "proxies", tcp("a"))
        self.ask(
            "POST",
            "visitors",
            {"name": "v", "type": "stcp", "stcp": {"serverName": "s", "secretKey": "k", "bindPort": 9}},
        )
        before = self.ask("GET", "visitors").json
        self.start(_CLIENT)
        self.assertEqual(self.started(), {"a": "store"})
        self.assertEqual(self.ask("GET", "visitors").json, before)

    def test_off_and_on(self) -> None:
        """One that is switched off is kept, and started again once it is switched on."""
        self.ask("POST", "proxies", tcp("ssh", enabled=False))
        self.assertEqual(self.started(), {"ssh": "file"})
        self.ask("PUT", "proxies/ssh", tcp("ssh"))
        self.assertEqual(self.started(), {"ssh": "store"})
        self.ask("PUT", "proxies/ssh", tcp("ssh", enabled=False))
        self.assertEqual(self.started(), {"ssh": "file"})
        self.assertFalse(self.ask("GET", "proxies/ssh").json["tcp"]["enabled"])
        self.assertEqual(self.ask("DELETE", "proxies/ssh").status, 200)
        self.assertEqual(self.path.read_bytes(), b"{}")

    def test_foreign(self) -> None:
        """Types of other packages can be kept like the built-in ones."""
        knock = {"name": "k", "type": "knock", "knock": {"secretKey": "s", "openSeconds": 5}}
        told = self.ask("POST", "proxies", knock).json
        self.assertEqual((told["knock"]["openSeconds"], told["knock"]["type"]), (5, "knock"))
        self.assertEqual(self.started(), {"ssh": "file", "k": "store"})

    def test_two_programs(self) -> None:
        """What another program has written is not overwritten; nothing changes then, and it is said."""
        self.ask("POST", "proxies", tcp("a"))
        former = self.client_
        self.start(_CLIENT + _FILE)
        self.assertEqual(self.ask("POST", "proxies", tcp("b")).status, 200)
        kept = self.path.read_bytes()
        self.client_ = former
        (web,) = (each for each in former.services if isinstance(each, WebServer))
        self.site = web.site
        for method, path, body in (("POST", "proxies", tcp("c")), ("DELETE", "proxies/a", None)):
            answer = self.ask(method, path, body)
            self.assertEqual(answer.status, 500)
            self.assertIn("another program has changed it", answer.json["Msg"])
        self.assertEqual(self.path.read_bytes(), kept)
        self.assertEqual(self.started(), {"ssh": "file", "a": "store"})
        self.path.unlink()
        self.assertEqual(self.ask("POST", "proxies", tcp("c")).status, 200)

    def test_off(self) -> None:
        """Without a path there is no such thing."""
        self.start(f'auth.token = "s"\n{_WEB}')
        answer = self.ask("GET", "proxies")
        self.assertEqual((answer.status, answer.body), (404, b"404 page not found\n"))

    def test_guards(self) -> None:
        """Pages of other servers change nothing; without a password nobody sees or changes anything."""
        (answer,) = self.begin("POST", "proxies", tcp("a"), Origin="http://evil.example").answers()
        self.assertEqual(answer.status, 403)
        self.start('auth.token = "s"\nwebServer.port = 7400\nstore.path = "store.json"\n')
        for method, target in (("GET", "proxies"), ("GET", "visitors/a"), ("POST", "proxies")):
            self.assertEqual(self.ask(method, target, tcp("a")).status, 403)

    def test_secrets(self) -> None:
        """Secrets are in the file and in answers, and in no log."""
        with capturedLogs() as captured:
            self.ask("POST", "proxies", {"name": "a", "type": "stcp", "stcp": {"secretKey": "hush-hush"}})
            self.ask(
                "POST",
                "proxies",
                {"name": "b", "type": "stcp", "stcp": {"secretKey": "hush-hush ", "localPort": "x"}},
            )
            self.ask("DELETE", "proxies/a")
        self.assertNotIn("hush", repr(captured))
        self.assertEqual(
            [each["what"] for each in captured if each["log_format"].startswith("store:")],
            ["created", "deleted"],
        )

    def test_full(self) -> None:
        """No more are kept than are bounded."""
        self.patch(store_module, "MOST_DEFINITIONS", 2)
        statuses = [self.ask("POST", "proxies", tcp(name)).status for name in "abc"]
        self.assertEqual(statuses, [200, 200, 400])
        self.assertEqual(self.ask("PUT", "proxies/a", tcp("a", remotePort=5)).status, 200)
        self.assertGreater(MOST_DEFINITIONS, 1000)

    def test_too_large(self) -> None:
        """Nor more bytes than are read at the next start."""
        self.patch(store_module, "MOST_BYTES", 500)
        self.assertEqual(self.ask("POST", "proxies", tcp("a")).status, 200)
        answer = self.ask("POST", "proxies", tcp("b"))
        self.assertEqual(answer.status, 500)
        self.assertIn("failed to persist: ", answer.json["Msg"])
        self.assertEqual(self.started(), {"ssh": "file", "a": "store"})

    def test_not_written(self) -> None:
        """What cannot be written changes nothing, and is told."""
        self.ask("POST", "proxies", tcp("a"))
        before = self.path.read_bytes()

        def fail(path: Path, content: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        self.patch(store_module, "replace_file", fail)
        captured = self.enterContext(capturedLogs())
        for method, target, body in (
            ("POST", "proxies", tcp("b")),
            ("PUT", "proxies/a", tcp("a", remotePort=5)),
            ("DELETE", "proxies/a", None),
        ):
            answer = self.ask(method, target, body)
            self.assertEqual(
                (answer.status, answer.json["Msg"]),
                (500, f"failed to persist: {self.path}: no space left on device"),
            )
        self.assertEqual((self.started(), self.path.read_bytes()), ({"ssh": "file", "a": "store"}, before))
        self.assertEqual([each["problem"] for each in captured], ["store-file"] * 3)

    def test_folder(self) -> None:
        """So it is where the folder is none."""
        self.write("kept", "a file")
        answer = self.ask("POST", "proxies", tcp("a"))
        self.assertEqual(answer.status, 500)
        self.assertTrue(answer.json["Msg"].startswith("failed to persist: "))
        self.assertEqual(self.started(), {"ssh": "file"})

    def test_slow_disk(self) -> None:
        """A disk that does not answer is given up, and what it may still write does not count here."""
        self.patch(blocking, "call_in_thread", lambda reactor, function: Deferred())
        connection = self.begin("POST", "proxies", tcp("a"))
        self.assertEqual(connection.answers(), [])
        self.reactor.advance(WRITE_S)
        (answer,) = connection.answers()
        self.assertEqual(answer.status, 500)
        self.assertEqual(self.started(), {"ssh": "file"})

    def test_not_applied(self) -> None:
        """What the client cannot go on with is not kept either."""

        def fail(proxies: object, visitors: object) -> None:
            raise PluginError("a type is broken")

        self.patch(self.client_, "update", fail)
        answer = self.ask("POST", "proxies", tcp("a"))
        self.assertEqual(
            (answer.status, answer.json["Msg"]),
            (500, "apply config failed: failed to apply config: a type is broken"),
        )
        self.assertEqual((self.ask("GET", "proxies").json, self.path.read_bytes()), ({"proxies": []}, b"{}"))

    def reload(self) -> None:
        """Has the client's files read again."""
        config = str(Path(self.directory, "frpc.toml"))
        read = read_client(RoleFiles(config=config, environ={}))
        self.successResultOf(self.client_.reload(read.loaded, read.token))

    def test_reload(self) -> None:
        """Files that are read again change nothing that is kept, also where it was changed meanwhile."""
        self.ask("POST", "proxies", tcp("a"))
        config = str(Path(self.directory, "frpc.toml"))
        read = read_client(RoleFiles(config=config, environ={}))
        self.ask("POST", "proxies", tcp("b"))
        self.successResultOf(self.client_.reload(read.loaded, read.token))
        self.assertEqual(self.started(), {"ssh": "file", "a": "store", "b": "store"})
        self.reload()
        self.assertEqual(self.started(), {"ssh": "file", "a": "store", "b": "store"})
        self.assertEqual(self.ask("DELETE", "proxies/a").status, 200)

    def test_reload_after_others(self) -> None:
        """What another program has written counts from then on, and can be changed."""
        self.ask("POST", "proxies", tcp("a"))
        theirs = self.path.with_name("theirs")
        theirs.write_text('{"proxies": [{"name": "b", "type": "tcp", "localPort": 1}]}')
        theirs.replace(self.path)
        self.assertEqual(self.ask("POST", "proxies", tcp("c")).status, 500)
        self.reload()
        self.assertEqual(self.started(), {"ssh": "file", "b": "store"})
        self.assertEqual(self.ask("POST", "proxies", tcp("c")).status, 200)
        self.assertEqual(self.started(), {"ssh": "file", "b": "store", "c": "store"})
        self.assertEqual(sorted(json.loads(self.path.read_bytes())), ["proxies"])

    def test_reload_of_nonsense(self) -> None:
        """A file that makes no sense changes nothing, nor does one that is gone."""
        self.ask("POST", "proxies", tcp("a"))
        self.path.unlink()
        self.reload()
        self.assertEqual(self.started(), {"ssh": "file", "a": "store"})
        self.path.write_text("[")
        self.assertRaises(ConfigurationProblems, self.reload)
        self.assertEqual(self.started(), {"ssh": "file", "a": "store"})

    def test_link(self) -> None:
        """What a link leads to is written, not the link."""
        self.path.parent.mkdir()
        real = Path(self.directory, "real.json")
        self.path.symlink_to(real)
        self.ask("POST", "proxies", tcp("a"))
        self.assertTrue(self.path.is_symlink())
        self.assertIn(b'"a"', real.read_bytes())

    def test_names(self) -> None:
        """A name may have any characters; what has a slash can be kept, and not be asked for by name."""
        for name in ("a b", "ä/ö", 'q"\\', "a\u2028b", "x\x1b[31m"):
            self.assertEqual(self.ask("POST", "proxies", tcp(name)).status, 200, name)
        self.start(_CLIENT)
        self.assertEqual(len(self.started()), 5)
        self.assertEqual(self.ask("POST", "proxies", b'{"name":"\\ud800","type":"tcp","tcp":{}}').status, 400)

    @given(st.binary(max_size=100) | _OBJECTS)
    def test_junk(self, body: bytes) -> None:
        """Whatever is sent, the file can be read at the next start."""
        self.assertIn(self.ask("POST", "proxies", body or b" ").status, (200, 400, 409))
        self.ask("DELETE", "proxies/a")
        if self.path.exists():
            read_client(RoleFiles(config=str(Path(self.directory, "frpc.toml")), environ={}))
