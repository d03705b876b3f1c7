"""The log of users of a real server: its lines, reloads, a disk that is full, and filters that ban by it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from relaykit.logs.access import ACCESS_FORMS, AccessEntry
from relaykit.values import Address
from tests.docs.test_pages import DOCS
from tests.integration.programs import PATIENCE_S, Program, free_port
from tests.integration.relays import TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse, dial

_SAID = 40 * len("user 000000 of port 00000\n")
"""Bytes that one user says and hears."""

_AGAIN_S = 0.1
"""Seconds until it is looked again."""

_GROK = {
    "TIMESTAMP_ISO8601": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d)",
    "IP": r"[0-9a-fA-F.:]+",
    "INT": r"[+-]?\d+",
    "NUMBER": r"[+-]?\d+(?:\.\d+)?",
    "NOTSPACE": r"\S+",
}
"""What these patterns are, in the main."""


def listing(name: str) -> Path:
    """What the howto shows."""
    return DOCS / "listings" / name


def mentioned(name: str) -> str:
    """The text of a listing."""
    return listing(name).read_text("utf-8")


class AccessLogTests(RelayTestCase):
    """Tests for lines about users."""

    def setUp(self) -> None:
        """Reserves ports."""
        super().setUp()
        self.access = self.folder / "access.log"
        self.user_port = free_port()

    def configuration(self, **log: Any) -> Table:
        """A server with a log of users."""
        return {
            "bindAddr": LOOPBACK,
            "bindPort": self.bind_port,
            "auth.token": TOKEN,
            "log": {"access": str(self.access), "level": "info", **log},
        }

    def begin(self) -> tuple[Program, str]:
        """A server and a client with two proxies; answers the server and its file."""
        path = self.write_configuration(self.configuration())
        server = self.start_file(self.server_command, path)
        server.wait_for("started successfully")
        service, unserved = self.start_service(), free_port()
        client = self.start_client(
            {"user": "ann", "clientID": "c1"},
            [
                {"name": "web", "type": "tcp", "localPort": service.port, "remotePort": self.user_port},
                {"name": "key", "type": "stcp", "localPort": unserved, "secretKey": "right"},
            ],
        )
        client.wait_for("start proxy success", 2)
        return server, path

    def rewrite(self, path: str, **log: Any) -> None:
        """Changes the file of the server."""
        told = json.loads(Path(path).read_text())
        told["log"] = {**told["log"], **log}
        Path(path).write_text(json.dumps(told))

    def wait_lines(self, path: Path, count: int) -> list[str]:
        """The lines of a file, once there are so many."""

        def lines() -> list[str]:
            return path.read_text().splitlines() if path.exists() else []

        self.wait_until(lambda: len(lines()) >= count, f"{path} has {count} lines")
        return lines()

    def wait_until(self, reached: Callable[[], bool], what: str) -> None:
        """Looks again and again."""
        deadline = time.monotonic() + PATIENCE_S
        while not reached():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(_AGAIN_S)

    def test_users(self) -> None:
        """Each user has a line, also who is cut when the server ends; a refused visitor has one, too."""
        server, _ = self.begin()
        converse(self.user_port, 2)
        (line, _) = self.wait_lines(self.access, 2)
        self.assertRegex(
            line,
            rf'^\S+ address={re.escape(LOOPBACK)} port=\d+ proxy="ann\.web" client="ann\.c1" '
            rf"bytes_in={_SAID} bytes_out={_SAID} seconds=\d+\.\d{{3}} reason=finished$",
        )
        visitor = free_port()
        self.start_client(
            {"user": "bob"},
            visitors=[
                {
                    "name": "v",
                    "type": "stcp",
                    "serverUser": "ann",
                    "serverName": "key",
                    "secretKey": "wrong",
                    "bindPort": visitor,
                }
            ],
        ).wait_for("start visitor success")
        with dial(visitor):
            refused = self.wait_lines(self.access, 3)[2]
        self.assertRegex(refused, r'proxy="ann\.key" client="" bytes_in=0 .* reason=refused$')
        with dial(self.user_port) as user:
            user.sendall(b"still here")
            self.assertEqual(user.recv(10), b"still here")
            server.stop()
        cut = self.wait_lines(self.access, 4)[3]
        self.assertIn("bytes_in=10 bytes_out=10", cut)
        self.assertEqual(self.access.stat().st_mode & 0o777, 0o600)

    def test_reloaded(self) -> None:
        """A reload sends the lines elsewhere, in another form, or ends them; users notice nothing."""
        server, path = self.begin()
        with dial(self.user_port) as user:
            converse(self.user_port)
            self.wait_lines(self.access, 1)
            other = self.folder / "other.log"
            self.rewrite(path, access=str(other), format="json")
            server.signal(signal.SIGHUP)
            server.wait_for("the configuration was read again")
            converse(self.user_port)
            told = json.loads(self.wait_lines(other, 1)[0])
            self.assertEqual(
                (told["proxy"], told["bytes_in"], told["reason"]), ("ann.web", _SAID, "finished")
            )
            self.rewrite(path, access="")
            server.signal(signal.SIGHUP)
            server.wait_for("the configuration was read again", 2)
            converse(self.user_port)
            user.sendall(b"x")
            self.assertEqual(user.recv(1), b"x")
        server.stop()
        self.assertEqual(
            (len(self.access.read_text().splitlines()), len(other.read_text().splitlines())), (1, 1)
        )

    def test_moved(self) -> None:
        """A file that was moved away is begun anew without being asked for."""
        self.begin()
        converse(self.user_port)
        self.wait_lines(self.access, 1)
        self.access.rename(self.folder / "moved.log")
        converse(self.user_port)
        self.wait_lines(self.access, 1)

    def test_full(self) -> None:
        """A disk that is full costs lines, which is said, and no user."""
        server, path = self.begin()
        self.rewrite(path, access="/dev/full")
        server.signal(signal.SIGHUP)
        server.wait_for("the configuration was read again")
        converse(self.user_port, 20)
        server.wait_for("the access log /dev/full cannot be written")
        converse(self.user_port, 20)
        self.assertEqual(server.output.count("cannot be written"), 1)


class HowtoTests(RelayTestCase):
    """Tests for what the howto has."""

    def banned(self, log: Path, name: str) -> str:
        """What fail2ban finds by a filter."""
        program = shutil.which("fail2ban-regex")
        if program is None:
            raise SkipTest("there is no fail2ban-regex")
        done = subprocess.run(
            [program, "-v", str(log), name], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return done.stdout

    def lines(self) -> list[str]:
        """Lines about users, one of whom has a name that looks like a field."""
        names = ("web", 'x" client="y" bytes_in=1 bytes_out=1 seconds=1.000 reason=refused')
        return [
            ACCESS_FORMS["text"](
                AccessEntry(
                    time=time.time(),
                    address=Address(host, 40000),
                    proxy=name,
                    client="c",
                    bytes_in=0,
                    bytes_out=0,
                    seconds=0.0,
                    reason=reason,
                )
            )
            for name in names
            for host, reason in (
                ("203.0.113.9", "refused"),
                ("2001:db8::1", "refused"),
                ("192.0.2.1", "timeout"),
            )
        ]

    def test_line(self) -> None:
        """The line that is shown has the form of a line."""
        form = re.compile(r"\d+")
        entry = AccessEntry(
            time=1_796_091_011.123,
            address=Address("203.0.113.9", 40000),
            proxy="ann.ssh",
            client="ann.desk",
            bytes_in=1204,
            bytes_out=90210,
            seconds=12.345,
            reason="finished",
        )
        told = ACCESS_FORMS["text"](entry)
        self.assertEqual(
            form.sub("0", mentioned("access/line.txt")).replace("-0:0", "+0:0"),
            form.sub("0", told).replace("-0:0", "+0:0"),
        )

    def test_filter(self) -> None:
        """fail2ban finds who was refused, or everybody, and nobody for a name that looks like a field."""
        log = self.folder / "access.log"
        log.write_text("".join(self.lines()))
        mentioned("access/jail.conf")
        found = self.banned(log, str(listing("access/filter.conf")))
        self.assertIn("4 matched, 2 missed", found)
        for host, times in (("203.0.113.9", 2), ("2001:db8::1", 2), ("192.0.2.1", 0)):
            self.assertEqual((host, found.count(f"|      {host} ")), (host, times))
        self.assertIn("6 matched", self.banned(log, f"{listing('access/filter.conf')}[mode=each]"))

    def test_filter_of_logins(self) -> None:
        """fail2ban finds a client with a wrong token in the log of a server."""
        log = self.folder / "server.log"
        table = {"bindAddr": LOOPBACK, "bindPort": self.bind_port, "auth.token": TOKEN, "log.to": str(log)}
        self.start(self.server_command, table)
        deadline = time.monotonic() + PATIENCE_S
        while not log.exists() or "started successfully" not in log.read_text():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(_AGAIN_S)
        client = self.start_client({"auth.token": "a wrong one", "loginFailExit": True})
        client.wait_for_end()
        found = self.banned(log, str(listing("access/filter-login.conf")))
        self.assertIn(f"|      {LOOPBACK} ", found)

    def test_parser(self) -> None:
        """The parser for CrowdSec has a pattern that fits each line."""
        mentioned("access/acquis.txt")
        found = re.search(r"pattern: '(.*)'\n", mentioned("access/parser.txt"))
        assert found is not None
        pattern = re.sub(r"%\{(\w+):(\w+)\}", lambda match: f"(?P<{match[2]}>{_GROK[match[1]]})", found[1])
        for line in self.lines():
            fields = re.fullmatch(pattern, line.rstrip("\n"))
            assert fields is not None
            self.assertIn(fields["reason"], ("refused", "timeout"))
            self.assertEqual(fields["client"], "c")
