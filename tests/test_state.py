"""Tests for the state directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from relaykit.state import LARGEST_FILE, HeldFile, StateDirectory, StateUnavailable
from tests.layering import ROOT


class HoldTests(SynchronousTestCase):
    """Files that one program holds at a time."""

    def setUp(self) -> None:
        self.state = StateDirectory(Path(self.mktemp()))

    def hold(self, name: str) -> HeldFile:
        """A file that can be held."""
        held = self.state.hold(name)
        assert held is not None
        self.addCleanup(held.close)
        return held

    def test_held(self) -> None:
        """Who holds a file keeps everybody else from it, in every program, until it is closed."""
        held = self.hold("x.lock")
        self.assertIsNone(self.state.hold("x.lock"))
        program = (
            "from pathlib import Path; from relaykit.state import StateDirectory; "
            f"print(StateDirectory(Path({str(self.state.path.absolute())!r})).hold('x.lock'))"
        )
        said = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        self.assertEqual(said.stdout, "None\n")
        held.close()
        held.close()
        self.hold("x.lock")

    def test_link(self) -> None:
        """Nothing is made where a link leads that somebody has put there."""
        victim = self.state.path.absolute() / "victim"
        self.state.write("a", b"")
        (self.state.path / "x.lock").symlink_to(victim)
        error = self.assertRaises(StateUnavailable, self.state.hold, "x.lock")
        self.assertIn("x.lock: it is a symbolic link, which is not followed", str(error))
        self.assertFalse(victim.exists())

    def test_other_systems(self) -> None:
        """Without the locks of Unix, those of Windows are taken; without either, everybody gets the file."""

        class Locking:
            """The locks of Windows."""

            LK_NBLCK = 2
            held = False

            @classmethod
            def locking(cls, descriptor: int, mode: int, count: int) -> None:
                """Locks so many bytes."""
                if cls.held:
                    raise PermissionError
                cls.held = True

        unix = {"fcntl": sys.modules["fcntl"]}
        self.addCleanup(sys.modules.update, unix)
        self.addCleanup(sys.modules.pop, "msvcrt", None)
        sys.modules["fcntl"] = None  # type: ignore[assignment]  # how an import is made to fail
        self.hold("x.lock")
        self.hold("x.lock")
        sys.modules["msvcrt"] = cast(ModuleType, Locking)
        self.hold("x.lock")
        self.assertIsNone(self.state.hold("x.lock"))

    def test_others(self) -> None:
        """Files of other names are not concerned."""
        self.hold("x.lock")
        self.hold("y.lock")

    def test_unavailable(self) -> None:
        """Where it cannot be made, that is said."""
        blocked = Path(self.mktemp())
        blocked.write_bytes(b"")
        self.assertRaises(StateUnavailable, StateDirectory(blocked).hold, "x.lock")


class FindTests(SynchronousTestCase):
    """Tests for where the directory is."""

    def path(self, chosen: str = "", **environ: str) -> Path:
        """Where it is, said so and with this environment."""
        found = StateDirectory.find(chosen, environ)
        assert found is not None
        return found.path

    def test_order(self) -> None:
        """What was chosen comes first, then systemd, then the user's folders."""
        everything = {"STATE_DIRECTORY": "/s/a:/s/b", "XDG_STATE_HOME": "/x", "HOME": "/h"}
        self.assertEqual(self.path("/c", **everything), Path("/c"))
        self.assertEqual(self.path(**everything), Path("/s/a"))
        self.assertEqual(self.path(XDG_STATE_HOME="/x", HOME="/h"), Path("/x/relaykit"))
        self.assertEqual(self.path(HOME="/h"), Path("/h/.local/state/relaykit"))
        self.assertEqual(self.path(LOCALAPPDATA="/l", HOME=""), Path("/l/relaykit"))

    def test_nowhere(self) -> None:
        """Without any of them, or with relative ones that the specification forbids, there is none."""
        self.assertIsNone(StateDirectory.find("", {}))
        self.assertIsNone(StateDirectory.find("", {"XDG_STATE_HOME": "x", "HOME": ""}))

    def test_relative(self) -> None:
        """A relative choice is resolved at once: a daemon changes its folder later."""
        self.assertEqual(self.path("here"), Path.cwd() / "here")


class FilesTests(SynchronousTestCase):
    """Tests for reading and writing."""

    def setUp(self) -> None:
        """Begins with a folder that does not exist."""
        self.state = StateDirectory(Path(self.mktemp(), "deep"))

    def mode(self, path: Path) -> int:
        """The permissions of a file or folder."""
        return stat.S_IMODE(path.stat().st_mode)

    def test_nothing_there(self) -> None:
        """Reading what is not there answers None and makes no folder."""
        self.assertIsNone(self.state.read("a"))
        self.assertIsNone(self.state.read_json("a"))
        self.assertFalse(self.state.path.exists())

    def test_written_and_read(self) -> None:
        """What was written is read, in a folder and a file for the owner only."""
        umask = os.umask(0)
        self.addCleanup(os.umask, umask)
        self.state.write("a", b"bytes")
        self.assertEqual(self.state.read("a"), b"bytes")
        self.assertEqual(self.mode(self.state.path), 0o700)
        self.assertEqual(self.mode(self.state.path / "a"), 0o600)

    def test_link(self) -> None:
        """A link in the place of a file is replaced, and what it leads to stays as it is."""
        victim = self.state.path / "victim"
        self.state.write("victim", b"untouched")
        (self.state.path / "a").symlink_to(victim.absolute())
        self.state.write("a", b"new")
        self.assertEqual((victim.read_bytes(), self.state.read("a")), (b"untouched", b"new"))

    def test_open_to_others(self) -> None:
        """A folder that others write to, and files that they read, are told with what to do."""
        self.assertEqual(list(self.state.open_to_others()), [])
        self.state.write("a", b"")
        self.state.write("b", b"")
        self.assertEqual(list(self.state.open_to_others()), [])
        self.state.path.chmod(0o777)
        (self.state.path / "b").chmod(0o644)
        folder, file = self.state.open_to_others()
        self.assertIn(f"chmod 700 {self.state.path}", folder)
        self.assertIn(f"chmod 600 {self.state.path / 'b'}", file)
        self.state.path.chmod(0o755)
        self.assertEqual(len(list(self.state.open_to_others())), 1)

    def test_replaced_as_a_whole(self) -> None:
        """A file is replaced by another one, and no draft stays behind."""
        self.state.write("a", b"former")
        with (self.state.path / "a").open("rb") as former:
            self.state.write("a", b"new")
            self.assertEqual(former.read(), b"former")
        self.assertEqual([path.name for path in self.state.path.iterdir()], ["a"])
        self.assertEqual(self.state.read("a"), b"new")

    def test_failed_write_leaves_the_former(self) -> None:
        """When the last step fails the error names the file, and nothing is left over."""
        (self.state.path / "a").mkdir(parents=True)
        with self.assertRaisesRegex(StateUnavailable, "cannot write .*deep/a: "):
            self.state.write("a", b"x")
        self.assertEqual([path.name for path in self.state.path.iterdir()], ["a"])

    def test_no_folder(self) -> None:
        """A folder that cannot be made is told."""
        in_the_way = Path(self.mktemp())
        in_the_way.write_bytes(b"")
        state = StateDirectory(in_the_way / "sub")
        self.assertRaises(StateUnavailable, state.write, "a", b"x")
        self.assertRaises(StateUnavailable, state.read, "a")

    def test_size(self) -> None:
        """A file far too large is refused before it fills the memory."""
        self.state.write("a", bytes(LARGEST_FILE))
        self.assertEqual(len(self.state.read("a") or b""), LARGEST_FILE)
        self.state.write("a", bytes(LARGEST_FILE + 1))
        self.assertRaises(StateUnavailable, self.state.read, "a")

    def test_json(self) -> None:
        """JSON values are kept."""
        self.state.write_json("a.json", {"b": [1, "é"]})
        self.assertEqual(self.state.read_json("a.json"), {"b": [1, "é"]})

    def test_damaged_json(self) -> None:
        """A damaged file is told with its path and what to do."""
        self.state.write("a.json", b"{")
        with self.assertRaisesRegex(StateUnavailable, "a.json: it is no JSON .*remove it"):
            self.state.read_json("a.json")
