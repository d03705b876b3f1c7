"""Tests for :mod:`relaykit.commands.service_files`."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.commands import service_files as module
from relaykit.commands.service_files import ServiceFiles, is_hidden, service_files
from relaykit.options import FileUse, NamedFile


class ServiceFilesTests(SynchronousTestCase):
    """Tests for files of every kind."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.patch(module, "HIDDEN", ("/home",))
        self.patch(module, "_groups_that_read", _readers)

    def named(self, key: str, use: FileUse, mode: int = 0o600, path: str = "") -> NamedFile:
        """A file that this key names."""
        if not path:
            path = str(self.folder / key)
            Path(path).write_text("")
            Path(path).chmod(mode)
        return NamedFile(key, path, use)

    def test_handed_over(self) -> None:
        """What only root reads is handed over: a key with its certificate, and a token."""
        key = self.named("transport.tls.keyFile", FileUse.KEY)
        certificate = self.named("transport.tls.certFile", FileUse.CERTIFICATE, 0o644)
        authorities = self.named("transport.tls.trustedCaFile", FileUse.AUTHORITIES, 0o644)
        token = self.named("auth.tokenSource.file.path", FileUse.SECRET)
        found = service_files("server", [certificate, key, authorities, token])
        self.assertEqual(
            found.credentials, tuple((each.key, each.path) for each in (certificate, key, token))
        )
        (note,) = found.notes
        self.assertIn("systemctl try-restart relaykit-server", note)

    def test_group(self) -> None:
        """What a group reads is read by that group, and stays where it is."""
        key = self.named("transport.tls.keyFile", FileUse.KEY, 0o640)
        certificate = self.named("transport.tls.certFile", FileUse.CERTIFICATE, 0o644)
        found = service_files("server", [certificate, key])
        self.assertEqual(found, ServiceFiles(groups=("keys",)))

    def test_not_there(self) -> None:
        """What is not there yet is told; keys and tokens will hardly be for everybody."""
        key = self.named("transport.tls.keyFile", FileUse.KEY, path="/nonexistent/a.key")
        page = self.named("custom404Page", FileUse.READ, path="/nonexistent/a.html")
        found = service_files("server", [key, page])
        self.assertEqual(found.credentials, ((key.key, key.path),))
        self.assertIn("custom404Page: /nonexistent/a.html is not there yet", "\n".join(found.notes))

    def test_hidden(self) -> None:
        """What the service would not see is handed over, whoever may read it, also behind a link."""
        page = self.named("custom404Page", FileUse.READ, path="/home/me/page.html")
        self.assertEqual(service_files("server", [page]).credentials, ((page.key, page.path),))
        link = self.folder / "link"
        link.symlink_to("/home/me/page.html")
        self.assertTrue(is_hidden(str(link)))
        self.assertFalse(is_hidden("/homes/page.html"))

    def test_relative(self) -> None:
        """A path that is not whole is told, and meant from where the service starts."""
        found = service_files("server", [NamedFile("transport.tls.keyFile", "a.key", FileUse.KEY)])
        self.assertEqual(found.credentials, (("transport.tls.keyFile", "/a.key"),))
        self.assertIn("a.key is looked for in /", "\n".join(found.notes))

    def test_written(self) -> None:
        """A log in a folder of its own is written to; anything else that cannot be is told."""
        for path, logs, said in (
            ("/var/log/relaykit/frps.log", "relaykit", ""),
            ("/var/lib/relaykit-server/frps.log", "", ""),
            ("/var/log/frps.log", "", "write to /var/log/relaykit/frps.log, or leave the key out"),
            ("/srv/frps.log", "", "write to /var/log/relaykit/frps.log"),
        ):
            found = service_files("server", [NamedFile("log.to", path, FileUse.WRITTEN)])
            self.assertEqual(found.logs, logs)
            self.assertEqual(bool(found.notes), bool(said))
            self.assertIn(said, "\n".join(found.notes))
        (note,) = service_files("client", [NamedFile("store.path", "/etc/s.json", FileUse.WRITTEN)]).notes
        self.assertIn("have it write /var/lib/relaykit-client/s.json", note)
        kept = NamedFile("store.path", "/var/lib/relaykit-client/s.json", FileUse.WRITTEN)
        self.assertEqual(service_files("client", [kept]).notes, ())
        (note,) = service_files("server", [NamedFile("stateDir", "/srv/state", FileUse.WRITTEN)]).notes
        self.assertIn("it has /var/lib/relaykit-server", note)


class ReadersTests(SynchronousTestCase):
    """Tests for who may read a file."""

    def test_modes(self) -> None:
        """Everybody, a group, or nobody but its owner: folders above count, too."""
        for path in ("/etc/passwd", "/etc/hostname"):
            if os.path.exists(path):
                self.assertEqual(module._groups_that_read(Path(path)), frozenset())
        self.assertIsNone(module._groups_that_read(Path("/nonexistent")))
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        file = folder / "a"
        file.write_text("")
        file.chmod(0o644)
        folder.chmod(0o700)
        self.assertIsNone(module._groups_that_read(file))

    def test_group(self) -> None:
        """A group that is not root's, and that the system knows, is named."""
        file = Path(self.mktemp()).absolute()
        file.write_text("")
        file.chmod(0o644)
        if module._groups_that_read(file) is None:
            raise SkipTest("the folder of this test is not for everybody")
        group = next((each for each in grp.getgrall() if each.gr_gid), None)
        if os.geteuid() != 0 or group is None:
            raise SkipTest("only root can give a file to any group")
        os.chown(file, 0, group.gr_gid)
        file.chmod(0o640)
        self.assertEqual(module._groups_that_read(file), frozenset({group.gr_name}))


def _readers(path: Path) -> frozenset[str] | None:
    """Who reads a file, by its own mode: wherever the tests run, the folders above are for everybody."""
    mode = path.stat().st_mode
    return frozenset() if mode & 0o004 else frozenset({"keys"}) if mode & 0o040 else None
