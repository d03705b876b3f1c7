"""Tests for :mod:`relaykit.verifying`; those of ``relaykit verify`` look at the files of TLS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit import blocking
from relaykit.assembly import RoleFiles
from relaykit.reloading import NOT_READ, READ_S
from relaykit.verifying import Verifying, verify_client_text
from tests.commands.terminal import run_printed


class VerifyTests(SynchronousTestCase):
    """Tests for texts that are not in a file yet."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        self.files = RoleFiles(config="frpc.toml", environ={"PORT": "22"}, folder=self.folder)

    def keys(self, text: str) -> list[tuple[str, int | None]]:
        """Where a text has problems."""
        return [(each.key, each.line) for each in verify_client_text(self.files, text).problems]

    def test_text(self) -> None:
        """A text counts as the content of the file, which need not be there."""
        good = 'auth.token = "s"\n[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = {{ .Envs.PORT }}\n'
        self.assertEqual(self.keys(good), [])
        self.assertEqual(self.keys(good + "remotePort = 99999\n"), [("proxies[0].remotePort", 6)])
        self.assertEqual(self.keys("auth.token = \r\n"), [("", 1)])

    def test_includes(self) -> None:
        """Files that it includes are read, from where the role's are."""
        Path(self.folder, "more.toml").write_text('[[proxies]]\nname = "a"\ntype = "tpc"\n')
        text = 'auth.token = "s"\nincludes = ["./*.toml"]\n'
        (problem,) = verify_client_text(self.files, text).problems
        self.assertEqual((problem.key, os.path.basename(problem.file)), ("proxies[0].type", "more.toml"))

    def test_files(self) -> None:
        """Files that it names are looked at, a token's too."""
        text = 'auth.tokenSource = { type = "file", file = { path = "/none" } }\n'
        (problem,) = verify_client_text(self.files, text).problems
        self.assertIn("/none", problem.what)
        text = 'auth.token = "s"\ntransport.tls.trustedCaFile = "ca.pem"\n'
        (problem,) = verify_client_text(self.files, text).problems
        self.assertIn(os.path.join(self.folder, "ca.pem"), problem.what)

    def test_local_services(self) -> None:
        """Services within the client say what is wrong with their arguments, and with files."""
        for plugin, why in (
            (
                'type = "https2http"\nlocalAddr = "a:80"\ncrtPath = "/none.crt"\nkeyPath = "/none.key"',
                "/none.crt",
            ),
            ('type = "tls2raw"\nlocalAddr = "a:80"\ncrtPath = "/none.crt"', "keyPath"),
            ('type = "http2https"\nlocalAddr = "a:443"\ntrustedCaFile = "/none.ca"', "/none.ca"),
            ('type = "http2http"\nlocalAddr = "a"', '"a" is no host with a port'),
            ('type = "socks5"', ""),
        ):
            text = f'auth.token = "s"\n[[proxies]]\nname = "web"\ntype = "tcp"\n[proxies.plugin]\n{plugin}\n'
            found = [each.what for each in verify_client_text(self.files, text).problems]
            self.assertEqual(len(found), bool(why), plugin)
            for what in found:
                self.assertTrue(what.startswith('proxy "web": '), what)
                self.assertIn(why, what)

    def test_as_the_command(self) -> None:
        """What is found is what ``relaykit verify`` says of a file with the same text."""
        proxy = '[[proxies]]\nname = "a"\ntype = "tcp"\n'
        for text in (
            'auth.token = "s"\n' + proxy + "localPort = 22\n",
            "nope = 1\nserverPort = 70000\n" + proxy + proxy + 'remotPort = "x"\n',
            'auth.tokenSource = { type = "file", file = { path = "/none" } }\n' + proxy,
            'store.path = "s.json"\nstart = ["b"]\n[[visitors]]\nname = "v"\ntype = "xtcp"\n',
            "serverAddr = \n",
            "{{ nope }}",
        ):
            path = Path(self.folder, "verified.toml")
            path.write_text(text)
            printed = run_printed(["verify", "--role", "client", "-c", str(path)])
            found = verify_client_text(RoleFiles(config=str(path), environ=os.environ), text)
            said = [f"WARNING: {each}" for each in found.warnings] + list(map(str, found.problems))
            self.assertEqual(sorted(printed.stderr.splitlines()), sorted("\n".join(said).splitlines()), text)
            self.assertEqual(printed.status, 1 if found.problems else 0)

    def test_warnings(self) -> None:
        """What only deserves a warning is told beside the problems."""
        found = verify_client_text(self.files, 'auth.token = "s"\nwebServer.pprofEnable = true\n')
        self.assertEqual(
            ([each.key for each in found.warnings], found.problems), (["webServer.pprofEnable"], ())
        )


class VerifyingTests(SynchronousTestCase):
    """Tests for :class:`Verifying`."""

    def test_turns(self) -> None:
        """Texts are looked at one after the other; one whose files never come is told so."""
        calls: list[tuple[Any, Deferred[Any]]] = []

        def call_in_thread(reactor: object, function: Any) -> Deferred[Any]:
            called: Deferred[Any] = Deferred()
            calls.append((function, called))
            return called

        self.patch(blocking, "call_in_thread", call_in_thread)
        clock = Clock()
        verifying = Verifying(clock, RoleFiles(config="frpc.toml", environ={}))
        first, second, third = verifying('auth.token = "s"\n'), verifying("a = "), verifying("")
        self.assertEqual(len(calls), 1)
        function, called = calls[0]
        called.callback(function())
        self.assertEqual(self.successResultOf(first).problems, ())
        clock.advance(READ_S)
        for late in (second, third):
            self.assertEqual(self.successResultOf(late).problems, (NOT_READ,))
        self.assertEqual(len(calls), 2, "the thread that never ends is the only one")
