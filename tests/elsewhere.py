"""Makes this process look like one on a system that is not Linux: what only some systems have is hidden.

``python -m tests.elsewhere WORDS`` is ``relaykit WORDS`` there, with the one reactor that all systems have.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping

__all__ = ["hide", "import_libraries"]

MODULES = ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty")
"""Modules that Windows does not have."""

_NAMES: Mapping[object, str] = {
    os: (
        "O_CLOEXEC O_DIRECTORY O_NOFOLLOW SPLICE_F_MOVE SPLICE_F_NONBLOCK chown fchmod fchown fork getegid "
        "geteuid getgid getuid initgroups killpg memfd_create mkfifo pipe2 preadv pwritev readv "
        "sched_getaffinity sendfile setegid seteuid setgid setgroups setsid setuid splice sysconf "
        "tcgetpgrp uname writev"
    ),
    select: "EPOLLET EPOLLEXCLUSIVE EPOLLIN EPOLLOUT epoll kqueue poll",
    signal: "SIGALRM SIGCONT SIGHUP SIGPIPE SIGQUIT SIGTSTP SIGTTOU SIGUSR1 SIGUSR2 SIGWINCH pthread_sigmask",
    socket: (
        "AF_NETLINK AF_PACKET AF_UNIX IP_BIND_ADDRESS_NO_PORT IP_RECVERR MSG_DONTWAIT MSG_ERRQUEUE "
        "MSG_NOSIGNAL SCM_RIGHTS SOCK_CLOEXEC SOCK_NONBLOCK SO_REUSEPORT TCP_CORK TCP_INFO TCP_KEEPIDLE "
        "TCP_NOTSENT_LOWAT TCP_QUICKACK TCP_USER_TIMEOUT"
    ),
    socket.socket: "recvmsg recvmsg_into sendmsg",
    time: "CLOCK_BOOTTIME CLOCK_MONOTONIC clock_gettime",
}
"""Names that Windows, or macOS, does not have; those that Twisted itself needs on this system stay."""


def hide() -> None:
    """Hides all of it from whatever is imported from now on; libraries must have been imported before."""
    sys.platform = "win32"
    for module in MODULES:
        sys.modules[module] = None  # type: ignore[assignment]  # how an import is made to fail
    for holder, names in _NAMES.items():
        for name in names.split():
            if holder is socket.socket:
                _hide_method(name)
            elif hasattr(holder, name):
                delattr(holder, name)


def _hide_method(name: str) -> None:
    """Methods of the socket type itself cannot be deleted; a derived type can pretend."""

    def missing(self: socket.socket) -> None:
        raise AttributeError(name)

    setattr(socket.socket, name, property(missing))


def _run(words: list[str]) -> int:
    from twisted.internet import selectreactor

    selectreactor.install()
    import_libraries()
    hide()
    from relaykit.commands.main import main

    return main(words)


def import_libraries() -> None:
    """Imports the libraries that relaykit needs, by importing relaykit, which is then forgotten."""
    import relaykit

    for module in pkgutil.walk_packages(relaykit.__path__, "relaykit."):
        with contextlib.suppress(ImportError):  # what extras bring
            importlib.import_module(module.name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "relaykit"]:
        del sys.modules[name]


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1:]))
