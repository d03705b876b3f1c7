"""The dashboards of both roles, in a real browser."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests import LONG_TESTS
from tests.integration.chromium import Chromium, found_browser
from tests.integration.programs import free_port, free_ports
from tests.integration.relays import RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, dial

USER, PASSWORD = "admin", "a password"
HOSTILE = "<img src=x onerror=alert(1)>"
"""A name that would be markup, if anybody took it for some."""

TABBED = 12
"""Things that the tabulator reaches which a test looks at: the frame and the first of a page."""

MANY = 10_000 if os.environ.get(LONG_TESTS) else 1_000
"""Proxies at once."""

CHECKS = Path(__file__).with_name("page_checks.js")


class DashboardTestCase(RelayTestCase):
    """Has a server, a client and a browser that knows the password."""

    def setUp(self) -> None:
        super().setUp()
        program = found_browser()
        if program is None:
            raise SkipTest("there is no Chromium on this machine")
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        try:
            self.browser = Chromium(program, Path(self.folder), {"Authorization": f"Basic {credentials}"})
        except (AssertionError, OSError) as error:
            raise SkipTest(f"{program} does not run on this machine: {error}") from error
        self.addCleanup(self.browser.end)
        self.browser.call("Page.addScriptToEvaluateOnNewDocument", source=CHECKS.read_text("utf-8"))
        self.web, self.client_web = free_port(), free_port()
        self.ports = free_ports(4)
        self.local = self.start_service()
        self.server = self.start_server(
            {**self.web_table(self.web), "allowPorts": [{"single": self.ports[0]}]}
        )

    def web_table(self, port: int) -> Table:
        """The keys of a web server."""
        return {"webServer.port": port, "webServer.user": USER, "webServer.password": PASSWORD}

    def start_shop(self, **keys: Any) -> None:
        """The client, with a proxy that is up, one that is refused and one with a hostile name."""
        tcp: Table = {"type": "tcp", "localPort": self.local.port}
        proxies: list[Table] = [
            {**tcp, "name": "shop", "remotePort": self.ports[0]},
            {**tcp, "name": "printer", "remotePort": self.ports[1]},
            {"type": "stcp", "name": HOSTILE, "secretKey": "k", "localPort": self.local.port},
        ]
        table = {"user": "anna", "clientID": "workshop", **self.web_table(self.client_web), **keys}
        self.client = self.start_client(table, proxies)
        self.client.wait_for("start proxy success", 2)
        self.client.wait_for("port not allowed")

    def open(self, port: int, page: str = "") -> None:
        """Goes to a page of a dashboard, and waits until it is there."""
        self.browser.open(f"http://{LOOPBACK}:{port}/static/#/{page}")
        self.browser.wait_for("!!document.querySelector('main h1') && !document.querySelector('.loading')")

    def text(self) -> str:
        """What a person reads."""
        found: str = self.browser.evaluate("document.body.innerText")
        return found

    def wait_for_text(self, text: str) -> None:
        """Waits until it is to be read."""
        self.browser.wait_for(f"document.body?.innerText.includes({json.dumps(text)})")

    def click(self, text: str, within: str = "body") -> None:
        """Presses the button or link that is called this."""
        self.browser.wait_for(f"checks.press({json.dumps(text)}, {json.dumps(within)})")

    def type(self, selector: str, text: str) -> None:
        """Writes into a field."""
        self.browser.wait_for(f"checks.type({json.dumps(selector)}, {json.dumps(text)})")

    def check_pages(self, port: int, pages: dict[str, str]) -> None:
        """Each page has what it is for, fits the window, can be read, and complains of nothing."""
        for page, text in pages.items():
            self.browser.show(1280)
            self.open(port, page)
            self.wait_for_text(text)
            for width, dark in ((1280, False), (390, True)):
                self.browser.show(width, dark)
                shown = self.browser.evaluate("document.documentElement.scrollWidth")
                self.assertLessEqual(shown, width, page)
                self.assertEqual(self.browser.evaluate("checks.faint()"), [], page)
            self.assertEqual(self.browser.evaluate("checks.nameless()"), [], page)
        self.assertEqual(self.browser.complaints, [])


class ServerDashboardTests(DashboardTestCase):
    """That of a server."""

    def test_pages(self) -> None:
        """All pages show what there is, on wide and narrow screens, light and dark; names are no markup."""
        self.start_shop()
        with dial(self.ports[0]) as user:
            user.sendall(b"hello")
            self.assertEqual(user.recv(5), b"hello")
            self.check_pages(
                self.web,
                {
                    "": "Traffic now",
                    "proxies": HOSTILE,
                    "proxies/anna.shop": "Cut off",
                    "clients": "anna.workshop",
                    "clients/anna.workshop": "End the session",
                    "refusals": "Ask for a port that is allowed",
                    "log": "new proxy [anna.shop]",
                },
            )
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('main img').length"), 0)

    def test_refused(self) -> None:
        """A proxy that was refused has a page, too, which says why and what to do."""
        self.start_shop()
        self.open(self.web, "refusals")
        self.click("anna.printer", "main")
        self.browser.wait_for("location.hash === '#/proxies/anna.printer'")
        self.wait_for_text("Ask for a port that is allowed")
        self.click("anna.workshop", "main")
        self.wait_for_text("End the session")

    def test_acts(self) -> None:
        """A user is cut off and a session is ended, once that is confirmed; events tell of it."""
        self.start_shop()
        with dial(self.ports[0]) as user:
            self.open(self.web, "proxies/anna.shop")
            self.click("Cut off", "main")
            self.browser.wait_for("!!document.querySelector('dialog[open]')")
            self.click("Cut off", "dialog[open]")
            self.wait_for_text("Nobody is here")
            with contextlib.suppress(ConnectionError):
                self.assertEqual(user.recv(1), b"")
        self.open(self.web)
        self.browser.evaluate("window.kept = true")
        self.client.stop()
        self.wait_for_text("anna.workshop is gone")
        self.assertTrue(self.browser.evaluate("window.kept"), "the page was loaded again")

    def test_probe(self) -> None:
        """Whether users are served is looked at on request, and what to do is beside what is wrong."""
        self.start_shop()
        self.open(self.web, "proxies/anna.shop")
        self.wait_for_text("Nobody has looked since it was opened")
        self.click("Look now", "main")
        self.wait_for_text("It got to the local service")
        self.local.stop()
        self.click("Look now", "main")
        self.wait_for_text("connection refused")
        self.wait_for_text("Start the service, or correct its address")
        self.assertEqual(self.browser.complaints, [])

    def test_log(self) -> None:
        """Lines come as they are logged, are searched and chosen by level, and wait while they are held."""
        self.open(self.web, "log")
        self.wait_for_text("the server started successfully")
        self.start_shop()
        self.wait_for_text("new proxy [anna.shop] type [tcp] success")
        self.click("Pause", "main")
        self.client.stop()
        self.wait_for_text("new)")
        self.assertNotIn("client exit success", self.text())
        self.browser.evaluate("document.querySelector('main [aria-pressed=true]').click()")
        self.wait_for_text("client exit success")
        self.type("input[type=search]", "exit success")
        self.browser.wait_for("document.querySelectorAll('.log li').length === 1")
        self.type("input[type=search]", "")
        choose = "document.querySelector('main select')"
        self.browser.evaluate(f"{choose}.value = 'warn'; {choose}.dispatchEvent(new Event('change'))")
        self.wait_for_text("port not allowed")
        self.assertNotIn("client exit success", self.text())
        self.assertEqual(self.browser.complaints, [])

    def test_search(self) -> None:
        """Proxies are searched, chosen by their state and paged through by the server."""
        names = [f"service-{number:04}" for number in range(120)]
        proxies: list[Table] = [
            {"name": name, "type": "stcp", "secretKey": "k", "localPort": self.local.port} for name in names
        ]
        self.start_client({}, proxies).wait_for("start proxy success", len(names))
        self.open(self.web, "proxies")
        self.wait_for_text("1 to 50 of 120")
        self.browser.evaluate("document.querySelector('[aria-label=\"Next page\"]').click()")
        self.wait_for_text("51 to 100 of 120")
        self.wait_for_text("service-0050")
        self.type("input[type=search]", "0077")
        self.wait_for_text("1 to 1 of 1")
        self.type("input[type=search]", "no such")
        self.wait_for_text("Nothing fits")

    def test_many(self) -> None:
        """Thousands of proxies are searched and paged through at both roles, by pages of some rows."""
        count = MANY
        self.server.stop()
        self.server = self.start_server({**self.web_table(self.web), "maxProxiesPerClient": -1})
        proxies: list[Table] = [
            {"name": f"service-{number:05}", "type": "stcp", "secretKey": "k", "localPort": self.local.port}
            for number in range(count)
        ]
        self.start_client(self.web_table(self.client_web), proxies)
        self.open(self.web, "proxies")
        self.wait_for_text(f"1 to 50 of {count:,}")
        self.browser.evaluate("document.querySelector('[aria-label=\"Next page\"]').click()")
        self.wait_for_text(f"51 to 100 of {count:,}")
        self.type("input[type=search]", f"{count - 1:05}")
        self.wait_for_text("1 to 1 of 1")
        self.open(self.client_web, "proxies")
        self.wait_for_text(f"1 to 100 of {count:,}")
        self.type("input[type=search]", f"{count - 1:05}")
        self.browser.wait_for("document.querySelectorAll('tbody tr').length === 1")
        # Rows are those of a page, however many there are: this is what makes a browser slow.
        self.assertLess(self.browser.evaluate("document.querySelectorAll('*').length"), 5000)

    def test_keyboard(self) -> None:
        """The tabulator goes from the top through all that can be used, and what has it is seen."""
        self.start_shop()
        self.open(self.web, "proxies")
        self.wait_for_text(HOSTILE)
        seen = []
        for _ in range(TABBED):
            self.browser.press("Tab")
            seen.append(self.browser.evaluate("checks.focused()"))
        self.assertEqual(seen[0][0], "Skip to the content")
        self.assertEqual([each[0] for each in seen[2:6]], ["Overview", "Proxies", "Clients", "Refused"])
        self.assertEqual(seen[6][0], "Log")
        self.assertEqual([each for each in seen if not each[1]], [])

    def test_lost(self) -> None:
        """A program that is gone is told of, and what there was stays on the screen."""
        self.start_shop()
        self.open(self.web)
        self.wait_for_text("Traffic now")
        self.server.kill()
        self.wait_for_text("The program does not answer")
        self.assertIn("Proxies", self.text())

    def test_address(self) -> None:
        """The root leads to the pages; a folder of the operator's is served in place of them."""
        self.browser.open(f"http://{LOOPBACK}:{self.web}/")
        self.wait_for_text("Traffic now")
        folder = Path(self.folder, "assets")
        folder.mkdir()
        (folder / "index.html").write_text("<p>ours</p>")
        self.start_shop(**{"webServer.assetsDir": str(folder)})
        self.browser.open(f"http://{LOOPBACK}:{self.client_web}/")
        self.wait_for_text("ours")


class ClientDashboardTests(DashboardTestCase):
    """That of a client."""

    def setUp(self) -> None:
        super().setUp()
        self.store = Path(self.folder, "store.json")
        self.start_shop(**{"store.path": str(self.store)})

    def test_pages(self) -> None:
        """All pages show what there is, on wide and narrow screens, light and dark; names are no markup."""
        self.check_pages(
            self.client_web,
            {
                "": "port not allowed",
                "proxies": HOSTILE,
                "entry/proxies/shop": "What it was told",
                "edit/proxies": "A new proxy",
                "edit/visitors": "A new visitor",
                "file": "The file as it is",
                "log": "[shop] start proxy success",
            },
        )

    def test_store(self) -> None:
        """A proxy is added by a form that looks at it as it is written, switched off, and deleted."""
        self.open(self.client_web, "edit/proxies")
        self.browser.wait_for("document.querySelector('[type=submit]').disabled")
        self.assertNotIn("must be given", self.text())
        self.type("#key-name", "added")
        self.type("#key-name", "")
        self.wait_for_text("must be given")
        self.type("#key-name", "added")
        self.type("#key-localPort", "99999")
        self.wait_for_text("must be in the range")
        self.assertTrue(self.browser.evaluate("document.querySelector('[type=submit]').disabled"))
        self.type("#key-localPort", str(self.local.port))
        self.browser.wait_for("!document.querySelector('[type=submit]').disabled")
        self.click("Save", "form")
        self.client.wait_for("[added]")
        self.wait_for_text("edited here")
        self.assertIn("added", self.store.read_text())
        self.click("Edit", "main")
        self.browser.wait_for("!!document.querySelector('#key-enabled')")
        self.browser.evaluate("document.querySelector('#key-enabled').click()")
        self.browser.wait_for("!document.querySelector('[type=submit]').disabled")
        self.click("Save", "form")
        self.browser.wait_for("location.hash === '#/proxies'")
        self.wait_for_it(lambda: '"enabled":false' in self.store.read_text().replace(" ", ""))
        self.open(self.client_web, "edit/proxies/added")
        self.click("Delete", "form")
        self.browser.wait_for("!!document.querySelector('dialog[open]')")
        self.click("Delete", "dialog[open]")
        self.wait_for_it(lambda: "added" not in self.store.read_text())
        self.assertEqual(self.browser.complaints, [])

    def test_file(self) -> None:
        """The file is looked at while it is written, and saved and read again only when it can be used."""
        self.open(self.client_web, "file")
        text: str = self.browser.wait_for("document.querySelector('#file')?.value")
        self.type("#file", text.replace('"shop"', '"printer"'))
        self.browser.wait_for("!!document.querySelector('form .problem')")
        self.assertTrue(self.browser.evaluate("document.querySelector('[type=submit]').disabled"))
        self.type("#file", text.replace('"shop"', '"bazaar"'))
        self.browser.wait_for("!document.querySelector('[type=submit]').disabled")
        self.click("Save and read again", "form")
        self.wait_for_text("Saved, and read again.")
        self.client.wait_for("[bazaar] start proxy success")
