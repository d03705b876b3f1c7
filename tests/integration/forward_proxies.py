"""Forward proxies for tests: programs of others, and one of the test's own that notes what it is asked."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SkipTest

from tests.integration.certificates import Certified
from tests.integration.programs import PATIENCE_S, Program, free_port
from tests.integration.traffic import LOOPBACK

__all__ = ["NotingProxy", "RunningProxy", "dante", "microsocks", "path_of", "squid"]

_SQUID = """\
http_port {host}:{port}
{https}
pid_filename none
cache deny all
access_log none
cache_log stdio:/dev/stderr
coredump_dir {folder}
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
hosts_file {hosts}
visible_hostname proxy.example
{logins}
acl allowed port {allowed}
http_access deny CONNECT !allowed
acl known proxy_auth REQUIRED
http_access allow CONNECT known
http_access deny all
"""

_BASIC = "auth_param basic program {helper} {users}\nauth_param basic realm test"
_NTLM = (
    "auth_param ntlm program {helper}\nauth_param ntlm children 2 startup=1\nauth_param ntlm keep_alive on"
)

_DANTE = """\
logoutput: stderr
internal: {host} port = {port}
external: {host}
socksmethod: none
clientmethod: none
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 port = {allowed} command: connect }}
socks block {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""

LOOK_EVERY_S = 0.02

_HELPERS = Path("/usr/lib/squid")


@frozen
class RunningProxy:
    """One that runs.

    :ivar port: where it listens; of squid, in the clear.
    :ivar tls_port: where it listens with TLS, if it does.
    """

    program: Program
    port: int
    tls_port: int = 0


def path_of(name: str) -> str:
    """Where a program is, also where only the administrator looks; skips the test where it is nowhere."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise SkipTest(f"{name} is not installed")
    return found


def squid(
    folder: Path, names: dict[str, str], allowed: int, ntlm: bool = False, certified: Certified | None = None
) -> RunningProxy:
    """Squid, which knows ``user`` by the password ``p@ss``, or everybody by NTLM, and ``names``.

    It lets clients connect to one port only.
    """
    program, openssl = path_of("squid"), path_of("openssl")
    helper = _HELPERS / ("ntlm_fake_auth" if ntlm else "basic_ncsa_auth")
    if not helper.exists():
        raise SkipTest(f"{helper} is not installed")
    # Squid becomes another user, who must be able to read all this.
    for each in (folder, *folder.parents[:-1]):
        if each.stat().st_uid == os.getuid():
            with contextlib.suppress(PermissionError):
                each.chmod(each.stat().st_mode | 0o005)
    hosts, users = folder / "hosts", folder / "users"
    hosts.write_text("".join(f"{address} {name}\n" for name, address in names.items()))
    digest = subprocess.run(
        [openssl, "passwd", "-apr1", "p@ss"], check=True, capture_output=True, text=True
    ).stdout.strip()
    users.write_text(f"user:{digest}\n")
    port, tls_port, https = free_port(), 0, ""
    if certified is not None:
        tls_port = free_port()
        https = f"https_port {LOOPBACK}:{tls_port} tls-cert={certified.certificate} tls-key={certified.key}"
    configuration = folder / "squid.conf"
    configuration.write_text(
        _SQUID.format(
            host=LOOPBACK,
            port=port,
            https=https,
            folder=folder,
            hosts=hosts,
            logins=(_NTLM if ntlm else _BASIC).format(helper=helper, users=users),
            allowed=allowed,
        )
    )
    running = Program((program, "-N", "-d", "1", "-f", str(configuration)), folder)
    running.wait_for("Accepting HTTP Socket connections")
    if tls_port:
        running.wait_for("Accepting HTTPS Socket connections")
    return RunningProxy(running, port, tls_port)


def microsocks(folder: Path) -> RunningProxy:
    """Microsocks, which knows ``user`` by the password ``p@ss``."""
    port = free_port()
    command = (path_of("microsocks"), "-i", LOOPBACK, "-p", str(port), "-u", "user", "-P", "p@ss")
    running = Program(command, folder)
    _wait_for_port(port)
    return RunningProxy(running, port)


def dante(folder: Path, allowed: int) -> RunningProxy:
    """Dante, which serves everybody, and lets clients connect to one port only."""
    port = free_port()
    configuration = folder / "danted.conf"
    configuration.write_text(_DANTE.format(host=LOOPBACK, port=port, allowed=allowed))
    running = Program((path_of("danted"), "-f", str(configuration)), folder)
    _wait_for_port(port)
    return RunningProxy(running, port)


def _wait_for_port(port: int) -> None:
    """Waits until somebody listens there."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((LOOPBACK, port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY_S)
        else:
            return


class NotingProxy:
    """Answers ``say`` makes of what it is asked, and forwards to one address where that begins a tunnel."""

    def __init__(self, target: tuple[str, int], say: Callable[[bytes], Sequence[bytes]]) -> None:
        self.asked: list[bytes] = []
        self._target = target
        self._say = say
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Takes no connection any more."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(1)
                if not piece:
                    return
                head += piece
            self.asked.append(head)
            for piece in self._say(head):
                connection.sendall(piece)
            with socket.create_connection(self._target) as onward:
                back = threading.Thread(target=_pump, args=[onward, connection], daemon=True)
                back.start()
                _pump(connection, onward)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
