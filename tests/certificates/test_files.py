"""Tests for :mod:`relaykit.certificates.files`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates.files import (
    LOOK_S,
    MOST_FILE_BYTES,
    FileWatch,
    TlsContents,
    TlsFiles,
    WatchedFiles,
)
from relaykit.errors import TransportSecurityError
from tests.certificates.made import DAY, NOW, Made, ca, made


class FilesTestCase(SynchronousTestCase):
    """Has the files of a table."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.now = NOW
        self.written = 0
        self.site = made("a.example")
        self.files = TlsFiles(
            table="transport.tls",
            certificate=str(self.folder / "a.crt"),
            key=str(self.folder / "a.key"),
            authorities=str(self.folder / "ca.crt"),
        )
        self.put(self.site)
        self.write("ca.crt", ca().pem)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, later than all before."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        self.written += 1
        os.utime(path, (self.written, self.written))

    def put(self, site: Made) -> None:
        """Writes a certificate and its key."""
        self.write("a.crt", site.pem)
        self.write("a.key", site.key_pem)

    def refusal(self, files: TlsFiles | None = None) -> str:
        """Why the files cannot be used."""
        return str(self.assertRaises(TransportSecurityError, (files or self.files).read, self.now))

    def warnings(self, files: TlsFiles | None = None) -> list[str]:
        """The warnings about files that can be."""
        files = files or self.files
        return [text for text, _ in files.warnings(files.read(self.now), self.now)]


class ReadingTests(FilesTestCase):
    """Tests for files that are read once."""

    def test_good(self) -> None:
        """Everything that is named is read, and there is nothing to say of it."""
        contents = self.files.read(NOW)
        self.assertEqual((contents.begins, contents.ends), (NOW - 30 * DAY, NOW + 60 * DAY))
        assert contents.certificate is not None and contents.authorities is not None
        self.assertEqual(contents.certificate.content, self.site.pem)
        self.assertNotIn("BEGIN", repr(contents))
        self.assertEqual(self.warnings(), [])
        self.assertEqual(TlsFiles(table="transport.tls").read(NOW), TlsContents())

    def test_one_alone(self) -> None:
        """A certificate without a key is no certificate of ours."""
        self.assertIsNone(evolve(self.files, key="").read(NOW).certificate)

    def test_named(self) -> None:
        """What cannot be read is told by its key and its path, with why and what to do."""
        for name, key in (("a.crt", "certFile"), ("a.key", "keyFile"), ("ca.crt", "trustedCaFile")):
            path = self.folder / name
            content = path.read_bytes()
            path.unlink()
            where = f"transport.tls.{key}: {path}"
            self.assertEqual(
                self.refusal(), f"{where} cannot be read: no such file or directory; correct the path"
            )
            path.mkdir()
            self.assertEqual(self.refusal(), f"{where} is no regular file: correct the path")
            path.rmdir()
            os.mkfifo(path)
            self.assertEqual(self.refusal(), f"{where} is no regular file: correct the path")
            path.unlink()
            self.write(name, bytes(MOST_FILE_BYTES + 1))
            self.assertIn(f"{where} has more than {MOST_FILE_BYTES} bytes", self.refusal())
            self.write(name, content)

    def test_not_allowed(self) -> None:
        """A file that this user may not read is told as such."""

        def refuse(path: str) -> bytes:
            raise PermissionError(13, "Permission denied", path)

        self.patch(__import__("relaykit.certificates.files", fromlist=["_content"]), "_content", refuse)
        self.assertIn("permission denied; let the user of this program read it", self.refusal())

    def test_time(self) -> None:
        """A certificate outside its time is refused, but not one of many for users, which is warned about."""
        many = evolve(self.files, for_users=True)
        for self.now, said in (
            (NOW + 60 * DAY, "has expired"),
            (NOW - 31 * DAY, "is not valid yet"),
        ):
            self.write("ca.crt", ca(begins=NOW - 99 * DAY, ends=NOW + 99 * DAY).pem)
            text = self.refusal()
            self.assertIn(f"transport.tls.certFile: {self.folder}/a.crt {said}", text)
            (warning,) = self.warnings(many)
            self.assertEqual(warning, text)

    def test_warnings(self) -> None:
        """A near end, a chain outside its time, a missing name and an open key are worth a warning."""
        self.now = NOW + 58 * DAY
        self.write("ca.crt", ca(ends=NOW + 99 * DAY).pem)
        (text,) = self.warnings()
        self.assertIn("a.crt expires soon (2026-06-30 00:00 UTC): renew it", text)
        self.now = NOW
        old = ca(ends=NOW - DAY)
        site = made("a.example", issuer=old)
        self.write("a.crt", site.pem + old.pem)
        self.write("a.key", site.key_pem)
        (text,) = self.warnings()
        self.assertIn("certificate 2, of the chain, has expired", text)
        self.put(made(subject="a.example"))
        (text,) = self.warnings()
        self.assertIn("has no subjectAltName", text)
        self.assertEqual(self.warnings(evolve(self.files, shown_to_verifiers=False)), [])
        self.assertIn("no host in its subjectAltName", self.refusal(evolve(self.files, for_users=True)))
        self.put(self.site)
        (self.folder / "a.key").chmod(0o644)
        (text,) = self.warnings()
        self.assertIn(f"can be read by everybody on this machine: chmod o= {self.folder}/a.key", text)


class WatchedFilesTests(FilesTestCase):
    """Tests for files that change."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.watched = WatchedFiles(self.files, self.make, lambda: self.now)
        self.watched.open()
        self.changed: list[bytes] = []
        self.watch = FileWatch(self.clock, [self.watched], lambda each: self.changed.append(each.made))
        self.watch.start()
        self.addCleanup(self.watch.stop)

    def make(self, contents: TlsContents) -> bytes:
        """What is in the first file."""
        assert contents.certificate is not None
        return contents.certificate.content

    def later(self, looks: int = 1) -> list[str]:
        """What is said while the files are looked at so many times."""
        with capturedLogs() as logged:
            for _ in range(looks):
                self.clock.advance(LOOK_S)
        return [formatEvent(event) or "" for event in logged]

    def test_renewed(self) -> None:
        """A new pair is taken at the next look, and told of once."""
        new = made("a.example")
        self.put(new)
        self.assertEqual(self.later(3), [])
        self.assertEqual((self.watched.made, self.changed), (new.pem, [new.pem]))

    def test_atomically_replaced(self) -> None:
        """Files that others are renamed to are new, also of the same size and time."""
        new = made("a.example")
        for name, content in (("a.crt", new.pem), ("a.key", new.key_pem)):
            path = self.folder / name
            times = path.stat().st_mtime_ns
            draft = self.folder / "draft"
            draft.write_bytes(content)
            os.utime(draft, ns=(times, times))
            draft.replace(path)
        self.later()
        self.assertEqual(self.watched.made, new.pem)

    def test_away_for_a_moment(self) -> None:
        """Between an unlink and the new file nothing is said, and the former one serves."""
        path = self.folder / "a.crt"
        path.unlink()
        self.assertEqual(self.later(), [])
        self.assertEqual(self.watched.made, self.site.pem)
        new = made("a.example")
        self.put(new)
        self.assertEqual(self.later(), [])
        self.assertEqual(self.watched.made, new.pem)

    def test_garbage(self) -> None:
        """What stays unusable is told once for each reason, and again no sooner than it is another one."""
        self.write("a.crt", b"garbage")
        (text,) = self.later(5)
        self.assertIn("a.crt cannot be read as PEM", text)
        self.assertIn("what was read before goes on being used", text)
        self.assertEqual((self.watched.made, self.changed), (self.site.pem, []))
        self.write("a.crt", made("a.example").pem)
        (text,) = self.later(5)
        self.assertIn("is not that of the certificate", text)
        self.put(self.site)
        self.assertEqual(self.later(), [])
        self.assertEqual(self.changed, [self.site.pem])

    def test_not_yet_valid(self) -> None:
        """A certificate that is not valid yet waits while the one from before is valid."""
        new = made("a.example", begins=NOW + DAY)
        self.put(new)
        (text,) = self.later(3)
        self.assertIn("is not valid yet", text)
        self.assertEqual(self.watched.made, self.site.pem)
        self.now = NOW + DAY
        self.later()
        self.assertEqual(self.watched.made, new.pem)

    def test_outdated_for_users(self) -> None:
        """One of many does not take the place of a valid one either."""
        many = WatchedFiles(evolve(self.files, for_users=True), self.make, lambda: self.now)
        many.open()
        self.put(made("a.example", ends=NOW - DAY))
        self.assertFalse(many.look())
        self.now = NOW + 90 * DAY
        self.write("ca.crt", ca(ends=NOW + 99 * DAY).pem)
        self.assertTrue(many.look())

    def test_time_passes(self) -> None:
        """The end of a certificate is warned about before it comes, and when it has, once each."""
        said: list[str] = []
        moments: list[datetime] = [NOW + 54 * DAY, NOW + 61 * DAY]
        for self.now in moments:
            said += self.later(3)
        soon, ended = said
        self.assertIn("transport.tls.certFile", soon)
        self.assertIn("expires soon", soon)
        self.assertIn("has expired", ended)

    def test_nothing_to_look_at(self) -> None:
        """Where no file is named nobody looks."""
        nothing = WatchedFiles(TlsFiles(table="transport.tls"), lambda contents: None)
        nothing.open()
        clock = Clock()
        FileWatch(clock, [nothing], lambda each: None).start()
        self.assertEqual(clock.getDelayedCalls(), [])
