"""Follows the documentation: runs its listings as a reader would, on this machine.

What only a reader can fill in (names of machines, ports, files elsewhere) is replaced; everything else is
run as it stands there.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration.programs import PATIENCE_S, Program
from tests.integration.traffic import LOOPBACK
from tests.layering import ROOT

__all__ = ["LISTINGS", "WalkTestCase", "line_of", "need", "path_of"]

LISTINGS = ROOT / "docs" / "listings"
"""Where every example of the documentation is."""

HOST = "relay.example"
"""The server of the documentation."""


def line_of(server: Program, text: str) -> str:
    """The line with a text in it that ``relaykit server --quick`` prints for the other machine."""
    line = server.wait_for(text).strip()
    # It goes to no terminal, so the token is where the server says.
    kept = server.wait_for("TOKEN is in ").removeprefix("TOKEN is in ").partition(";")[0]
    return line.replace("=TOKEN ", f"={Path(kept).read_text().strip()} ")


def need(*programs: str) -> None:
    """Skips the test where one of these programs is not installed."""
    for program in programs:
        path_of(program)


def path_of(program: str) -> str:
    """Where a program is; skips the test where it is not installed."""
    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"]))
    if found is None:
        raise SkipTest(f"there is no {program} on this machine")
    return found


class WalkTestCase(SynchronousTestCase):
    """A reader's machine: a folder, the programs on its path, and what they are called there."""

    def setUp(self) -> None:
        """Makes the folder, with ``relaykit`` on the path."""
        self.folder = Path(self.mktemp()).absolute()
        self.programs = self.folder / "bin"
        self.programs.mkdir(parents=True)
        self.replaced: dict[str, str] = {}
        self.command("relaykit", f'exec {shlex.quote(sys.executable)} -m relaykit "$@"')

    def command(self, name: str, script: str) -> None:
        """Puts a program on the path."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def replace(self, text: str, by: object) -> None:
        """Has a text of the listings replaced, on this machine."""
        self.replaced[text] = str(by)

    def listing(self, name: str) -> str:
        """A listing, with the reader's own values in it."""
        text = (LISTINGS / name).read_text()
        for here, there in self.replaced.items():
            text = re.sub(rf"(?<!\d){re.escape(here)}(?!\d)", there.replace("\\", r"\\"), text)
        return text

    def copy(self, name: str, to: str = "") -> Path:
        """Puts a listing into the folder, as a file."""
        path = self.folder / (to or Path(name).name)
        path.write_text(self.listing(name))
        return path

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of the reader's shell."""
        return {
            "PATH": f"{self.programs}:/usr/sbin:{os.environ.get('PATH', '')}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "TERM": "dumb",
        }

    def do(self, script: str) -> str:
        """What a script prints; it must succeed."""
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}{done.stderr}")
        return done.stdout

    def begin(self, script: str) -> Program:
        """Starts a script that goes on; it is stopped at the end."""
        # The last command takes the place of the shell, so that it gets the signals.
        words = script.strip().splitlines()
        *before, last = words
        assignments, _, command = last.rpartition(" relaykit ")
        last = f"{assignments} exec relaykit {command}" if assignments else f"exec {last}"
        program = Program(("sh", "-eu", "-c", "\n".join([*before, last])), self.folder, {**self.environ})
        self.addCleanup(program.stop)
        return program

    def begin_nginx(self, configuration: Path) -> Program:
        """Starts nginx with what a listing shows of its configuration, or skips the test."""
        nginx = path_of("nginx")
        module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        load = f"load_module {module};\n" if module.exists() else ""
        here = f"{load}daemon off;\nerror_log stderr;\npid {configuration}.pid;\nevents {{}}\n"
        configuration.write_text(here + configuration.read_text())
        checked = subprocess.run(
            [nginx, "-t", "-c", str(configuration)], capture_output=True, text=True, check=False
        )
        for directive, module_name in (
            ("stream", "stream"),
            ("ssl_certificate", "ssl"),
            ("set_real_ip_from", "realip"),
        ):
            if f'unknown directive "{directive}"' in checked.stderr:
                raise SkipTest(f"nginx has no {module_name} module on this machine")
        return self._begin_front(nginx, "-c", str(configuration))

    def begin_haproxy(self, configuration: Path) -> Program:
        """Starts HAProxy, or skips the test."""
        return self._begin_front(path_of("haproxy"), "-f", str(configuration))

    def begin_caddy(self, configuration: Path) -> Program:
        """Starts Caddy, or skips the test."""
        return self._begin_front(
            path_of("caddy"), "run", "--adapter", "caddyfile", "--config", str(configuration)
        )

    def _begin_front(self, *command: str) -> Program:
        program = Program(command, self.folder)
        self.addCleanup(program.stop)
        return program

    def wait_for_port(self, port: int) -> None:
        """Waits until a program listens that does not say so."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection((LOOPBACK, port), PATIENCE_S).close()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)  # a port tells nobody that somebody listens there
            else:
                return
