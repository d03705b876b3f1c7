"""Tests for :mod:`relaykit.proxies.http.certificates`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates import files
from relaykit.certificates.files import LOOK_S, MOST_FILE_BYTES
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import TransportSecurityError
from relaykit.proxies.http.certificates import Certificates
from relaykit.testing.memory import MemoryNetwork
from tests.proxies.http.pairs import NOW, Files, key_of


class CertificatesTestCase(SynchronousTestCase):
    """Has files, and time."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.clock = Clock()
        self.now = NOW

    def files(self, name: str = "site") -> Files:
        """The files of one entry."""
        return Files(self.folder, name)

    def opened(self, *files: Files) -> Certificates:
        """The certificates in these files."""
        plane = DataPlane([CopyForwarder()], MemoryNetwork())
        made = Certificates([each.entry for each in files], plane, self.clock, lambda: self.now)
        made.open()
        self.addCleanup(made.close)
        return made

    def later(self, looks: int = 1) -> list[tuple[str, str]]:
        """The problem and the text of each warning while the files are looked at so many times."""
        with capturedLogs() as logged:
            for _ in range(looks):
                self.clock.advance(LOOK_S)
        return [(event["problem"], formatEvent(event)) for event in logged if "problem" in event]


class SelectionTests(CertificatesTestCase):
    """Tests for which certificate a name gets."""

    def test_names(self) -> None:
        """A certificate is for its names, and by a wildcard for one label in its place."""
        files = self.files()
        files.write("a.example", "*.b.example", "XN--BRO-hoa.example")
        found = self.opened(files)
        for name, expected in (
            ("a.example", True),
            ("x.a.example", False),
            ("b.example", False),
            ("x.b.example", True),
            ("y.x.b.example", False),
            ("xn--bro-hoa.example", True),
            ("", False),
            ("example", False),
        ):
            self.assertEqual(found.are_for(name), expected, name)
            self.assertEqual(found.find(name) is not None, expected, name)

    def test_order(self) -> None:
        """One that is valid comes first, then one for the very name, then the one that begins last."""
        day = timedelta(days=1)
        made = {}
        for name, domain, begins, life in (
            ("old", "a.example", NOW - 40 * day, 90 * day),
            ("new", "a.example", NOW - 2 * day, 90 * day),
            ("future", "a.example", NOW + day, 90 * day),
            ("wildcard", "*.example", NOW - day, 90 * day),
            ("expired", "b.example", NOW - 91 * day, 90 * day),
            ("alone", "c.example.org", NOW - 91 * day, 90 * day),
        ):
            made[name] = self.files(name)
            made[name].write(domain, begins=begins, life=life)
        found = self.opened(*made.values())

        def begin(host: str) -> timedelta:
            certificate = found.find(host)
            assert certificate is not None
            return NOW - certificate.begins

        self.assertEqual(begin("a.example"), 2 * day)
        self.assertEqual(begin("z.example"), day)
        self.assertEqual(begin("b.example"), day)
        self.assertEqual(begin("c.example.org"), 91 * day)
        self.now = NOW + day
        self.assertEqual(begin("a.example"), -day)


class ProblemTests(CertificatesTestCase):
    """Tests for files that cannot be used at the start."""

    def refusal(self, files: Files) -> str:
        """Why they cannot be; without the entry, which the text begins with."""
        error = self.assertRaises(TransportSecurityError, self.opened, self.good, files)
        self.assertEqual(error.problem, "tls-files")
        where = "vhostHTTPSCertificates[1]."
        self.assertTrue(str(error).startswith(where), str(error))
        return str(error).removeprefix(where)

    def setUp(self) -> None:
        super().setUp()
        self.good = self.files("good")
        self.good.write("good.example")

    def test_missing(self) -> None:
        """A file that is not there is named."""
        files = self.files()
        self.assertEqual(
            self.refusal(files),
            f"certFile: {files.certificate} cannot be read: no such file or directory; correct the path",
        )
        files.write("a.example")
        files.key.unlink()
        self.assertEqual(
            self.refusal(files),
            f"keyFile: {files.key} cannot be read: no such file or directory; correct the path",
        )

    def test_contents(self) -> None:
        """What is in the files must be a certificate, and its own key, without a password."""
        files = self.files()
        other = ec.generate_private_key(ec.SECP256R1())
        files.write("a.example")
        for content, part in (
            (key_of(other), f"keyFile: {files.key} is not that of the certificate in {files.certificate}"),
            (key_of(other, b"hush"), "has a password"),
            (b"junk", f"keyFile: {files.key} cannot be read as PEM"),
            (bytes(MOST_FILE_BYTES + 1), "is it the right file?"),
        ):
            files.put(files.key, content)
            self.assertIn(part, self.refusal(files))
            self.assertNotIn("hush", self.refusal(files))
        files.write("a.example")
        files.put(files.certificate, b"junk")
        self.assertIn(f"certFile: {files.certificate} cannot be read as PEM", self.refusal(files))

    def test_no_names(self) -> None:
        """A certificate must be for a host that users can ask for."""
        files = self.files()
        for names in ((), ("*",), ("a b",), ("f*.example",), ("::1",)):
            files.write(*names)
            self.assertIn("has no host in its subjectAltName", self.refusal(files))

    def test_warnings(self) -> None:
        """A time that is wrong, or soon over, and a key that everybody may read are worth a warning."""
        day = timedelta(days=1)
        for begins, life, part in (
            (NOW - 91 * day, 90 * day, "has expired (2026-04-30 00:00 UTC): renew it"),
            (NOW - 85 * day, 90 * day, "expires soon (2026-05-06 00:00 UTC): renew it"),
            (NOW - 5 * day, 6 * day, "expires soon"),
            (NOW + day, 90 * day, "is not valid yet (from 2026-05-02 00:00 UTC on)"),
            (NOW - 60 * day, 90 * day, ""),
            (NOW - 4 * day, 6 * day, ""),
        ):
            files = self.files()
            files.write("a.example", begins=begins, life=life)
            with capturedLogs() as logged:
                self.opened(files)
            said = [formatEvent(event) for event in logged if event.get("problem") == "certificate-time"]
            self.assertEqual([part in text for text in said], [True] if part else [], (begins, said))
        files.key.chmod(0o604)
        with capturedLogs() as logged:
            self.opened(files)
        (warning,) = (event for event in logged if event.get("problem") == "open-key-file")
        self.assertIn(str(files.key), formatEvent(warning))


class ReloadTests(CertificatesTestCase):
    """Tests for files that change."""

    def setUp(self) -> None:
        super().setUp()
        self.site = self.files()
        self.site.write("a.example")
        self.found = self.opened(self.site)
        self.first = self.found.find("a.example")

    def test_renewed(self) -> None:
        """A new pair is used from the next look on, which the log says with its names and its end."""
        self.site.write("a.example", "b.example", begins=NOW)
        self.assertIs(self.found.find("a.example"), self.first)
        with capturedLogs() as logged:
            self.clock.advance(LOOK_S)
        (text,) = map(formatEvent, logged)
        self.assertEqual(
            text,
            f"vhostHTTPSCertificates[0]: a.example, b.example by {self.site.certificate}, "
            "valid until 2026-07-30 00:00 UTC",
        )
        self.assertIsNot(self.found.find("a.example"), self.first)
        self.assertIs(self.found.find("b.example"), self.found.find("a.example"))
        with capturedLogs() as logged:
            self.clock.advance(LOOK_S)
        self.assertEqual(logged, [])

    def test_name_taken_away(self) -> None:
        """A name that the new certificate has no more is served no more."""
        self.site.write("b.example")
        self.clock.advance(LOOK_S)
        self.assertFalse(self.found.are_for("a.example"))
        self.assertIsNone(self.found.find("a.example"))

    def test_link(self) -> None:
        """Files may be links, as certbot's are: what they lead to counts."""
        live, archive = self.files("live"), [self.files(f"archive{number}") for number in (1, 2)]
        for each in archive:
            each.write("l.example")
        for place in ("certificate", "key"):
            getattr(live, place).symlink_to(getattr(archive[0], place).absolute())
        found = self.opened(live)
        before = found.find("l.example")
        for place in ("certificate", "key"):
            file = getattr(live, place)
            file.unlink()
            file.symlink_to(getattr(archive[1], place).absolute())
        self.assertEqual(self.later(), [])
        self.assertIsNot(found.find("l.example"), before)

    def test_half_written(self) -> None:
        """Between the two halves of a renewal nothing is said, and the pair from before is used."""
        key = self.site.key.read_bytes()
        self.site.write("a.example", begins=NOW)
        new = self.site.key.read_bytes()
        self.site.put(self.site.key, key)
        self.assertEqual(self.later(), [])
        self.assertIs(self.found.find("a.example"), self.first)
        self.site.put(self.site.key, new)
        self.assertEqual(self.later(), [])
        self.assertIsNot(self.found.find("a.example"), self.first)

    def test_broken(self) -> None:
        """Files that stay unusable are warned about once, and the pair from before is used."""
        self.site.put(self.site.certificate, b"junk")
        ((problem, text),) = self.later(5)
        self.assertEqual(problem, "tls-files")
        self.assertIn("cannot be read as PEM", text)
        self.assertIn("what was read before goes on being used", text)
        self.assertIs(self.found.find("a.example"), self.first)
        self.site.key.unlink()
        ((_, text),) = self.later(5)
        self.assertIn("no such file", text)
        self.site.write("a.example")
        self.assertEqual(self.later(), [])
        self.assertIsNot(self.found.find("a.example"), self.first)

    def test_unreadable(self) -> None:
        """A server that must not read the files any more, for it began as somebody else, says so soon."""

        def refuse(file: str) -> bytes:
            raise PermissionError(13, "Permission denied", file)

        self.patch(files.os, "access", lambda file, mode: False)  # type: ignore[attr-defined]
        self.patch(files, "_content", refuse)
        ((problem, text),) = self.later(3)
        self.assertEqual(problem, "tls-files")
        self.assertIn(f"{self.site.certificate} cannot be read: permission denied", text)
        self.assertIs(self.found.find("a.example"), self.first)

    def test_gone(self) -> None:
        """Files that are taken away leave the pair in use."""
        self.site.certificate.unlink()
        self.site.key.unlink()
        ((_, text),) = self.later(3)
        self.assertIn("no such file", text)
        self.assertIs(self.found.find("a.example"), self.first)

    def test_time_passes(self) -> None:
        """A certificate that nobody renews is warned about before its end, and at it, once each."""
        self.now = NOW + timedelta(days=54)
        ((problem, text),) = self.later(3)
        self.assertEqual(problem, "certificate-time")
        self.assertIn("expires soon", text)
        self.now = NOW + timedelta(days=61)
        ((_, text),) = self.later(3)
        self.assertIn("has expired", text)
        self.site.write("a.example", begins=self.now)
        self.assertEqual(self.later(3), [])

    def test_closed(self) -> None:
        """Who is closed looks no more."""
        self.found.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
