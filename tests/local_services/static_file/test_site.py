"""Tests for :mod:`relaykit.local_services.static_file.site`."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.local_services.static_file import StaticFile
from relaykit.local_services.static_file.folder import FileChanged, Folder
from relaykit.local_services.static_file.site import FILE_PIECE_BYTES, MOST_BODY_BYTES, REFUSED_S, STEP_S
from relaykit.sansio.http.credentials import Credentials
from tests.local_services.hosts import LocalScene

DATE = b"Tue, 14 Nov 2023 22:13:20 GMT"


class SiteTests(SynchronousTestCase):
    """Users of a folder."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        (self.root / "sub").mkdir(parents=True)
        (self.root / "a.txt").write_text("0123456789" * 20)
        os.utime(self.root / "a.txt", (1_700_000_000, 1_700_000_000))
        (self.root / "index.html").write_text("<html>index</html>")
        (self.root / "sub" / "c<d.txt").write_text("x")
        self.waiting: Deferred[Any] | None = None
        self.scene = self._scene()

    def _scene(self, prefix: str = "", expected: Credentials | None = None) -> LocalScene:
        def call(reactor: object, function: Any) -> Deferred[Any]:
            return self.waiting or maybeDeferred(function)

        return LocalScene(StaticFile(Folder(str(self.root)), prefix, expected, call))

    def _ask(self, target: str, *lines: str, method: str = "GET") -> bytes:
        head = "\r\n".join((f"{method} {target} HTTP/1.1", "Host: x.example", *lines, "", ""))
        _, got = self.scene.connect(head.encode())
        return bytes(got.data)

    def _status(self, answer: bytes) -> int:
        return int(answer.split(b" ")[1])

    def test_file(self) -> None:
        """A file comes whole, with what it is; HEAD gets its head."""
        answer = self._ask("/a.txt")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertEqual((self._status(answer), body), (200, b"0123456789" * 20))
        for line in (
            b"Content-Length: 200",
            b"Accept-Ranges: bytes",
            b"Last-Modified: " + DATE,
            b"text/plain",
        ):
            self.assertIn(line, head)
        short = self._ask("/a.txt", method="HEAD")
        self.assertIn(b"Content-Length: 200", short)
        self.assertTrue(short.endswith(b"\r\n\r\n"))

    def test_parts(self) -> None:
        """One part, several, and none that is there."""
        answer = self._ask("/a.txt", "Range: bytes=0-3")
        self.assertIn(b"Content-Range: bytes 0-3/200", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\n0123"))
        answer = self._ask("/a.txt", "Range: bytes=1-2,-1")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertIn(b"multipart/byteranges; boundary=", head)
        self.assertIn(b"Content-Length: %d\r\n" % len(body), head + b"\r\n")
        self.assertIn(b"Content-Range: bytes 199-199/200\r\n\r\n9\r\n--", body)
        answer = self._ask("/a.txt", "Range: bytes=900-")
        self.assertEqual(self._status(answer), 416)
        self.assertIn(b"Content-Range: bytes */200", answer)
        self.assertEqual(self._status(self._ask("/a.txt", "Range: bytes=0-3", 'If-Range: "old"')), 200)

    def test_pieces(self) -> None:
        """A file of more than one piece comes whole and in order, as does a part of it across pieces."""
        whole = os.urandom(2 * FILE_PIECE_BYTES + 7)
        (self.root / "big").write_bytes(whole)
        self.assertEqual(self._ask("/big").partition(b"\r\n\r\n")[2], whole)
        part = self._ask("/big", f"Range: bytes=5-{FILE_PIECE_BYTES + 9}").partition(b"\r\n\r\n")[2]
        self.assertEqual(part, whole[5 : FILE_PIECE_BYTES + 10])

    def test_changed(self) -> None:
        """Who waits for a file that is changed meanwhile is left, and that is no defect."""
        self.waiting = Deferred()
        _, got = self.scene.connect(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        file, reading = Folder(str(self.root)).open(["a.txt"], wants_folder=False), Deferred[Any]()
        opened, self.waiting = self.waiting, reading
        opened.callback(file)
        reading.errback(FileChanged())
        self.scene.network.flush()
        self.assertTrue(got.lost)

    def test_conditions(self) -> None:
        """Who has it gets no body, and who wants another state nothing."""
        answer = self._ask("/a.txt", f"If-Modified-Since: {DATE.decode()}")
        self.assertEqual(self._status(answer), 304)
        self.assertNotIn(b"Content-Length", answer)
        self.assertEqual(self._status(self._ask("/a.txt", 'If-Match: "old"')), 412)

    def test_folders(self) -> None:
        """A folder is its index or what is in it; its name without a slash leads there."""
        self.assertTrue(self._ask("/").endswith(b"<html>index</html>"))
        self.assertIn(b"\r\nLocation: ./\r\n", self._ask("/index.html"))
        self.assertIn(b"\r\nLocation: ./sub/\r\n", self._ask("/sub"))
        answer = self._ask("/sub/")
        self.assertIn(b"c&lt;d.txt", answer)
        self.assertIn(b"Content-Security-Policy: default-src 'none'", answer)

    def test_nothing(self) -> None:
        """What is not there, and what is asked in another way."""
        self.assertEqual(self._status(self._ask("/none")), 404)
        self.assertIn(b"Location: /etc/passwd\r\n", self._ask("/%2e%2e/etc/passwd"))
        answer = self._ask("/a.txt", "Content-Length: 0", method="POST")
        self.assertIn(b"Allow: GET, HEAD", answer)

    def test_password(self) -> None:
        """Below a prefix, for who has the password; a wrong one is answered late."""
        self.scene = self._scene("pre", Credentials(b"u", b"hush"))
        self.assertNotIn("hush", repr(self.scene.service))
        right = b64encode(b"u:hush").decode()
        self.assertEqual(self._status(self._ask("/pre/a.txt", f"Authorization: Basic {right}")), 200)
        self.assertEqual(self._status(self._ask("/a.txt", f"Authorization: Basic {right}")), 404)
        _, got = self.scene.connect(b"GET /pre/a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(got.data, b"")
        self.scene.network.advance(REFUSED_S)
        self.assertEqual(self._status(bytes(got.data)), 401)
        self.assertIn(b"Basic realm=", got.data)

    def test_again(self) -> None:
        """One connection serves one request after the other, also those that came together."""
        ask = b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"
        user, got = self.scene.connect(ask * 3)
        self.assertEqual(got.data.count(b"HTTP/1.1 200"), 3)
        user.write(ask)
        self.scene.network.flush()
        self.assertEqual(got.data.count(b"HTTP/1.1 200"), 4)

    def test_silent(self) -> None:
        """Who says nothing more is left, as is who waits for a disk that hangs; no timer stays."""
        _, got = self.scene.connect(b"GET / HT")
        self.waiting = Deferred()
        _, stuck = self.scene.connect(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        self.scene.network.advance(STEP_S + 1)
        self.assertTrue(got.lost and stuck.lost)
        self.waiting.callback(None)
        self.assertEqual(self.scene.network.clock.getDelayedCalls(), [])

    def test_large_body(self) -> None:
        """Who sends a large body is left."""
        _, got = self.scene.connect(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY_BYTES + 1)
        )
        self.assertTrue(got.lost)
