"""The documentation keeps its own rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.layering import ROOT

DOCS = ROOT / "docs"
_INCLUDE = re.compile(r"^\s*\.\. literalinclude:: (\S+)$", re.MULTILINE)


def _pages() -> dict[Path, str]:
    pages = sorted(path for path in DOCS.rglob("*.rst") if "_build" not in path.parts)
    return {path.relative_to(DOCS): path.read_text("utf-8") for path in pages}


class PagesTests(SynchronousTestCase):
    """Tests for the sources of the pages."""

    def test_no_code_in_pages(self) -> None:
        """Whatever a reader may copy is a file in ``docs/listings/``, where it can be tested."""
        for path, text in _pages().items():
            found = re.findall(
                r"^\s*\.\. (?:code|code-block|sourcecode|parsed-literal)::", text, re.MULTILINE
            )
            found += re.findall(r"^\s*[^.\s].*::$", text, re.MULTILINE)
            self.assertEqual(found, [], str(path))

    def test_listings_are_shown(self) -> None:
        """Every listing is shown on a page, and every listing that is shown exists."""
        shown = {
            (DOCS / path.parent / target).resolve()
            for path, text in _pages().items()
            for target in _INCLUDE.findall(text)
        }
        there = {path for path in (DOCS / "listings").rglob("*") if path.is_file() and path.suffix != ".pyc"}
        self.assertEqual({path for path in shown if not path.is_file()}, set())
        self.assertEqual(there - shown, set())

    def test_line_length(self) -> None:
        """Pages are as wide as the code, so that a change is easy to review."""
        long = [
            f"{path}:{number}"
            for path, text in _pages().items()
            for number, line in enumerate(text.splitlines(), 1)
            if len(line) > 120
        ]
        self.assertEqual(long, [])


NOT_RUN = {
    "install.sh": "needs the package index; .ci/check_wheel.py installs the same",
    "install-editable.sh": "changes the environment that the tests run in",
    "write-plugin-cache.sh": "writes to the environment that the tests run in",
    "service/install.sh": "needs root and the package index",
    "service/sockets.sh": "needs root; tests have the units that it prints checked by systemd-analyze",
    "service/certificate.sh": "needs root; tests have the units that it prints checked by systemd-analyze",
    "service/renewed.sh": "needs a running systemd",
    "service/look.sh": "needs a running systemd",
    "service/container.sh": "needs podman; tests/test_container.py reads the Containerfile",
    "plugin/tree.txt": "a picture of folders",
    "plugin/install.sh": "needs the package index; .ci/run installs the package, and tests run the example",
    "operate/ask.sh": "one of its commands never ends; tests/integration/test_reload.py asks the same",
    "nat/answer.txt": "depends on the network; tests.nat.test_report compares its texts",
    "nat/peers.txt": "as nat/answer.txt",
    "wireguard/home.conf": "needs WireGuard, and keys; tests send datagrams of its size",
    "wireguard/away.conf": "likewise",
    "database/use.sh": "needs a database; tests fetch from the port",
    "connect/use.sh": "needs an SSH server at another machine; tests use curl in its place",
    "website/zone.txt": "needs a name server",
    "sites/zone.txt": "likewise",
    "tls-relay/group.sh": "needs root",
    "tls-relay/keys.conf": "needs a running systemd",
    "tls-relay/first.sh": "needs certbot, and names in DNS",
    "tls-relay/renew.sh": "likewise; tests lead a request to the port",
    "cdn/firewall.nft": "needs root",
    "forward-proxy/line.sh": "needs a company's proxy; tests.integration.test_forward_proxies has squid",
    "forward-proxy/look.sh": "likewise",
    "secret-service/use.sh": "needs a database; tests write to the port",
    "direct/demo.sh": "needs root; tests.integration.test_nat_demo runs the command",
    "direct/install.sh": "needs the package index",
    "direct/key.sh": "as database/key.sh, which tests run",
    "direct/run.sh": "needs machines behind NATs; tests.natlab.test_direct has them in a laboratory",
    "direct/use.sh": "likewise; curl is in ssh's place",
    "direct/owner.sh": "likewise",
    "direct/visitor.sh": "likewise",
}
"""Listings that no test runs or loads, with the reason."""


class RunListingTests(SynchronousTestCase):
    """Tests for who runs the listings."""

    def test_every_listing(self) -> None:
        """Every listing is run or loaded by a test, but a few whose reason is written down."""
        tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
        listings = DOCS / "listings"
        loaded = {".toml", ".yaml", ".yml", ".json"}
        idle = {
            str(path.relative_to(listings))
            for path in listings.rglob("*")
            if path.is_file() and path.suffix not in loaded
            if f'"{path.relative_to(listings)}"' not in tests
        }
        named = {name for name in NOT_RUN if (listings / name).is_file()}
        self.assertEqual(named, set(NOT_RUN))
        self.assertEqual(idle - set(NOT_RUN), set())


class ShellListingTests(SynchronousTestCase):
    """Tests for the commands that are shown."""

    def test_syntax(self) -> None:
        """Every shell listing can be parsed by a shell."""
        listings = sorted((DOCS / "listings").rglob("*.sh"))
        self.assertNotEqual(listings, [])
        for path in listings:
            done = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path.name)
