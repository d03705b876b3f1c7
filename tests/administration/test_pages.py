"""Tests for :mod:`relaykit.administration.pages`."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration import pages
from relaykit.administration.pages import PageFile, page_routes
from relaykit.administration.routes import Routes
from relaykit.administration.site import AdministrationSite
from tests.administration.exchanges import OPEN, Connection, Told

STATIC = Path(pages.__file__).with_name("static")

_IMPORT = re.compile(r"""(?:from|import)\s+["']([^"']+)["']""")
_ELSEWHERE = re.compile(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(\s*["']?(?:https?:)?//""")


class PageTestCase(SynchronousTestCase):
    """Asks for files."""

    folder = ""

    def ask(self, target: str, method: str = "GET", role: str = "server", **headers: Any) -> Told:
        """What is answered."""
        site = AdministrationSite(Routes(tuple(page_routes(role, self.folder))), OPEN, Clock())
        connection = Connection(site)
        connection.ask(method, target, **headers)
        (answer,) = connection.answers()
        return answer


class OwnPagesTests(PageTestCase):
    """Tests for the pages of the package."""

    def test_root(self) -> None:
        """The root leads to the pages, as with frp."""
        answer = self.ask("/")
        self.assertEqual((answer.status, answer.headers["Location"]), (301, "/static/"))
        self.assertEqual(answer.body, b'<a href="/static/">Moved Permanently</a>.\n\n')
        self.assertEqual(self.ask("/", "POST").body, b"")
        self.assertEqual(self.ask("/static").status, 404)

    def test_roles(self) -> None:
        """Each role has its own."""
        for role in ("server", "client"):
            for target in ("/static/", "/static/index.html"):
                self.assertIn(f'src="{role}.js"'.encode(), self.ask(target, role=role).body)

    def test_safe(self) -> None:
        """Nothing is loaded from elsewhere or run from within, and nobody frames it."""
        headers = self.ask("/static/").headers
        policy = headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
            self.assertIn(part, policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")

    def test_cached(self) -> None:
        """Who has a file already is not sent it again; who can, gets it compressed."""
        first = self.ask("/static/style.css")
        self.assertEqual(first.headers["Content-Type"], "text/css; charset=utf-8")
        again = self.ask("/static/style.css", **{"If-None-Match": first.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        packed = self.ask("/static/style.css", **{"Accept-Encoding": "br, gzip"})
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), first.body)

    def test_missing(self) -> None:
        """What is not there is not found, wherever it would lead."""
        for name in (
            "none.js",
            "",
            "vendor/",
            "..%2fpages.py",
            "%2e%2e/pages.py",
            "vendor",
            "a%00b",
            "/etc/passwd",
        ):
            answer = self.ask(f"/static/{name or 'x'}")
            self.assertIn(answer.status, (301, 404), name)

    def test_icon(self) -> None:
        """There is an icon."""
        self.assertEqual(self.ask("/favicon.ico").headers["Content-Type"], "image/svg+xml")

    def test_complete(self) -> None:
        """Every module that another one imports is there, and nothing names another server."""
        scripts = [path for path in STATIC.rglob("*.js") if path.parent.name != "vendor"]
        self.assertGreater(len(scripts), 10)
        for path in scripts:
            for name in _IMPORT.findall(path.read_text("utf-8")):
                self.assertTrue((path.parent / name).resolve().is_file(), f"{path.name} imports {name}")
        for path in (each for suffix in ("html", "css", "js") for each in STATIC.glob(f"**/*.{suffix}")):
            if path.parent.name != "vendor":
                self.assertIsNone(_ELSEWHERE.search(path.read_text("utf-8")), path.name)

    def test_licences(self) -> None:
        """What others have written says so."""
        text = (STATIC / "vendor" / "LICENSES.txt").read_text("utf-8")
        for name in ("htm", "preact", "uPlot"):
            self.assertIn(name, text)


class FolderTests(PageTestCase):
    """Tests for files of the operator's."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        (self.root / "sub").mkdir(parents=True)
        (self.root / "index.html").write_text("ours")
        (self.root / "sub" / "index.html").write_text("below")
        (self.root.parent / "secret").write_text("secret")
        self.folder = str(self.root)

    def test_served(self) -> None:
        """Files and indexes are served, as they are at the moment."""
        self.assertEqual(self.ask("/static/").body, b"ours")
        self.assertEqual(self.ask("/static/sub/").body, b"below")
        (self.root / "index.html").write_text("new")
        self.assertEqual(self.ask("/static/").body, b"new")
        self.assertEqual(self.ask("/favicon.ico").status, 404)

    def test_no_way_out(self) -> None:
        """Nothing outside is, by whatever name or link, and no pipe is waited for."""
        (self.root / "link").symlink_to(self.root.parent / "secret")
        os.mkfifo(self.root / "pipe")
        for name in ("..%2fsecret", "%2e%2e%2fsecret", "link", "pipe", "sub", "sub/..%2f..%2fsecret", "none"):
            self.assertNotEqual(self.ask(f"/static/{name}").body, b"secret", name)
            self.assertIn(self.ask(f"/static/{name}").status, (301, 404), name)

    def test_large(self) -> None:
        """A file that is far too large is none."""
        self.patch(pages, "MOST_FILE_BYTES", 3)
        self.assertEqual(self.ask("/static/").status, 404)


class PageFileTests(SynchronousTestCase):
    """Tests for :class:`PageFile`."""

    def test_types(self) -> None:
        """Names tell the types, the same on every machine; pictures are not compressed again."""
        self.assertEqual(PageFile.of("a.js", b"").type, "text/javascript; charset=utf-8")
        self.assertIsNone(PageFile.of("a.png", b"").compressed)
        self.assertEqual(PageFile.of("a", b"").type, "application/octet-stream")
