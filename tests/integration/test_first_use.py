"""The first steps with relaykit, as the documentation and the README tell them: each is run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from relaykit import __version__
from tests.commands.test_systemd import need_systemd
from tests.integration.programs import PATIENCE_S, Program, free_port, free_ports
from tests.integration.ssh import SshServer
from tests.integration.terminals import TerminalTestCase
from tests.integration.traffic import LOOPBACK, receive_exactly
from tests.integration.walkthrough import HOST, WalkTestCase, line_of, need
from tests.layering import ROOT

_HEXADECIMAL = re.compile(r"\b(?:sha256:)?[0-9a-f]{40,64}\b")


class WebServer:
    """A web page on the loopback."""

    def __init__(self, case: WalkTestCase, text: str = "a page") -> None:
        body = text.encode()

        class Page(BaseHTTPRequestHandler):
            """Answers with one text."""

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer((LOOPBACK, 0), Page)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        case.addCleanup(server.server_close)
        case.addCleanup(server.shutdown)


def fetched(port: int) -> str:
    """What a browser gets from a port of the loopback."""
    # Not by way of a proxy of the machine that these tests run on.
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with directly.open(f"http://{LOOPBACK}:{port}/", timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
        return text


def masked(text: str) -> str:
    """A command line without its secrets."""
    return _HEXADECIMAL.sub("...", text).strip()


class QuickTestCase(WalkTestCase):
    """Has a server that was started with ``--quick``, as the tutorial does."""

    def setUp(self) -> None:
        """Chooses ports that are free here."""
        super().setUp()
        self.bind_port, self.remote_port = free_ports(2)

    def start_server(self) -> tuple[Program, str]:
        """The server of the tutorial, and the line that it prints for the other machine."""
        self.replace(
            "relaykit server --quick", f"relaykit server --quick --host {HOST} --port {self.bind_port}"
        )
        server = self.begin(self.listing("five-minutes/server.sh"))
        return server, line_of(server, "RELAYKIT_TOKEN=")

    def on_this_machine(self, line: str, local_port: int) -> str:
        """A line of the tutorial, with the addresses of this machine."""
        line = line.replace(f"{HOST}:{self.bind_port}", f"{LOOPBACK}:{self.bind_port}")
        line = line.replace(f"{HOST}:7000", f"{LOOPBACK}:{self.bind_port}")
        line = line.replace("tcp 22 ", f"tcp {local_port} ")
        return line.replace("--remote-port 6000", f"--remote-port {self.remote_port}")


class FiveMinutesTests(QuickTestCase):
    """Tests for the tutorial *ssh through a relay in five minutes*."""

    def test_ssh(self) -> None:
        """The server prints the line that the tutorial shows; with it, ssh reaches the machine behind."""
        sshd = SshServer(self)
        _, line = self.start_server()
        shown = self.listing("five-minutes/client.sh").replace(":7000", f":{self.bind_port}")
        self.assertEqual(masked(line), masked(shown))
        client = self.begin(self.on_this_machine(line, sshd.port))
        opened = client.wait_for("open: ")
        self.assertIn(f"open: {LOOPBACK}:{self.remote_port} -> {LOOPBACK}:{sshd.port}", opened)
        self.replace("6000", self.remote_port)
        self.assertIn("reached 127.0.0.1", self.do(self.listing("five-minutes/use.sh")))

    def test_other_fingerprint(self) -> None:
        """A server with another certificate than the one in the line is not believed."""
        _, line = self.start_server()
        other = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + 64 * "0", line)
        client = self.begin(self.on_this_machine(other, 22))
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn("not the pinned one", client.output)
        self.assertIn("somebody is in between", client.output)

    def test_remember(self) -> None:
        """What was remembered need not be said again, until it is forgotten."""
        web = WebServer(self, "remembered")
        _, line = self.start_server()
        shown = self.listing("five-minutes/remember.sh")
        for secret in (r"(?<=TOKEN=)\S+", r"sha256:[0-9a-f]{64}"):
            told = re.search(secret, line)
            assert told is not None
            shown = re.sub(secret, told.group(), shown)
        first = self.begin(self.on_this_machine(shown, web.port))
        first.wait_for("open: ")
        first.stop()
        again = self.listing("five-minutes/web.sh").replace("8080", str(web.port))
        second = self.begin(again.replace("6001", str(self.remote_port)))
        self.assertIn(f"http://{LOOPBACK}:{self.remote_port}/", second.wait_for("open: "))
        self.assertEqual(fetched(self.remote_port), "remembered")
        self.replace(HOST, LOOPBACK)
        self.do(self.listing("five-minutes/forget.sh"))
        third = self.begin(again)
        self.assertEqual(third.wait_for_end(), 1)
        self.assertIn("no server is named", third.output)


class DatabaseTests(QuickTestCase):
    """Tests for the howto *Reach a database with a visitor*."""

    def setUp(self) -> None:
        """Starts a server, and has its token in a file."""
        super().setUp()
        self.web = WebServer(self, "a row")
        self.visitor_port = free_port()
        _, line = self.start_server()
        token = re.search("[0-9a-f]{40}", line)
        assert token is not None
        (self.folder / "token").write_text(token.group())

    def started(self, name: str) -> Program:
        """Starts a listing of the howto."""
        line = self.listing(name).replace(HOST, f"{LOOPBACK}:{self.bind_port}")
        line = line.replace("secret 5432", f"secret {self.web.port}")
        return self.begin(line.replace("--port 5432", f"--port {self.visitor_port}"))

    def test_one_line(self) -> None:
        """Two lines with the same token are enough; the owner's line says how to visit."""
        owner = self.started("database/owner.sh")
        opened = owner.wait_for("open: ")
        self.assertIn(f"[db] open: on the other machine: relaykit visit db --port {self.web.port} ", opened)
        self.assertIn(f"--server {LOOPBACK}:{self.bind_port} --token-file token", opened)
        visitor = self.started("database/visitor.sh")
        visitor.wait_for("open: ")
        self.assertEqual(fetched(self.visitor_port), "a row")

    def test_key(self) -> None:
        """With a key of its own, the token alone does not open the service."""
        self.do(self.listing("database/key.sh"))
        self.started("database/owner-with-key.sh").wait_for("open: ")
        stranger = self.started("database/visitor.sh")
        stranger.wait_for("open: ")
        with contextlib.suppress(OSError):
            fetched(self.visitor_port)
            self.fail("the visitor without the key was let in")
        stranger.wait_for("auth failed")
        stranger.wait_for("The visitor's secret key is not that of the proxy.")
        stranger.stop()
        self.started("database/visitor-with-key.sh").wait_for("open: ")
        self.assertEqual(fetched(self.visitor_port), "a row")

    def test_files(self) -> None:
        """The same from files, with users: who is named gets in."""
        self.replace("5432", self.web.port)
        self.replace(f'serverAddr = "{HOST}"', f'serverAddr = "{LOOPBACK}"\nserverPort = {self.bind_port}')
        self.copy("database/owner.toml")
        self.replaced["5432"] = str(self.visitor_port)
        self.copy("database/visitor.toml")
        self.begin("relaykit client -c owner.toml --token-file token").wait_for("start proxy success")
        self.begin("relaykit client -c visitor.toml --token-file token").wait_for("start visitor success")
        self.assertEqual(fetched(self.visitor_port), "a row")


class PublishSshTests(WalkTestCase):
    """Tests for the tutorial *ssh with configuration files*."""

    def setUp(self) -> None:
        """Does its first steps: a token, and the two files."""
        super().setUp()
        self.bind_port, self.remote_port = free_ports(2)
        self.sshd = SshServer(self)
        self.do(self.listing("publish-ssh/make-token.sh"))
        self.replace("7000", self.bind_port)
        self.replace(f'serverAddr = "{HOST}"', f'serverAddr = "{LOOPBACK}"')
        self.replace("6000", self.remote_port)
        self.replace("localPort = 22", f"localPort = {self.sshd.port}")
        self.replace("6999", self.remote_port)
        self.copy("publish-ssh/server.toml")
        self.copy("publish-ssh/client.toml")

    def test_programs(self) -> None:
        """The two programs from their files: ssh goes through, and the files are good."""
        self.begin(self.listing("publish-ssh/run-server.sh")).wait_for("started successfully")
        self.begin(self.listing("publish-ssh/run-client.sh")).wait_for("[ssh] start proxy success")
        self.assertIn("reached", self.do(self.listing("publish-ssh/use.sh")))
        self.assertIn("client.toml is good for a client", self.do(self.listing("publish-ssh/verify.sh")))

    def test_daemons(self) -> None:
        """The same as daemons."""
        self.command(
            "twistd", f'exec {sys.executable} -c "from twisted.scripts.twistd import run; run()" "$@"'
        )
        for name in ("server", "client"):
            self.addCleanup(self.end, self.folder / f"{name}.pid")
        self.do(self.listing("publish-ssh/daemons.sh"))
        self.until("start proxy success", self.folder / "client.log")
        self.assertIn("reached", self.do(self.listing("publish-ssh/use.sh")))

    def end(self, pid_file: Path) -> None:
        """Ends a daemon, if it was started."""
        if pid_file.exists():
            os.kill(int(pid_file.read_text()), signal.SIGTERM)

    def until(self, text: str, log: Path) -> None:
        """Waits until a log has this text."""
        deadline = time.monotonic() + PATIENCE_S
        while not log.exists() or text not in log.read_text():
            self.assertLess(time.monotonic(), deadline, "it was never logged")
            time.sleep(0.05)  # a file tells nobody that something was written to it


class SecretServiceTests(QuickTestCase):
    """Tests for the tutorial *A secret service*, from files."""

    def test_files(self) -> None:
        """The owner publishes a unix socket, and the visitor reaches it."""
        # The path of a unix socket may have 107 bytes, and the folder of a test is deep.
        short = tempfile.mkdtemp(prefix="relaykit-")
        self.addCleanup(shutil.rmtree, short)
        path = Path(short, "postgres")
        with socket.socket(socket.AF_UNIX) as service:
            service.bind(str(path))
            service.listen()
            service.settimeout(PATIENCE_S)
            _, line = self.start_server()
            token = re.search("[0-9a-f]{40}", line)
            assert token is not None
            (self.folder / "token").write_text(token.group())
            port = free_port()
            self.replace(
                f'serverAddr = "{HOST}"', f'serverAddr = "{LOOPBACK}"\nserverPort = {self.bind_port}'
            )
            self.replace("/run/postgresql/.s.PGSQL.5432", path)
            self.replace("5432", port)
            self.copy("secret-service/owner.toml")
            self.copy("secret-service/visitor.toml")
            owner, visitor = self.listing("secret-service/run.sh").strip().splitlines()
            self.begin(owner).wait_for("start proxy success")
            self.begin(visitor).wait_for("start visitor success")
            with socket.create_connection((LOOPBACK, port), PATIENCE_S) as user:
                user.sendall(b"a query")
                reached, _ = service.accept()
                with reached:
                    reached.settimeout(PATIENCE_S)
                    self.assertEqual(reached.recv(16), b"a query")


class ServiceTests(WalkTestCase):
    """Tests for the howto *Run as a service*, as far as it goes without being root."""

    def test_unit(self) -> None:
        """The files are installed, and the unit that is printed for them is one that systemd takes."""
        need("install")
        need_systemd(self.folder / "any")
        for command in ("sudo", "systemctl"):
            self.command(command, 'exec "$@"' if command == "sudo" else f'echo {command} "$@"')
        etc = self.folder / "etc"
        (etc / "systemd" / "system").mkdir(parents=True)
        self.replace("/etc", etc)
        self.replace("/opt/relaykit/bin/", "")
        self.copy("service/server.toml")
        self.do(self.listing("service/files.sh"))
        self.assertEqual((etc / "relaykit" / "token").stat().st_mode & 0o777, 0o600)
        said = self.do(self.listing("service/unit.sh"))
        self.assertIn("systemctl enable --now relaykit-server", said)
        unit = etc / "systemd" / "system" / "relaykit-server.service"
        self.assertIn(f"LoadCredential=token:{etc}/relaykit/token", unit.read_text())
        self.do(f"systemd-analyze verify {unit}")

    def test_user_unit(self) -> None:
        """A user's own unit is written where systemd looks for it."""
        need_systemd(self.folder / "any")
        self.command("systemctl", 'echo systemctl "$@"')
        self.assertIn("--user enable --now relaykit-client", self.do(self.listing("service/user.sh")))
        unit = self.folder / ".config" / "systemd" / "user" / "relaykit-client.service"
        self.assertIn(f"-c {self.folder}/.config/relaykit/client.toml", unit.read_text())


class VerifyServerTests(QuickTestCase):
    """Tests for the howto *Pin or verify a server*."""

    def test_fingerprint(self) -> None:
        """What openssl shows of a certificate can be pinned as it is."""
        need("openssl")
        self.do("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout server.key -out server.crt")
        shown = self.do(self.listing("verify-server/show.sh")).partition("=")[2].strip()
        (self.folder / "server.toml").write_text(
            f'bindAddr = "{LOOPBACK}"\nbindPort = {self.bind_port}\nauth.token = "t"\n'
            '[transport.tls]\ncertFile = "server.crt"\nkeyFile = "server.key"\n'
        )
        self.begin("relaykit server -c server.toml").wait_for("started successfully")
        (self.folder / "token").write_text("t")
        web = WebServer(self)
        line = self.listing("verify-server/one-line.sh").replace(HOST, f"{HOST}:{self.bind_port}")
        line = re.sub("sha256:[0-9a-f]+", shown, self.on_this_machine(line, web.port))
        self.begin(line).wait_for("open: ")
        self.assertEqual(fetched(self.remote_port), "a page")


class FrontTests(WalkTestCase):
    """Tests for the howto *Behind nginx or HAProxy*: the real programs pass clients on."""

    def setUp(self) -> None:
        """Starts the relay server of the howto."""
        super().setUp()
        self.bind_port, self.front_port, self.remote_port = free_ports(3)
        self.web = WebServer(self, "behind two servers")
        (self.folder / "token").write_text("a token for tests")
        self.replace("7000", self.bind_port)
        self.replace("6000", self.remote_port)
        self.replace("443", self.front_port)
        self.copy("front/server.toml")
        server = self.begin("relaykit server -c server.toml --token-file token")
        server.wait_for("started successfully")

    def check(self) -> None:
        """A client that dials the front logs in by its name, bound to its TLS session, and serves users."""
        self.replace(f'serverAddr = "{HOST}"', f'serverAddr = "{LOOPBACK}"\nauth.bound = "require"')
        self.replace("localPort = 22", f"localPort = {self.web.port}")
        self.copy("front/client.toml")
        client = self.begin("relaykit client -c client.toml --token-file token")
        client.wait_for("[ssh] start proxy success")
        self.assertEqual(fetched(self.remote_port), "behind two servers")

    def test_nginx(self) -> None:
        """Nginx passes the connection on by the name in the TLS hello."""
        self.begin_nginx(self.copy("front/nginx.conf"))
        self.wait_for_port(self.front_port)
        self.check()

    def test_haproxy(self) -> None:
        """HAProxy does likewise."""
        self.begin_haproxy(self.copy("front/haproxy.cfg"))
        self.wait_for_port(self.front_port)
        self.check()


class FromFrpTests(WalkTestCase):
    """Tests for the howto *Move from frp*."""

    def test_files(self) -> None:
        """Frp's files are good for relaykit; a script named like the program takes its place."""
        web = WebServer(self, "moved")
        bind_port, remote_port = free_ports(2)
        self.replace("7000", bind_port)
        self.replace("6000", remote_port)
        self.replace(f'serverAddr = "{HOST}"', f'serverAddr = "{LOOPBACK}"')
        self.replace("localPort = 22", f"localPort = {web.port}")
        for each in ("your clients have", "your server has"):
            self.replace(f"the token that {each}", "the token that both have")
        self.copy("from-frp/frps.toml")
        self.copy("from-frp/frpc.toml")
        self.do(self.listing("from-frp/check.sh"))
        self.begin(self.listing("from-frp/server.sh")).wait_for("started successfully")
        client = self.begin(self.listing("from-frp/client.sh"))
        client.wait_for("start proxy success", 2)
        self.assertEqual(fetched(remote_port), "moved")
        client.stop()
        self.copy("from-frp/frpc").chmod(0o755)
        shutil.move(self.folder / "frpc", self.programs / "frpc")
        script = self.begin("frpc -c frpc.toml")
        script.wait_for("start proxy success", 2)
        self.assertEqual(fetched(remote_port), "moved")

    def test_old_files(self) -> None:
        """An old file is written anew as the page shows."""
        self.copy("from-frp/old.ini")
        self.do(self.listing("from-frp/migrate.sh"))
        written = (self.folder / "new.toml").read_text("utf-8")
        self.assertEqual(written, self.copy("from-frp/new.toml").read_text("utf-8"))


class ForeignTests(QuickTestCase):
    """Tests with the commands that a proxy type of another package brings."""

    @property
    def environ(self) -> Mapping[str, str]:
        """Where the package is found, too."""
        return {
            **super().environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "third_party")]),
        }

    def test_gate(self) -> None:
        """They run its two halves, with its own options as flags, and a key made of the token."""
        _, line = self.start_server()
        token = re.search("[0-9a-f]{40}", line)
        assert token is not None
        (self.folder / "token").write_text(token.group())
        port = free_port()
        where = f"--server {LOOPBACK}:{self.bind_port} --token-file token"
        gate = self.begin(f"relaykit gate shout: --name door --greeting Welcome {where}")
        self.assertIn("-> shout:", gate.wait_for("[door] open: "))
        self.begin(f"relaykit knock door --port {port} {where}").wait_for("open: ")
        with socket.create_connection((LOOPBACK, port), PATIENCE_S) as user:
            user.settimeout(PATIENCE_S)
            user.sendall(b"hello")
            expected = b"Welcome\r\nHELLO"
            self.assertEqual(receive_exactly(user, len(expected)), expected)

    def test_help(self) -> None:
        """They are listed beside those of the built-in types."""
        said = self.do("relaykit help")
        self.assertIn("\n  gate ", said)
        self.assertIn("--open-seconds INTEGER", self.do("relaykit gate --help"))


class DemoTests(WalkTestCase):
    """Tests for ``relaykit demo`` without ``--once``."""

    def test_addresses(self) -> None:
        """Both addresses answer with the page until a signal comes, which ends it in order."""
        demo = self.begin("relaykit demo")
        # A visitor may be there before the page that it visits.
        demo.wait_for("[secret-page] open: ")
        pages: list[str] = []
        for _ in range(2):
            line = demo.wait_for("open: http://", len(pages) + 1)
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            assert found is not None
            pages.append(fetched(int(found.group(1))))
        self.assertEqual(["Hello from behind the relay" in page for page in pages], [True, True])
        demo.terminate()
        self.assertEqual(demo.wait_for_end(), 0, demo.output)
        self.assertNotIn("Traceback", demo.output)


class ElsewhereTests(QuickTestCase):
    """Tests on a system that has nothing of Linux."""

    def test_client(self) -> None:
        """A client there moves bytes both ways, and ends in order."""
        web = WebServer(self, "elsewhere" * 100_000)
        _, line = self.start_server()
        line = self.on_this_machine(line, web.port)
        self.command("relaykit", f'exec {sys.executable} -m tests.elsewhere "$@"')
        client = self.begin(line)
        client.wait_for("open: ")
        self.assertEqual(fetched(self.remote_port), "elsewhere" * 100_000)
        client.terminate()
        self.assertEqual(client.wait_for_end(), 0, client.output)
        self.assertNotIn("Traceback", client.output)

    def test_control(self) -> None:
        """A client there is asked, and told to end, without a socket in its folder."""
        web = WebServer(self, "elsewhere")
        _, line = self.start_server()
        line = self.on_this_machine(line, web.port)
        self.command("relaykit", f'exec {sys.executable} -m tests.elsewhere "$@"')
        client = self.begin(line)
        client.wait_for("open: ")
        status = self.begin("relaykit status --role client")
        self.assertEqual(status.wait_for_end(), 0, status.output)
        self.assertIn(f"relaykit client {__version__}, process ", status.output)
        stop = self.begin("relaykit stop --role client")
        self.assertEqual(stop.wait_for_end(), 0, stop.output)
        self.assertEqual(client.wait_for_end(), 0, client.output)
        again = self.begin("relaykit status --role client")
        self.assertEqual(again.wait_for_end(), 1, again.output)
        self.assertIn("no client runs", again.output)


class TerminalTests(QuickTestCase, TerminalTestCase):
    """Tests with a real terminal."""

    def test_tunnel(self) -> None:
        """The panel shows address, QR code, users and bytes; a lost server is told, and Ctrl-C ends it."""
        web = WebServer(self, 1000 * "x")
        server, line = self.start_server()
        # This address means the machine itself, and does not look like it.
        line = self.on_this_machine(line, web.port).replace(LOOPBACK, "0.0.0.0")
        self.run_in_terminal(f"{line} --web")
        self.seen(
            "round trip",
            f"connected to 0.0.0.0:{self.bind_port}",
            f"http://0.0.0.0:{self.remote_port}/",
            "█ ▄▄▄▄▄ █",
            "0 users now, 0 so far",
        )
        for _ in range(3):
            fetched(self.remote_port)
        self.seen("0 users now, 3 so far", "↑ 3.")
        server.kill()
        self.seen("connection refused", "nothing listens at this port")
        self.tmux("send-keys", "C-c")
        self.seen("status 0", "ended: 3 users")

    def test_keys_and_sizes(self) -> None:
        """Whatever is typed, and however the window is dragged, there is one picture; a key ends it."""
        _, line = self.start_server()
        self.run_in_terminal(f"{self.on_this_machine(line, 9)}")
        self.seen("round trip")
        self.tmux("send-keys", "a", "b", "Enter", "Up", "Enter")
        for width in ("60", "45", "90"):
            self.tmux("resize-window", "-x", width, "-y", "20")
            shown = self.seen(
                f"╮\n│ ● connected to {LOOPBACK}:{self.bind_port}", f"{LOOPBACK}:{self.remote_port}"
            )
            self.assertEqual((shown.count("╭"), shown.count("╰")), (1, 1), shown)
        self.tmux("send-keys", "l")
        self.seen("start proxy success", "l goes back")
        self.tmux("send-keys", "l")
        self.seen("q ends it")
        self.tmux("send-keys", "q")
        shown = self.seen("status 0", "ended: 0 users")
        self.assertEqual(shown.count("╭"), 1, shown)

    def test_job_control(self) -> None:
        """Ctrl-Z gives the shell its terminal as it was; in the background nothing is drawn on it."""
        _, line = self.start_server()
        line, modes = self.on_this_machine(line, 9), "stty -a | grep -o ' echo '"
        self.run_in_terminal(f"set -m\n{line}\n{modes}\nbg\nread first\n{modes}\necho typed $first\nfg")
        self.seen("round trip")
        self.tmux("send-keys", "C-z")
        self.seen(" echo\n")
        self.assertEqual(self.tmux("display", "-p", "#{cursor_flag} #{alternate_on}"), "1 0\n")
        self.tmux("send-keys", "some text", "Enter")
        self.seen("round trip", "q ends it")
        self.tmux("send-keys", "C-c")
        self.seen("status 0", "typed some text", "ended: 0 users")
        self.assertEqual(self.tmux("display", "-p", "#{cursor_flag} #{alternate_on}"), "1 0\n")

    def test_background(self) -> None:
        """In the background of a terminal, lines are told."""
        _, line = self.start_server()
        self.run_in_terminal(f"set -m\n{self.on_this_machine(line, 9)} &\nread wait\nkill $!\nwait $!")
        shown = self.seen("open: ")
        self.assertNotIn("╭", shown)
        self.tmux("send-keys", "Enter")
        self.seen("status 0", "ended: 0 users")

    def test_refused(self) -> None:
        """A port that somebody else has ends the program, with a picture and in a pipe."""
        _, line = self.start_server()
        with socket.create_server((LOOPBACK, self.remote_port)):
            line = self.on_this_machine(line, 9)
            self.run_in_terminal(f"{line}\necho first $?\n{line} >said 2>&1")
            self.seen("port unavailable", "first 1", "status 1")
        self.assertIn("port unavailable", (self.folder / "said").read_text())

    def test_server(self) -> None:
        """The server's panel shows the line for the first client, and then who is there and what is open."""
        self.run_in_terminal(f"relaykit server --quick --host {LOOPBACK} --port {self.bind_port}")
        shown = self.seen("ready: clients dial port", "0 clients", "--fingerprint")
        lines = [each.strip() for each in shown.splitlines()]
        at = next(number for number, each in enumerate(lines) if each.startswith("RELAYKIT_TOKEN="))
        line = " ".join(each.removesuffix("\\") for each in lines[at : at + 3])
        client = self.begin(self.on_this_machine(line, WebServer(self).port))
        client.wait_for("open: ")
        fetched(self.remote_port)
        self.seen("1 client", "bound login", "1 proxy", f":{self.remote_port}", "0 users of 1")
        self.tmux("send-keys", "q")
        shown = self.seen("status 0", "ended: 1 user")
        self.assertNotIn("RELAYKIT_TOKEN", shown)

    def test_demo(self) -> None:
        """The demonstration shows both of its addresses."""
        self.run_in_terminal("relaykit demo")
        shown = self.seen("visitor ", "page ", "http://127.0.0.1:")
        self.assertRegex(shown, r"page +http://127\.0\.0\.1:\d+/")
        self.tmux("send-keys", "C-c")
        self.seen("status 0")

    def test_stopped_terminal(self) -> None:
        """A terminal that was stopped with Ctrl-S does not stop the users."""
        web = WebServer(self, "goes on")
        _, line = self.start_server()
        self.run_in_terminal(self.on_this_machine(line, web.port))
        self.seen("round trip")
        self.tmux("send-keys", "C-s")
        time.sleep(2.0)  # so many pictures would block a program that waits for its terminal
        self.assertEqual(fetched(self.remote_port), "goes on")


class StartTests(WalkTestCase):
    """Tests for what a start imports; figures are in the benchmarks."""

    def test_module(self) -> None:
        """``python -m relaykit`` is the command, and its version needs no framework."""
        script = (
            "import sys; sys.argv = ['relaykit', '--version']\n"
            "import runpy\n"
            "try: runpy.run_module('relaykit', run_name='__main__')\n"
            "except SystemExit as end: assert not end.code\n"
            "assert 'twisted' not in sys.modules and 'rich' not in sys.modules"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
