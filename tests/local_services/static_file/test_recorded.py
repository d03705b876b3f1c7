"""What users of frp's ``static_file`` saw, and what they see of ours: the same but for what we mean."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.local_services.static_file import StaticFile
from relaykit.local_services.static_file.folder import Folder
from relaykit.local_services.static_file.site import REFUSED_S
from relaykit.sansio.http.credentials import Credentials
from tests.local_services.hosts import LocalScene

DIRECTORY = Path(__file__).parents[2] / "captures" / "static_file"

COMPARED = (b"accept-ranges", b"content-length", b"content-range", b"content-type", b"last-modified")
"""The fields of what is sent."""

HEAD = "HEAD asks for what GET tells of a file, and is answered."
GZIP = "Nothing is compressed, so that ranges are those of the file."
LISTING = "A listing has sizes and dates, and no date of its own."
RELATIVE = "A redirect says that the place is in this folder, whatever the name looks like."

DIFFERENCES: Mapping[tuple[str, int], str] = {
    ("dir", 0): RELATIVE,
    ("dir", 1): LISTING,
    ("gzip", 0): GZIP,
    ("gzip-range", 0): GZIP,
    ("post", 1): HEAD,
}
"""By recording and request in it."""


@frozen
class Answer:
    """What is compared of an answer: words of ours stand for those of errors."""

    status: int
    location: bytes | None
    sent: tuple[object, ...]

    @classmethod
    def of(cls, data: bytes) -> Answer:
        """Takes an answer apart."""
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        status = int(first.split(b" ")[1])
        sent = (body, *map(fields.get, COMPARED)) if status in (200, 206) else ()
        return cls(status, fields.get(b"location"), sent)


class RecordedTests(SynchronousTestCase):
    """Each recording with our service."""

    def setUp(self) -> None:
        """Makes the folder of the recordings."""
        self.root = Path(self.mktemp())
        (self.root / "sub").mkdir(parents=True)
        for name, text in (
            ("a.txt", "0123456789" * 20),
            ("index.html", "<html>index</html>"),
            ("sub/b.txt", "b"),
            ("sub/c<d.txt", "c"),
        ):
            (self.root / name).write_text(text)
            os.utime(self.root / name, (1_700_000_000, 1_700_000_000))

    def test_recorded(self) -> None:
        """Answers are as recorded where no difference is meant, and are not where one is."""
        differ = set()
        for path in sorted(DIRECTORY.glob("*.jsonl")):
            _, line = map(json.loads, path.read_text("utf-8").splitlines())
            for number, (ours, theirs) in enumerate(self._played(path.stem, line["user"])):
                if ours != theirs:
                    differ.add((path.stem, number))
                    self.assertIn((path.stem, number), DIFFERENCES, f"{ours} is not {theirs}")
        self.assertEqual(differ, set(DIFFERENCES))

    def _played(self, name: str, events: Any) -> Iterator[tuple[Answer, Answer]]:
        prefix, expected = ("pre", Credentials(b"u", b"p")) if name == "auth" else ("", None)
        folder = Folder(str(self.root))
        scene = LocalScene(StaticFile(folder, prefix, expected, lambda reactor, call: maybeDeferred(call)))
        user, got = scene.connect()
        for kind, *text in events:
            data = "".join(text).encode("latin-1")
            if kind == "send":
                seen = len(got.data)
                user.write(data)
                scene.network.flush()
                scene.network.advance(REFUSED_S)
            elif kind == "recv":
                yield Answer.of(bytes(got.data[seen:])), Answer.of(data)
