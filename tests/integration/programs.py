"""Programs under test: starting them, waiting for what they say, ending them.  Linux only (``/proc``)."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests import LONG_TESTS
from tests.integration.template import Fork, fork
from tests.layering import ROOT

__all__ = [
    "FORKED",
    "FRP_BIN",
    "PATIENCE_S",
    "Program",
    "ProgramFailed",
    "alone_with",
    "free_port",
    "free_ports",
    "free_privileged_port",
    "frp_command",
    "missing_frp",
    "relaykit_command",
    "wait_for_file",
]

FRP_BIN = "RELAYKIT_FRP_BIN"
"""The environment variable that names a directory with frp's programs."""

PATIENCE_S = 180.0
"""The longest that one step may take, on a machine that is slow, busy, or stands still for a while; no test
that passes waits until it is over."""

FORKED = LONG_TESTS not in os.environ
"""Whether programs of ours are forks where their start is not the subject."""

STOP_S = 15.0
"""Seconds that a program gets to end in order; more than ours take to drain."""

_ESTABLISHED = "01"
"""Source: proc(5), ``/proc/net/tcp``."""

_LOWEST_PORT, _HIGHEST_PORT = 10_000, 29_900
"""Ports that tests listen on: below those that the kernel usually gives to outgoing connections, and below
those that are closed in the command lines of frp that were recorded."""

_FEWEST_PORTS = 2_000
"""Ports that a run of the tests needs, and some."""

_BLOCK_PORTS = 50
"""Ports that a test process takes for itself at once."""

_LOWEST_PRIVILEGED_PORT, _HIGHEST_PRIVILEGED_PORT = 513, 1023
"""Ports that only root may listen on, and that are not those of well-known services."""

_LISTENING = "0A"
"""The state of a listening socket in ``/proc/net/tcp``."""


_PASS_SOCKETS = """\
import fcntl, os, sys
count = int(sys.argv[1])
copies = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 3 + count) for number in sys.argv[2 : 2 + count]]
for position, number in enumerate(copies):
    os.dup2(number, 3 + position)
    os.close(number)
names = ":".join(["test"] * count)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
os.execvp(sys.argv[2 + count], sys.argv[2 + count :])
"""
"""Becomes a program that has sockets, as systemd does it.  Source: sd_listen_fds(3)."""

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""Signals that whoever runs these tests may have had ignored, as ``nohup`` and a shell's ``&`` do."""


def _keep_from_programs(numbers: Iterable[signal.Signals]) -> None:
    """Has a handler ignore those that are ignored: programs would inherit that a signal is ignored."""
    for number in numbers:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


_keep_from_programs(_ENDING)


class ProgramFailed(AssertionError):
    """A program did not do what was waited for; the text ends with what it said."""


def relaykit_command(*arguments: str) -> tuple[str, ...]:
    """The command line of one of our programs."""
    return (sys.executable, "-m", "relaykit", *arguments)


def frp_command(name: str) -> tuple[str, ...]:
    """The command line of frp's program of this name; see :func:`missing_frp`."""
    return (_find(name) or name,)


def missing_frp() -> str | None:
    """Why the tests against real frp cannot run; None where they can."""
    missing = " and ".join(name for name in ("frps", "frpc") if _find(name) is None)
    return f"no {missing} on PATH or in the directory {FRP_BIN}" if missing else None


def _find(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get(FRP_BIN, ""), os.environ.get("PATH", "")]))


def _take(what: str) -> socket.socket | None:
    """Takes something for this process, until it closes this or ends; None if another one has it.

    It is the name of an abstract socket, which no two processes can have.  Source: unix(7).
    """
    taken = socket.socket(socket.AF_UNIX)
    try:
        taken.bind(f"\0relaykit tests: {what}")
        # Who waits for it is told by the end of its connection.
        taken.listen()
    except OSError:
        taken.close()
        return None
    return taken


@contextlib.contextmanager
def alone_with(what: str) -> Iterator[None]:
    """Waits until no other process on this machine that runs tests is here with the same thing.

    :raises ProgramFailed: that takes too long.
    """
    deadline = time.monotonic() + PATIENCE_S
    while (taken := _take(what)) is None:
        if time.monotonic() > deadline:
            raise ProgramFailed(f"another process does not let go of {what}")
        # It may be gone, or not listen yet.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as other:
            other.settimeout(PATIENCE_S)
            other.connect(f"\0relaykit tests: {what}")
            other.recv(1)
    with taken:
        yield


def _ports() -> Iterator[int]:
    begins_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    highest = min(_HIGHEST_PORT, max(begins_outgoing, _LOWEST_PORT + _FEWEST_PORTS))
    firsts = list(range(_LOWEST_PORT, highest - _BLOCK_PORTS, _BLOCK_PORTS))
    # Not those of the last run, whose connections may not be forgotten yet.
    random.SystemRandom().shuffle(firsts)
    own: dict[int, socket.socket] = {}
    for first in firsts:
        # The ports are not bound, thus programs can listen there.
        if taken := _take(f"ports from {first}"):
            own[first] = taken
            yield from range(first, first + _BLOCK_PORTS)
    # The tests that had the first ones are over.
    while own:
        for first in own:
            yield from range(first, first + _BLOCK_PORTS)


_candidates = _ports()


def _is_free(port: int) -> bool:
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        try:
            stream.bind(("", port))
            datagrams.bind(("", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port, TCP and UDP, on which nobody listens and which no test has been given before."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many of them, one after the other without a gap: at most a block of them."""
    assert count <= _BLOCK_PORTS
    found: list[int] = []
    for port in _candidates:
        if found and port != found[-1] + 1:
            found.clear()
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise ProgramFailed("no port is free")


_privileged: list[socket.socket] = []


def free_privileged_port() -> int | None:
    """One that only root may listen on, for this process alone; None if none is free."""
    for port in range(_HIGHEST_PRIVILEGED_PORT, _LOWEST_PRIVILEGED_PORT - 1, -1):
        if _is_free(port) and (taken := _take(f"port {port}")):
            _privileged.append(taken)
            return port
    return None


def wait_for_file(path: Path, text: str) -> None:
    """Waits until a file is there and has this text.

    :raises ProgramFailed: it took too long.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not (path.exists() and text in path.read_text()):
        if time.monotonic() > deadline:
            raise ProgramFailed(f'{path} never had "{text}"')
        time.sleep(0.05)  # a file tells nobody that something was written to it


class Program:
    """A running program whose output, both streams in one, is collected line by line.

    :param folder: its working directory, and its home.
    :param environ: variables besides ``PATH`` and those that our programs need.
    :param sockets: that it is started with, as by a socket unit of systemd.
    :param forked: whether it is one of ours, and need not be started from nothing
        (:mod:`tests.integration.template`).
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
        forked: bool = False,
    ) -> None:
        self.name = " ".join(Path(word).name for word in command)
        numbers = [each.fileno() for each in sockets]
        if sockets:
            count = str(len(sockets))
            command = (sys.executable, "-c", _PASS_SOCKETS, count, *map(str, numbers), *command)
        self._lines: list[str] = []
        self._ended = False
        self._said = threading.Condition()
        variables = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder.absolute()),
            "PYTHONPATH": str(ROOT),
            **(environ or {}),
        }
        reading, writing = os.pipe()
        self._process: subprocess.Popen[bytes] | Fork
        if forked:
            words = command[len(relaykit_command()) :]
            self._process = fork(words, folder.absolute(), variables, writing, writing)
        else:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=numbers,
            )
        os.close(writing)
        self._reader = threading.Thread(target=self._read, args=[reading], name=self.name, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that it has said so far."""
        with self._said:
            return "".join(self._lines)

    def wait_for(self, text: str, times: int = 1) -> str:
        """The line that has this text in it for the so-manieth time, as soon as it is said.

        :raises ProgramFailed: the program ended, or it took too long.
        """
        seen = at = 0
        deadline = time.monotonic() + PATIENCE_S
        with self._said:
            while True:
                for line in self._lines[at:]:
                    seen += text in line
                    if seen == times:
                        return line
                at = len(self._lines)
                if self._ended:
                    raise self._failed(f'ended without saying "{text}" ({seen} of {times} times)')
                if not self._said.wait(deadline - time.monotonic()):
                    raise self._failed(f'did not say "{text}" ({seen} of {times} times)')

    def wait_for_end(self) -> int:
        """Its exit status, once it has ended; negative if a signal ended it.

        :raises ProgramFailed: it goes on.
        """
        try:
            status = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise self._failed("did not end") from None
        self._reader.join(PATIENCE_S)
        return status

    def terminate(self) -> None:
        """Asks it to end in order."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self._process.kill()
        self.wait_for_end()

    def freeze(self) -> None:
        """Stops it where it is, as a machine that is suspended; its connections stay open.

        Once it is stopped it says nothing more to anybody.
        """
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Lets it go on after :meth:`freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it, in order if it takes no longer than it should."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self.wait_for_end()

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def children(self) -> list[int]:
        """The processes that it has started and that it has not taken leave of, dead ones included."""
        pid = self._process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(self._open())

    def sockets(self) -> int:
        """How many of them are sockets: without the pipes that it keeps for the next flows."""
        return sum(each.startswith("socket:") for each in self._open())

    def listening_ports(self) -> set[int]:
        """The TCP ports that it listens on."""
        return set(self._ports("tcp", _LISTENING))

    def udp_ports(self) -> list[int]:
        """The ports of its UDP sockets."""
        return sorted(self._ports("udp"))

    def _ports(self, protocol: str, state: str = "") -> Iterator[int]:
        folder = Path(f"/proc/{self._process.pid}/net")
        own = set(self._open())
        for table in (protocol, f"{protocol}6"):
            for fields in map(str.split, (folder / table).read_text().splitlines()[1:]):
                if state in ("", fields[3]) and f"socket:[{fields[9]}]" in own:
                    yield int(fields[1].rpartition(":")[2], 16)

    def ports_towards(self, port: int) -> set[int]:
        """The local ports of its TCP connections to a port elsewhere."""
        found = set()
        for line in Path(f"/proc/{self._process.pid}/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                found.add(int(local.rpartition(":")[2], 16))
        return found

    def _open(self) -> list[str]:
        """What its descriptors lead to."""
        links = []
        for each in Path(f"/proc/{self._process.pid}/fd").iterdir():
            # It goes on while this looks.
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(each))
        return links

    def peak_resident_bytes(self) -> int:
        """The most memory of it that was in RAM at a time."""
        return self._memory("VmHWM")

    def peak_allocated_bytes(self) -> int:
        """The most memory that it had at a time, whether or not it ever wrote there."""
        return self._memory("VmPeak")

    def resident_bytes(self) -> int:
        """The memory of it that is in RAM."""
        return self._memory("VmRSS")

    def status(self, what: str) -> str:
        """One of the things that the kernel tells of it.  Source: proc(5), ``/proc/PID/status``."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == what:
                return value.strip()
        raise self._failed(f"has no {what}")

    def _memory(self, what: str) -> int:
        return int(self.status(what).split()[0]) * 1024

    def _read(self, reading: int) -> None:
        with open(reading, encoding="utf-8", errors="replace") as output:
            for line in output:
                with self._said:
                    self._lines.append(line)
                    self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    def _failed(self, what: str) -> ProgramFailed:
        said = "".join(self._lines[-60:])
        return ProgramFailed(f"{self.name} {what}; the end of its output:\n{said}")
