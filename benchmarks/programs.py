"""Programs under measurement: starting, watching and ending them.  Linux only (``/proc``)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

__all__ = [
    "Program",
    "ProgramFailed",
    "find_program",
    "free_ports",
    "wait_for_datagram_echo",
    "wait_for_echo",
    "wait_for_listener",
    "wait_for_port",
    "wait_for_site",
    "wait_for_words",
]

START_TIMEOUT_S = 15.0
"""How long a program may take until it listens: the slowest start measured is far below it."""

STOP_TIMEOUT_S = 5.0
"""How long a program may take to end by itself before it is killed."""

POLL_S = 0.002
"""Time between two looks at a port: the precision of the start-up measurement."""

_DATAGRAM_TIMEOUT_S = 0.5
"""Time after which a datagram without an answer is given up and another one sent."""

_LOOPBACK = "127.0.0.1"

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_HIGHEST_CHOSEN_PORT = 32000
_LOWEST_CHOSEN_PORT = 21000
_given_out: set[int] = set()


class ProgramFailed(Exception):
    """A program did not start, or ended when it should not have."""


class Program:
    """A running program, its output in a file, and beside that what it remembers from one start to the next.

    The user's own state directory is neither read nor filled: it knows servers of earlier runs by
    their addresses, which are the same in each laboratory.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        environ = {**os.environ, "STATE_DIRECTORY": str(log.with_suffix(".state"))}
        # Who installs a program has its modules compiled.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ
            )

    def check(self) -> None:
        """Nothing, while the program runs.

        :raises ProgramFailed: with the end of its output, once it does not.
        """
        code = self._process.poll()
        if code is not None:
            raise ProgramFailed(f"{self.name} ended with exit code {code}:\n{self.output()[-2000:]}")

    def output(self) -> str:
        """What it has said so far."""
        return self._log.read_text("utf-8", "replace")

    def output_bytes(self) -> int:
        """How much that is."""
        return self._log.stat().st_size

    def cpu_seconds(self) -> float:
        """Processor time so far, user and system, all threads, ended children included."""
        fields = self._stat()
        return sum(int(field) for field in fields[11:15]) / _TICKS_A_SECOND

    def resident_bytes(self) -> int:
        """Memory of this program that is in RAM."""
        self.check()
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProgramFailed(f"{self.name} has no memory")

    def stop(self) -> None:
        """Ends the program: politely, then not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def _stat(self) -> list[str]:
        self.check()
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        # The second field is the name in parentheses, which may contain spaces.
        return text.rpartition(")")[2].split()


def find_program(name: str, variable: str | None = None) -> str | None:
    """The path of a program: in the directory that an environment variable names, or on PATH."""
    directory = os.environ.get(variable, "") if variable else ""
    return shutil.which(name, path=directory) if directory else shutil.which(name)


def free_ports(count: int) -> list[int]:
    """TCP ports of the loopback that are free, outside of the range that outgoing connections use.

    A port is given out once, because not every service listens all the time.
    """
    found: list[int] = []
    start = _LOWEST_CHOSEN_PORT + os.getpid() * 37 % (_HIGHEST_CHOSEN_PORT - _LOWEST_CHOSEN_PORT)
    for port in (*range(start, _HIGHEST_CHOSEN_PORT), *range(_LOWEST_CHOSEN_PORT, start)):
        if port in _given_out:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            _given_out.update(found)
            return found
    raise ProgramFailed(f"fewer than {count} free ports")


def wait_for_listener(port: int, program: Program) -> None:
    """Waits until a program listens on a port, without connecting to it.

    :raises ProgramFailed: it ended, or did not listen in time.
    """
    listening = re.compile(rf"^ *\d+: [0-9A-F]+:{port:04X} \S+ 0A ", re.MULTILINE)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        program.check()
        if listening.search(Path("/proc/net/tcp").read_text()):
            return
        time.sleep(POLL_S)
    raise ProgramFailed(f"{program.name} does not listen on port {port}")


def wait_for_words(words: str, program: Program) -> None:
    """Waits until a program has said something.

    :raises ProgramFailed: it ended, or did not say so in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        program.check()
        if words in program.output():
            return
        time.sleep(POLL_S)
    raise ProgramFailed(f'{program.name} does not say "{words}":\n{program.output()[-2000:]}')


def wait_for_port(port: int, *programs: Program, host: str = _LOOPBACK) -> None:
    """Waits until connections to a port of this machine are accepted.

    :raises ProgramFailed: one of the programs ended, or nothing listened in time.
    """
    _try_until_done(port, lambda connection: True, programs, partial(_stream_socket, host=host))


def wait_for_echo(port: int, *programs: Program) -> None:
    """Waits until what is sent to a port of the loopback comes back.

    :raises ProgramFailed: one of the programs ended, or nothing came back in time.
    """
    _try_until_done(port, _echoes, programs)


def wait_for_datagram_echo(port: int, *programs: Program) -> None:
    """Waits until a datagram to a port of the loopback comes back.

    :raises ProgramFailed: one of the programs ended, or none came back in time.
    """
    _try_until_done(port, _echoes, programs, _datagram_socket)


def wait_for_site(port: int, host: str, *programs: Program, tls: bool = False) -> None:
    """Waits until a site is served at a port of the loopback.

    :raises ProgramFailed: one of the programs ended, or nobody served it in time.
    """

    def is_served(connection: socket.socket) -> bool:
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        if tls:
            connection = _insecure_context().wrap_socket(connection, server_hostname=host)
        with connection:
            connection.sendall(request)
            return connection.recv(4096).startswith(b"HTTP/1.1 200 ")

    _try_until_done(port, is_served, programs)


def _insecure_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _echoes(connection: socket.socket) -> bool:
    connection.send(b"x")
    return connection.recv(1) == b"x"


def _stream_socket(port: int, host: str = _LOOPBACK) -> socket.socket:
    return socket.create_connection((host, port), timeout=START_TIMEOUT_S)


def _datagram_socket(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(_DATAGRAM_TIMEOUT_S)
    made.connect((_LOOPBACK, port))
    return made


def _try_until_done(
    port: int,
    done: Callable[[socket.socket], bool],
    programs: Sequence[Program],
    connect: Callable[[int], socket.socket] = _stream_socket,
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        for program in programs:
            program.check()
        try:
            with connect(port) as connection:
                if done(connection):
                    return
        except OSError:
            pass
        time.sleep(POLL_S)
    names = ", ".join(program.name for program in programs)
    raise ProgramFailed(f"nothing answers on port {port} (started: {names})")
