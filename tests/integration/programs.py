"""Programs under test: starting them, waiting for what they say, ending them.  Linux only (``/proc``)."""

from __future__ import annotations

import contextlib
import itertools
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

from tests.layering import ROOT

__all__ = [
    "FRP_BIN",
    "PATIENCE_S",
    "Program",
    "ProgramFailed",
    "free_port",
    "free_ports",
    "frp_command",
    "missing_frp",
    "relaykit_command",
]

FRP_BIN = "RELAYKIT_FRP_BIN"
"""The environment variable that names a directory with frp's programs."""

PATIENCE_S = 60.0
"""The longest that one step may take, on a busy machine; no test that passes waits until it is over."""

STOP_S = 15.0
"""Seconds that a program gets to end in order; more than ours take to drain."""

_ESTABLISHED = "01"
"""Source: proc(5), ``/proc/net/tcp``."""

_LOWEST_PORT, _HIGHEST_PORT = 10_000, 32_000
"""Ports that tests listen on: below those that the kernel usually gives to outgoing connections."""

_FEWEST_PORTS = 2_000
"""Ports that a run of the tests needs, and some."""

_LISTENING = "0A"
"""The state of a listening socket in ``/proc/net/tcp``."""


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


def _ports() -> Iterator[int]:
    begins_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    highest = min(_HIGHEST_PORT, max(begins_outgoing, _LOWEST_PORT + _FEWEST_PORTS))
    # Test processes that run at the same time begin at different places.
    first = random.SystemRandom().randrange(_LOWEST_PORT, highest)
    return itertools.cycle([*range(first, highest), *range(_LOWEST_PORT, first)])


_candidates = _ports()


def free_port() -> int:
    """A port, TCP and UDP, that nobody listens on and that this process has not been given before."""
    for port in _candidates:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind(("", port))
                datagrams.bind(("", port))
            except OSError:
                continue
            return port
    raise ProgramFailed("no port is free")


def free_ports(count: int) -> list[int]:
    """So many of them."""
    return [free_port() for _ in range(count)]


class Program:
    """A running program whose output, both streams in one, is collected line by line.

    :param folder: its working directory, and its home.
    :param environ: variables besides ``PATH`` and those that our programs need.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = " ".join(Path(word).name for word in command)
        self._lines: list[str] = []
        self._ended = False
        self._said = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(folder.absolute()),
                "PYTHONPATH": str(ROOT),
                **(environ or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name=self.name, daemon=True)
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

    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def sockets(self) -> int:
        """How many of them are sockets: without the pipes that it keeps for the next flows."""
        folder = Path(f"/proc/{self._process.pid}/fd")
        links = []
        for each in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(each))
        return sum(link.startswith("socket:") for link in links)

    def listening_ports(self) -> set[int]:
        """The TCP ports that it listens on."""
        folder = Path(f"/proc/{self._process.pid}")
        own = {os.readlink(each) for each in (folder / "fd").iterdir()}
        return {
            int(fields[1].rpartition(":")[2], 16)
            for table in ("tcp", "tcp6")
            for fields in map(str.split, (folder / "net" / table).read_text().splitlines()[1:])
            if fields[3] == _LISTENING and f"socket:[{fields[9]}]" in own
        }

    def ports_towards(self, port: int) -> set[int]:
        """The local ports of its TCP connections to a port elsewhere."""
        found = set()
        for line in Path(f"/proc/{self._process.pid}/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                found.add(int(local.rpartition(":")[2], 16))
        return found

    def peak_resident_bytes(self) -> int:
        """The most memory of it that was in RAM at a time."""
        return self._memory("VmHWM:")

    def resident_bytes(self) -> int:
        """The memory of it that is in RAM."""
        return self._memory("VmRSS:")

    def _memory(self, what: str) -> int:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) * 1024
        raise self._failed("has no memory")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
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
