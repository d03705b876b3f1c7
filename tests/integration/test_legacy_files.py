"""Old INI files with frp's plugins: run as they are, and run as what ``relaykit migrate`` makes of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.integration.programs import (
    PATIENCE_S,
    Program,
    free_ports,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import TOKEN, RelayTestCase
from tests.integration.traffic import LOOPBACK, converse

_MAIN = """\
; how to get there
[common]
server_addr = {{{{ .Envs.RELAY }}}}
server_port = {port}
token = {token}
includes = {included}

[socks]
plugin = socks5
plugin_user = anna
plugin_passwd = p #;1
remote_port = {socks}

[forward]
type = tcp
plugin = http_proxy
plugin_http_user = anna
plugin_http_passwd = hush
remote_port = {forward}

[range:echo]
local_port = {local},{local}
remote_port = {first},{second}
"""

_INCLUDED = """\
[files]
type = tcp
# the folder
plugin = static_file
plugin_local_path = {folder}
plugin_strip_prefix = pre
plugin_http_user = anna
plugin_http_passwd = hush
remote_port = {files}
"""

_NAMES = ("socks", "forward", "files", "echo_0", "echo_1")


class LegacyFileTests(RelayTestCase):
    """Our server, and clients with old files."""

    def setUp(self) -> None:
        """Writes the files, and finds what asks the services."""
        super().setUp()
        found = shutil.which("curl")
        if found is None:
            raise SkipTest("curl is not installed")
        self._curl = found
        names = ("socks", "forward", "files", "first", "second")
        self._at = dict(zip(names, free_ports(len(names)), strict=True))
        published = self.folder / "published"
        published.mkdir()
        (published / "a.txt").write_text("what is in the folder")
        self._echo = self.start_service()
        self.main, self.included = self.folder / "old.ini", self.folder / "files.ini"
        self.included.write_text(_INCLUDED.format(folder=published, **self._at))
        self.write_main(self.included)
        self.start_server()

    def write_main(self, included: Path) -> None:
        """Writes the file that includes the other one."""
        text = _MAIN.format(
            port=self.bind_port, token=TOKEN, included=included, local=self._echo.port, **self._at
        )
        self.main.write_text(text)

    def migrate(self, file: Path, *flags: str) -> Path:
        """Writes the file anew as TOML."""
        new = file.with_suffix(".toml")
        with new.open("w") as output:
            subprocess.run(
                [*relaykit_command("migrate"), *flags, str(file)],
                stdout=output,
                stderr=subprocess.PIPE,
                check=True,
                timeout=PATIENCE_S,
            )
        return new

    def run_client(self, file: Path, command: Sequence[str] = ()) -> Program:
        """A client with that file, all of whose proxies are there."""
        client = self.start_file(command or self.client_command, str(file), environ={"RELAY": LOOPBACK})
        for name in _NAMES:
            client.wait_for(f"[{name}] start proxy success")
        return client

    def check_services(self) -> None:
        """Each plugin serves who has its password, and nobody else."""
        for each in ("first", "second"):
            converse(self._at[each])
        files = f"http://{LOOPBACK}:{self._at['files']}/pre/a.txt"
        self.assertEqual(self.ask(files, "-u", "anna:hush"), ("what is in the folder", 0))
        self.assertNotEqual(self.ask(files)[1], 0)
        for scheme, password in (("http", "hush"), ("socks5h", "p%20%23%3B1")):
            port = self._at["forward" if scheme == "http" else "socks"]
            through = f"{scheme}://anna:{password}@{LOOPBACK}:{port}"
            self.assertEqual(
                self.ask(files, "-u", "anna:hush", "-x", through), ("what is in the folder", 0), scheme
            )
            stranger = through.replace(password, "else")
            self.assertNotEqual(self.ask(files, "-u", "anna:hush", "-x", stranger)[1], 0, scheme)

    def ask(self, url: str, *flags: str) -> tuple[str, int]:
        """What curl prints, and its status."""
        done = subprocess.run(
            [self._curl, "-sf", "--noproxy", "", "-m", str(int(PATIENCE_S)), *flags, url],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
        )
        return done.stdout, done.returncode

    def test_as_it_is(self) -> None:
        """The old file does what it did, and says that it is old."""
        client = self.run_client(self.main)
        self.assertIn("this is an INI file of an old frp version", client.output)
        self.check_services()

    def test_migrated(self) -> None:
        """What is made of it does the same, with our client and with frp's."""
        new = self.migrate(self.included, "--included")
        self.assertIn("# the folder", new.read_text())
        self.write_main(new)
        migrated = self.migrate(self.main)
        client = self.run_client(migrated)
        self.assertNotIn("old frp version", client.output)
        self.check_services()
        client.stop()
        if missing_frp() is None:
            self.run_client(migrated, frp_command("frpc"))
            self.check_services()
