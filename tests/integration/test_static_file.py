"""A folder that a client of ours serves, through our server and through frp's."""

from __future__ import annotations

import os
import shutil
import subprocess

import h11
from twisted.trial.unittest import SkipTest

from tests.integration.programs import PATIENCE_S, Program, free_ports, frp_command, missing_frp
from tests.integration.relays import RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, dial
from tests.integration.web import WebUser, basic

HOST = "files.example"

LARGE_BYTES = 64 * 1024 * 1024
"""More than all buffers between a file and a user who reads nothing."""

MOST_GROWN_BYTES = LARGE_BYTES
"""What a client may need for :data:`SLOW_USERS`: a quarter of what they asked for."""

SLOW_USERS = 4


class StaticFileTests(RelayTestCase):
    """Our client with a folder, at our server."""

    client: Program

    def setUp(self) -> None:
        """Makes a folder, and publishes it for everybody and below a prefix with a password."""
        super().setUp()
        self.files = self.folder / "files"
        (self.files / "sub").mkdir(parents=True)
        (self.files / "a.txt").write_text("0123456789" * 20)
        (self.files / "sub" / "c<d.txt").write_text("x")
        (self.folder / "secret.txt").write_text("nobody sees this")
        (self.files / "out.txt").symlink_to(self.folder / "secret.txt")
        (self.files / "large").touch()
        os.truncate(self.files / "large", LARGE_BYTES)
        self.port, self.closed_port = free_ports(2)
        self.start_server()
        plugin = {"plugin.type": "static_file", "plugin.localPath": str(self.files)}
        closed: Table = {
            "plugin.stripPrefix": "pre",
            "plugin.httpUser": "alice",
            "plugin.httpPassword": "hush",
        }
        self.client = self.start_client(
            proxies=[
                {"name": "open", "type": "tcp", "remotePort": self.port, **plugin},
                {"name": "closed", "type": "tcp", "remotePort": self.closed_port, **plugin, **closed},
            ]
        )
        self.client.wait_for("start proxy success", 2)

    def test_listing(self) -> None:
        """What curl shows of a folder names what is in it, but no link that leads out."""
        if (curl := shutil.which("curl")) is None:
            raise SkipTest("curl is not installed")
        page = subprocess.run(
            [curl, "-sSf", f"http://{LOOPBACK}:{self.port}/"],
            capture_output=True,
            check=True,
            text=True,
            timeout=PATIENCE_S,
        ).stdout
        for link in ('href="a.txt"', 'href="sub/"', 'href="large"'):
            self.assertIn(link, page)
        self.assertNotIn("out.txt", page)

    def test_requests(self) -> None:
        """One user gets a file, parts of it, nothing that it has, and nothing from outside."""
        with WebUser.dial(self.port) as user:
            whole = user.ask(HOST, "/a.txt")
            self.assertEqual((whole.status, whole.body), (200, b"0123456789" * 20))
            part = user.ask(HOST, "/a.txt", ("Range", "bytes=-3"))
            self.assertEqual((part.status, part.body), (206, b"789"))
            self.assertEqual(part.get("Content-Range"), "bytes 197-199/200")
            tag = whole.get("ETag") or ""
            self.assertEqual(user.ask(HOST, "/a.txt", ("If-None-Match", tag)).status, 304)
            self.assertEqual(user.ask(HOST, "/a.txt", ("If-Match", '"another"')).status, 412)
            self.assertEqual(user.ask(HOST, "/sub/c%3Cd.txt").body, b"x")
            up = user.ask(HOST, "/sub/%2e%2e%2f%2e%2e%2fsecret.txt")
            self.assertEqual((up.status, up.get("Location")), (301, "/secret.txt"))
            for path in ("/out.txt", "/secret.txt", "/none"):
                self.assertEqual(user.ask(HOST, path).status, 404, path)

    def test_password(self) -> None:
        """Who has the password gets files below the prefix; it is in no log."""
        with WebUser.dial(self.closed_port) as user:
            self.assertEqual(user.ask(HOST, "/pre/a.txt").status, 401)
            self.assertEqual(user.ask(HOST, "/pre/a.txt", basic("alice:wrong")).status, 401)
            self.assertEqual(user.ask(HOST, "/pre/a.txt", basic("alice:hush")).status, 200)
        self.assertNotIn("hush", self.client.output)

    def test_slow(self) -> None:
        """Who reads nothing costs little memory and nobody else's time, and gets all in the end."""
        before = self.client.resident_bytes()
        slow = [self.ask_for_large() for _ in range(SLOW_USERS)]
        with WebUser.dial(self.port) as user:
            self.assertEqual(len(user.ask(HOST, "/large").body), LARGE_BYTES)
        self.assertLess(self.client.peak_resident_bytes() - before, MOST_GROWN_BYTES)
        self.assertEqual(len(slow[0].read_answer().body), LARGE_BYTES)

    def test_changed(self) -> None:
        """Who gets a file that is changed meanwhile is not told that it is whole."""
        user = self.ask_for_large()
        self.assertIsInstance(user.next_event(), h11.Response)
        os.truncate(self.files / "large", LARGE_BYTES // 64)
        with self.assertRaises((h11.RemoteProtocolError, ConnectionError)):
            while not isinstance(user.next_event(), h11.EndOfMessage):
                pass
        self.client.wait_for("is sent in part only")

    def ask_for_large(self) -> WebUser:
        """A user who asked for the large file, and reads nothing yet."""
        connection = dial(self.port)
        self.addCleanup(connection.close)
        user = WebUser(connection)
        user.send(h11.Request(method="GET", target="/large", headers=[("Host", HOST)]), h11.EndOfMessage())
        return user


class FrpServerTests(StaticFileTests):
    """The same at frp's server."""

    server_command = frp_command("frps")

    def setUp(self) -> None:
        """Needs frp."""
        if (missing := missing_frp()) is not None:
            raise SkipTest(missing)
        super().setUp()
