"""The howto *Operate a server*: its files, with the real logrotate."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import tomllib

from twisted.trial.unittest import SkipTest

from tests.integration.programs import PATIENCE_S, free_port, frp_command, missing_frp, wait_for_file
from tests.integration.walkthrough import WalkTestCase, need, path_of


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


class WebServerTests(WalkTestCase):
    """Tests for asking a program that runs."""

    def test_server(self) -> None:
        """A server with the file of the howto answers of a client's proxy."""
        need("curl")
        web, port = free_port(), free_port()
        self.replace("7500", web)
        self.replace("7000", port)
        server = self.begin(f"relaykit server -c {self.copy('operate/frps-web.toml')}")
        server.wait_for("the web server listens on")
        token = tomllib.loads(self.listing("operate/frps-web.toml"))["auth"]["token"]
        public = free_port()
        client = self.begin(
            f"RELAYKIT_TOKEN={token} relaykit tcp {free_port()} --server 127.0.0.1:{port} "
            f"--remote-port {public} --name ssh"
        )
        server.wait_for("new proxy [ssh] type [tcp] success")
        told = [json.loads(line) for line in self.do(self.listing("operate/ask-server.sh")).splitlines()]
        info, clients, proxies = told
        self.assertEqual((info["bindPort"], info["clientCounts"]), (port, 1))
        self.assertEqual([each["online"] for each in clients], [True])
        (proxy,) = proxies["proxies"]
        *asking, following = self.listing("operate/own-server.sh").splitlines()
        users, refusals = [json.loads(self.do(each)) for each in asking]
        self.assertEqual((users["items"], refusals["items"]), ([], []))
        told = [json.loads(line) for line in self.do(self.listing("operate/probe.sh")).splitlines()]
        self.assertEqual(
            (told[0]["online"], told[0]["reached"], told[1]["probe"]), (False, "client", told[0])
        )
        history = json.loads(self.do(self.listing("operate/history.sh")))
        self.assertEqual((history["proxy"], len(history["times"])), ("ssh", 7 * 24))
        followed = self.begin(following.replace("curl ", "curl --no-buffer --silent "))
        followed.wait_for(":")
        client.stop()
        followed.wait_for("event: client-disconnected")
        self.assertEqual((proxy["name"], proxy["conf"]["remotePort"]), ("ssh", public))

    def test_asked(self) -> None:
        """A client with the file of the howto answers, and frp's own program understands it."""
        self.replace("7400", free_port())
        self.replace("relay.example", "127.0.0.1")
        config = self.copy("operate/frpc-web.toml")
        client = self.begin(f"relaykit client -c {config}")
        client.wait_for("the web server listens on")
        need("curl")
        answered = self.do(self.listing("operate/ask-client.sh"))
        # There is no server here.
        self.assertEqual(answered, "{}\n" + config.read_text())
        if missing := missing_frp():
            raise SkipTest(missing)
        self.assertIn(
            "Proxy Status", self.do(shlex.join([*frp_command("frpc"), "status", "-c", str(config)]))
        )
