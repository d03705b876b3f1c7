"""Tests for ``relaykit systemd``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.commands.service_files import ServiceFiles
from relaykit.commands.systemd import MOST_SOCKETS, socket_unit, unit
from tests.commands.terminal import Printed, run_printed

COMMAND = ["/bin/true"]

_CHECKS = (["verify"], ["security", "--offline=yes", "--threshold=20"])


def analyzed(path: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """What ``systemd-analyze`` says of a unit."""
    return subprocess.run(["systemd-analyze", *words, str(path)], capture_output=True, text=True, check=False)


def need_systemd(folder: Path) -> None:
    """Skips the test where systemd cannot check units: it is not there, too old, or wants to be running.

    :param folder: where it is tried, with the plainest of units.
    """
    if shutil.which("systemd-analyze") is None:
        raise SkipTest("there is no systemd-analyze on this machine")
    folder.mkdir()
    plain = folder / "plain.service"
    plain.write_text("[Service]\nExecStart=/bin/true\n")
    for words in (["verify"], ["security", "--offline=yes", "--threshold=100"]):
        tried = analyzed(plain, words)
        if tried.returncode:
            raise SkipTest(f"systemd-analyze cannot check units here: {tried.stdout}{tried.stderr}")


TOKEN = 'auth.token = "t"\n'
"""What a server's file has to have."""


NETWORK = """\
serverAddr = "relay.example"
featureGates = { VirtualNet = true }
virtualNet.address = "100.86.0.1/24"
"""


class UnitTests(SynchronousTestCase):
    """Tests for what is in a unit."""

    def test_rights(self) -> None:
        """A role that needs no low port has no capability; one that needs it has this one only."""
        plain = unit("server", COMMAND, "/etc/relaykit/server.toml", "", [])
        self.assertIn("\nCapabilityBoundingSet=\n", plain)
        self.assertIn("\nPrivateUsers=yes\n", plain)
        low = unit("server", COMMAND, "/etc/relaykit/server.toml", "", [80, 443])
        self.assertIn("\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n", low)
        self.assertIn("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n", low)
        self.assertIn("for port 80 and 443.", low)
        self.assertNotIn("PrivateUsers", low)

    def test_virtual_network(self) -> None:
        """A client with a virtual network may make its device, and sees no other one of the machine."""
        self.assertIn("\nPrivateDevices=yes\n", unit("client", COMMAND, "/etc/a.toml", "", []))
        text = unit("client", COMMAND, "/etc/a.toml", "", [80], has_network=True)
        self.assertIn("\nDevicePolicy=closed\nDeviceAllow=/dev/net/tun rw\n", text)
        self.assertIn("\nAmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_ADMIN\n", text)
        self.assertIn("  What it has is for port 80, and for the virtual network.\n", text)
        for word in ("PrivateDevices", "PrivateUsers"):
            self.assertNotIn(word, text)

    def test_token(self) -> None:
        """A token file is handed over as a credential, so that the service's user need not read it."""
        text = unit("client", COMMAND, "/etc/relaykit/client.toml", "/etc/relaykit/token", [])
        self.assertIn("\nLoadCredential=token:/etc/relaykit/token\n", text)
        self.assertIn(" --token-file ${CREDENTIALS_DIRECTORY}/token\n", text)

    def test_files(self) -> None:
        """What is handed over, the groups of what is not, and the folder of the log are in the unit."""
        files = ServiceFiles(
            credentials=(("transport.tls.keyFile", "/etc/a%.key"), ("config", "/root/server.yaml")),
            groups=("keys", "logs"),
            logs="relaykit",
        )
        text = unit("server", COMMAND, "/root/server.yaml", "", [], files=files)
        for line in (
            "LoadCredential=transport.tls.keyFile:/etc/a%%.key",
            "LoadCredential=config.yaml:/root/server.yaml",
            "ExecStart=/bin/true server -c ${CREDENTIALS_DIRECTORY}/config.yaml",
            "SupplementaryGroups=keys logs",
            "LogsDirectory=relaykit",
        ):
            self.assertIn(f"\n{line}\n", text)

    def test_quoting(self) -> None:
        """Paths are taken literally, whatever is in them."""
        text = unit("client", ["/opt/my programs/relaykit"], "/etc/100%/$x.toml", "", [])
        self.assertIn('\nExecStart="/opt/my programs/relaykit" client -c "/etc/100%%/$$x.toml"\n', text)

    def test_accepted(self) -> None:
        """Systemd takes both units, and finds little that they could do to the machine."""
        need_systemd(Path(self.mktemp()).absolute())
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        sockets, path = folder / "relaykit-server.socket", folder / "relaykit-server.service"
        sockets.write_text(socket_unit(["ListenStream=443", "ListenDatagram=[::1]:53"]))
        for role, low, with_sockets in (
            ("server", [], False),
            ("client", [], False),
            ("server", [443], False),
            ("server", [], True),
        ):
            files = ServiceFiles(
                credentials=(("transport.tls.keyFile", "/etc/a.key"), ("vhost[0].keyFile", "/etc/b.key")),
                groups=("root",),
                logs="relaykit",
            )
            path.write_text(
                unit(role, COMMAND, "/etc/relaykit/c.toml", "/etc/relaykit/token", low, with_sockets, files)
            )
            for words in _CHECKS:
                done = analyzed(path, words)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = analyzed(sockets, ["verify"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class RunTests(SynchronousTestCase):
    """Tests for the command."""

    def setUp(self) -> None:
        """Makes a folder for the files."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def systemd(self, role: str, text: str, *words: str) -> Printed:
        """Prints the unit for a file with this text."""
        path = self.folder / f"{role}.toml"
        path.write_text(text)
        return run_printed(["systemd", role, "-c", str(path), *words])

    def test_command(self) -> None:
        """The unit calls this relaykit, with absolute paths."""
        printed = self.systemd("server", TOKEN)
        self.assertEqual(printed.status, 0)
        self.assertIn(f"\nExecStart={Path(sys.executable).parent}/", printed.stdout)
        self.assertIn(f"{self.folder}/server.toml\n", printed.stdout)

    def test_named_files(self) -> None:
        """The files that the configuration names come into the unit, and what is left to do is told."""
        text = (
            f'{TOKEN}log.to = "/srv/frps.log"\n[transport.tls]\ncertFile = "/nonexistent/a.crt"\n'
            'keyFile = "/nonexistent/a.key"\n'
        )
        for role in ("server", "client"):
            printed = self.systemd(role, text)
            for key, name in (("certFile", "a.crt"), ("keyFile", "a.key")):
                line = f"\nLoadCredential=transport.tls.{key}:/nonexistent/{name}\n"
                self.assertIn(line, printed.stdout)
            self.assertIn("note: log.to: the service cannot write /srv/frps.log", printed.stderr)
            self.assertIn(f"systemctl try-restart relaykit-{role}", printed.stderr)
        self.assertNotIn("log.to", self.systemd("server", f'{TOKEN}log.to = "console"\n').stderr)

    def test_low_ports(self) -> None:
        """The configuration decides whether a capability is needed."""
        for role, text, needed in (
            ("server", f"{TOKEN}bindPort = 7000\n", ""),
            ("server", f"{TOKEN}bindPort = 443\n", "CAP_NET_BIND_SERVICE"),
            ("server", f"{TOKEN}[[allowPorts]]\nstart = 1000\nend = 2000\n", "CAP_NET_BIND_SERVICE"),
            ("client", visitor(5432), ""),
            ("client", visitor(80), "CAP_NET_BIND_SERVICE"),
            ("client", visitor(-1), ""),
            ("client", NETWORK, "CAP_NET_ADMIN"),
        ):
            self.assertIn(f"\nAmbientCapabilities={needed}\n", self.systemd(role, text).stdout, text)

    def test_sockets(self) -> None:
        """A socket unit has what the file asks for below 1024, and the server's unit no right to it then."""
        text = (
            'bindAddr = "::1"\nbindPort = 443\nproxyBindAddr = "::"\n'
            "allowPorts = [{ start = 1023, end = 2000 }]\n"
        )
        printed = self.systemd("sockets", text)
        listens = [line for line in printed.stdout.splitlines() if line.startswith("Listen")]
        self.assertEqual(listens, ["ListenStream=[::1]:443", "ListenStream=1023", "ListenDatagram=1023"])
        beside = self.systemd("server", text, "--sockets", "--token-file", "t").stdout
        self.assertIn("\nAmbientCapabilities=\n", beside)
        self.assertIn("\nRequires=relaykit-server.socket\n", beside)
        self.assertNotIn(".socket", self.systemd("server", text + TOKEN).stdout)

    def test_no_sockets(self) -> None:
        """A socket unit for nothing, or for nearly everything, is none; why is told."""
        for end, count in ((0, "no port"), (MOST_SOCKETS, f"more than {MOST_SOCKETS}")):
            allowed = f"[[allowPorts]]\nstart = 1\nend = {end}\n" if end else ""
            printed = self.systemd("sockets", allowed)
            self.assertEqual((printed.status, printed.stdout), (1, ""))
            self.assertIn(count, printed.stderr)

    def test_no_token(self) -> None:
        """A server without a token would not start, unless the unit hands it over."""
        self.assertIn("auth.token: must be given", self.systemd("server", "").stderr)
        self.assertEqual(self.systemd("server", "", "--token-file", "t").status, 0)

    def test_bad_file(self) -> None:
        """A file that could not be served gets no unit."""
        for unit_for in ("server", "sockets"):
            printed = self.systemd(unit_for, "nosuch = 1\n")
            self.assertEqual((printed.status, printed.stdout), (1, ""))
            self.assertIn("nosuch", printed.stderr)

    def test_no_file_yet(self) -> None:
        """A file that is not there yet is no obstacle, and that is told."""
        printed = run_printed(["systemd", "client", "-c", str(self.folder / "later.toml")])
        self.assertEqual(printed.status, 0)
        self.assertIn("later.toml is not there yet", printed.stderr)
        self.assertIn("later.toml\n", printed.stdout)

    def test_hidden_program(self) -> None:
        """A relaykit in somebody's home cannot be a service, and that is told."""
        self.patch(sys, "executable", "/home/me/venv/bin/python")
        printed = self.systemd("server", TOKEN)
        self.assertIn("/home/me/venv/bin/python", printed.stderr)
        self.assertIn("\nExecStart=/home/me/venv/bin/python -m relaykit server", printed.stdout)

    def test_roles(self) -> None:
        """Without a word more, the command shows which there are."""
        printed = run_printed(["systemd"])
        self.assertEqual((printed.status, printed.stdout), (2, ""))
        self.assertIn("  server   Unit that runs a server", printed.stderr)


def visitor(port: int) -> str:
    """A client's file with a visitor at this port."""
    return f'[[visitors]]\nname = "v"\ntype = "stcp"\nserverName = "s"\nsecretKey = "k"\nbindPort = {port}\n'
