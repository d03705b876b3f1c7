"""Network namespaces of Linux without names, and the tools that furnish them.

Such a namespace lasts as long as a process has it, or is in it: the kernel removes it, however these end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from relaykit.errors import RelaykitError

__all__ = ["Namespace", "configure", "entered", "run"]

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"

_TOOL_S = 180
"""The longest that a tool may take, on a machine that stands still for a while; they take milliseconds."""


class Namespace:
    """A namespace with nothing in it but a loopback that is down, until :meth:`close`.

    :raises OSError: there are no namespaces here, or this process may not make any.
    """

    def __init__(self) -> None:
        with _coming_back():
            _call("unshare", _CLONE_NEWNET)
            self._descriptor = os.open(_OWN, os.O_RDONLY)

    @property
    def path(self) -> str:
        """Where other programs find it, too."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def close(self) -> None:
        """Lets it go; it ends with the last program in it."""
        os.close(self._descriptor)


@contextlib.contextmanager
def entered(path: str) -> Iterator[None]:
    """The calling thread is in a namespace; sockets made here, and programs started, stay there."""
    with _coming_back():
        wanted = os.open(path, os.O_RDONLY)
        try:
            _call("setns", wanted, _CLONE_NEWNET)
        finally:
            os.close(wanted)
        yield


def configure(settings: Mapping[str, str]) -> None:
    """Writes kernel parameters of the namespace that this thread is in; those that are not there are left.

    Keys are paths below ``/proc/sys/net``.
    """
    for key, value in settings.items():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/{key}", "w") as file:
            file.write(value)


def run(arguments: Sequence[str], text: str = "", check: bool = True) -> str:
    """Runs a program to its end with a text to read; answers what it printed.

    :raises RelaykitError: it failed, with what it said.
    """
    done = subprocess.run(arguments, input=text, text=True, capture_output=True, timeout=_TOOL_S, check=False)
    if check and done.returncode:
        command = " ".join(arguments)
        raise RelaykitError(f"{command} failed: {done.stderr.strip()}", problem="laboratory")
    return done.stdout


@contextlib.contextmanager
def _coming_back() -> Iterator[None]:
    """Wherever the calling thread goes, it is back at the end."""
    before = os.open(_OWN, os.O_RDONLY)
    try:
        yield
    finally:
        _call("setns", before, _CLONE_NEWNET)
        os.close(before)


def _call(function: str, *arguments: int) -> None:
    """Calls the system; the standard library has these functions from Python 3.12 on."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
