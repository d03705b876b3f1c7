"""Users of sites, and a client with very many of them."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime

from benchmarks.programs import Program, ProgramFailed

__all__ = ["asks_for", "idle_users", "read_registrations", "wait_until_registered"]

_TIMEOUT_S = 10.0

_REGISTERED_WITHIN_S = 120.0
"""How long a client may take for all its proxies: far longer than any that was measured."""

_LOOK_EVERY_S = 0.25
"""Time between two looks at what a client says: it is to have the processors to itself."""

_TOLD = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) .*(login to server success|start proxy success|start error.*)"
)


def asks_for(hosts: Sequence[str]) -> str:
    """A script for wrk whose requests ask for these hosts in turns."""
    requests = ", ".join(f'wrk.format("GET", "/", {{Host = "{host}"}})' for host in hosts)
    return (
        "local requests, at = {}, 0\n"
        f"function init() requests = {{{requests}}} end\n"
        "function request() at = at % #requests + 1; return requests[at] end\n"
    )


@contextmanager
def idle_users(port: int, host: str, count: int) -> Iterator[None]:
    """So many users of a site at once, who have asked it once and stay connected.

    :raises ProgramFailed: one is not served, or has not stayed connected at the end.
    """
    with ExitStack() as stack:
        users = []
        for number in range(1, count + 1):
            user = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
            stack.callback(user.close)
            try:
                user.request("GET", "/", headers={"Host": host})
                answer = user.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise ProgramFailed(f"user {number} of {count} is not served: {error!r}") from error
            if answer.status != 200:
                raise ProgramFailed(f"user {number} of {count} is answered {answer.status} {answer.reason}")
            users.append(user)
        yield
        gone = sum(not _is_connected(user) for user in users)
        if gone:
            raise ProgramFailed(f"{gone} of {count} users were disconnected")


def read_registrations(output: str) -> tuple[int, float]:
    """How many proxies a client says are there, and how many seconds after its login the last one was.

    :raises ProgramFailed: it says that one could not be started.
    """
    logged_in: datetime | None = None
    count, seconds = 0, 0.0
    for at, what in _TOLD.findall(output):
        moment = datetime.fromisoformat(at)
        if what.startswith("login"):
            logged_in = moment
        elif what.startswith("start error"):
            raise ProgramFailed(f"a proxy is not taken: {what}")
        elif logged_in is not None:
            count += 1
            seconds = (moment - logged_in).total_seconds()
    return count, seconds


def wait_until_registered(client: Program, count: int) -> float:
    """Waits until so many proxies of a client are there; seconds from its login to the last one.

    :raises ProgramFailed: it ended, or one could not be started, or some are missing for too long.
    """
    deadline = time.monotonic() + _REGISTERED_WITHIN_S
    while True:
        client.check()
        there, seconds = read_registrations(client.output())
        if there >= count:
            return seconds
        if time.monotonic() > deadline:
            raise ProgramFailed(f"{there} of {count} proxies are there after {_REGISTERED_WITHIN_S:g} s")
        time.sleep(_LOOK_EVERY_S)


def _is_connected(user: http.client.HTTPConnection) -> bool:
    if user.sock is None:
        return False
    user.sock.setblocking(False)
    with suppress(OSError):
        # Nothing is due to arrive: whatever can be read is an end.
        user.sock.recv(1)
        return False
    return True
