"""Our programs without the time that Python takes to import them: forks of a process that has done so.

A test that starts a server and a client would spend most of its time on that.  What is run in the fork is
:func:`relaykit.commands.main.main`, with a command line, an environment, a folder, descriptors, a process and
memory of its own.  Tests of starting itself, and those that take minutes, start programs anew
(:mod:`tests.integration.programs`).
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from relaykit.commands.main import main

__all__ = ["Fork", "fork"]

_PRELOADED = (
    "relaykit.client.service",
    "relaykit.commands.frp.frpc",
    "relaykit.commands.frp.frps",
    "relaykit.commands.program",
    "relaykit.commands.serve",
    "relaykit.config.text.json",
    "relaykit.server.network",
    "relaykit.server.service",
    "twisted.application.reactors",
    "twisted.cred.strcred",
    "twisted.internet.epollreactor",
    "twisted.trial.itrial",
    "twisted.words.iwords",
)
"""What a role imports before it serves, and what looking for plugins does.

No reactor is installed by that, and no thread is started.  Plugins are imported in each fork.
"""

_MOST_ORDER_BYTES = 64 * 1024

_PR_SET_CHILD_SUBREAPER = 36
"""Source: prctl(2)."""

_one_at_a_time = threading.Lock()


class _Order(msgspec.Struct):
    """What a program is started with."""

    arguments: list[str]
    folder: str
    environ: dict[str, str]


class Fork:
    """A running program, with what :class:`subprocess.Popen` has of the same names."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, or minus the number of the signal that ended it; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The same, once it has ended.

        :raises subprocess.TimeoutExpired: it goes on.
        """
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)  # not every system has a descriptor that tells of the end of a process
        return status

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end in order."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


def fork(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], output: int, errors: int
) -> Fork:
    """Runs ``relaykit ARGUMENTS`` in a folder; the descriptors are those that it prints to."""
    order = _Order(list(arguments), str(folder), dict(environ))
    with _one_at_a_time:
        _, orders = _template(environ["PYTHONPATH"])
        socket.send_fds(orders, [msgspec.json.encode(order)], [output, errors])
        return Fork(int(orders.recv(_MOST_ORDER_BYTES)))


@functools.cache
def _template(path: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process of which programs are forks, and where it takes orders; it ends with this one.

    :param path: where it finds our package.
    """
    # Its grandchildren become children of this process: none but their parent can wait for them.
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        process = subprocess.Popen(
            # By its file, because the package of the tests would import what no program has.
            [sys.executable, __file__, str(there.fileno())],
            env={"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
        )
    return process, here


# --- in the template ------------------------------------------------------------------------------------


def _serve(orders: socket.socket) -> None:
    """Forks as it is told, until whoever tells it is gone; returns in each fork, which is a program then."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, _MOST_ORDER_BYTES, 2)
        if not data:
            sys.exit()
        begun, begins = os.pipe()
        between = os.fork()
        if not between:
            program = os.fork()
            if program:
                os.write(begins, b"%d" % program)
                os._exit(0)
            for each in (begun, begins, orders.detach()):
                os.close(each)
            _become(msgspec.json.decode(data, type=_Order), *descriptors)
            return
        os.waitpid(between, 0)
        orders.send(os.read(begun, _MOST_ORDER_BYTES))
        for each in (begun, begins, *descriptors):
            os.close(each)


def _become(order: _Order, output: int, errors: int) -> None:
    """Gives this process what a program is started with."""
    for given, standard in ((output, 1), (errors, 2)):
        os.dup2(given, standard)
        os.close(given)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # as long as the process
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115  # likewise
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environ)
    sys.argv[1:] = order.arguments
    sys.path[0] = order.folder


if __name__ == "__main__":
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(main())
