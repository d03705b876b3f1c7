"""The howto *Operate a server*: its files, with the real logrotate."""

from __future__ import annotations

import json
import re
import signal
import subprocess

from tests.integration.programs import PATIENCE_S, free_port, wait_for_file
from tests.integration.walkthrough import WalkTestCase, path_of


class LogTests(WalkTestCase):
    """Tests for the log of the howto."""

    def setUp(self) -> None:
        """Starts a server with the file of the howto."""
        super().setUp()
        self.replace("7000", free_port())
        self.replace("/var/log/relaykit", self.folder)
        (self.folder / "token").write_text("secret")
        self.server = self.begin(
            f"relaykit server -c {self.copy('operate/server.toml')} --token-file token --state-dir state"
        )
        self.log = self.folder / "server.log"
        wait_for_file(self.log, "certificate fingerprint")

    def test_logrotate(self) -> None:
        """The file is put aside, and the server goes on in a new one; its lines are objects."""
        self.replace("systemctl kill --kill-whom=main --signal=HUP relaykit-server.service", "touch rotated")
        text = self.listing("operate/logrotate.conf")
        # It takes neither files that others may write to nor folders, whoever runs the tests.
        text = re.sub(r"\{", "{\n    su root root", text, count=1) if self.folder.owner() == "root" else text
        conf = self.folder / "logrotate.conf"
        conf.write_text(text)
        conf.chmod(0o600)
        done = subprocess.run(
            [path_of("logrotate"), "--force", "--state", str(self.folder / "logrotate.state"), str(conf)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            cwd=self.folder,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "rotated").exists())
        self.server.signal(signal.SIGHUP)
        wait_for_file(self.log, "the log file was opened again")
        self.assertIn("certificate fingerprint", (self.folder / "server.log.1").read_text())
        for line in self.log.read_text().splitlines():
            self.assertEqual(json.loads(line)["level"], "info")

    def test_alarms(self) -> None:
        """What is looked for has the form that lines have: this server's token is a weak one."""
        self.assertIn('"problem": "weak-token"', self.do(self.listing("operate/alarms.sh")))
