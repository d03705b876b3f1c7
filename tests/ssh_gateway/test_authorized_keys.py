"""Tests for :mod:`relaykit.ssh_gateway.authorized_keys`."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.authorized_keys import (
    MOST_FILE_BYTES,
    AuthorizedKeys,
    UnusableLine,
    read_keys,
)
from tests.ssh_gateway.scene import user_key


def line(seed: int, comment: str = "") -> str:
    """The line of a key."""
    text: str = user_key(seed).public().toString("openssh").decode()
    return f"{text} {comment}".rstrip()


def blob(seed: int) -> bytes:
    """The key itself."""
    return bytes(user_key(seed).blob())


class ReadTests(SynchronousTestCase):
    """Tests for :func:`read_keys`."""

    def test_keys(self) -> None:
        """Each key has its comment, which may have spaces; blank lines and remarks may be anywhere."""
        text = f"# mine\n\n{line(1, 'dave of home')}\n{line(2)}\r\n\n# the end\n"
        self.assertEqual(list(read_keys(text)), [(blob(1), "dave of home"), (blob(2), "")])

    def test_unusable(self) -> None:
        """A key with options is not accepted, nor one that is damaged or of another kind; each is told."""
        damaged = line(1).replace("AAAA", "AAAB")
        found = list(
            read_keys(f'no-pty,command="x y" {line(1)}\n{damaged}\nssh-dss AAAA x\nssh-ed25519\n{line(2)}')
        )
        self.assertEqual([each.number for each in found if isinstance(each, UnusableLine)], [1, 2, 3, 4])
        self.assertIn("options, which are not supported", str(found[0]))
        self.assertIn("damaged", str(found[1]))
        self.assertIn("its type is none of", str(found[2]))
        self.assertEqual(found[4:], [(blob(2), "")])

    @given(st.text())
    def test_junk(self, text: str) -> None:
        """Whatever is in the file, it is read."""
        list(read_keys(text))


class FileTests(SynchronousTestCase):
    """Tests for the file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.keys = AuthorizedKeys(str(self.path))

    def write(self, text: str, moment: int) -> None:
        """Changes the file."""
        self.path.write_text(text)
        os.utime(self.path, ns=(moment, moment))

    def test_changed(self) -> None:
        """Keys count as they are in the file at the moment."""
        self.write(line(1, "dave"), 1)
        self.assertEqual(self.keys.comment_of(blob(1)), "dave")
        self.assertIsNone(self.keys.comment_of(blob(2)))
        self.write(line(2), 2)
        self.assertIsNone(self.keys.comment_of(blob(1)))
        self.assertEqual(self.keys.comment_of(blob(2)), "")

    def test_missing(self) -> None:
        """While it is not there nobody may log in, which is told once."""
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertIsNone(self.keys.comment_of(blob(1)))
        self.assertEqual([each["log_level"] for each in logs], [LogLevel.error])
        self.write(line(1), 1)
        self.assertEqual(self.keys.comment_of(blob(1)), "")
        self.path.unlink()
        self.assertIsNone(self.keys.comment_of(blob(1)))

    def test_too_large(self) -> None:
        """What is no such file is not read into memory."""
        self.write(line(1) + "\n" * MOST_FILE_BYTES, 1)
        self.assertIsNone(self.keys.comment_of(blob(1)))
