"""What an attack on the server does to its honest users, to its machine, and to its log."""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.programs import Program, ProgramFailed
from benchmarks.sink import Counter

__all__ = ["HONEST_TIMEOUT_S", "percentile", "suffer"]

HONEST_TIMEOUT_S = 5.0
"""Time after which an honest user has lost patience: that is what it counts as then."""

_QUIET_S = 2.0
_RAMP_S = 0.5
"""Time until an attack is under way."""

_EVERY_S = 0.02
_USERS = 64
"""Honest users who may wait at once; one more begins when one of them is served, and has waited since."""


def suffer(
    attack: str, server: Program, bind: int, token: str, echo: int, seconds: float
) -> dict[str, float]:
    """Attacks a server at its bind port, while honest users come to a proxy that echoes.

    Of the figures ``before-p50``, ``before-p99``, ``p50`` and ``p99`` are milliseconds from the start of a
    new connection to its first byte back.  ``cpu`` is the percentage of a processor that the server takes,
    ``memory`` the MB that it has grown by, ``log`` the percentage of the attacker's bytes that it writes,
    ``rate`` their MB a second.

    :raises ProgramFailed: the server or the attacker ended.
    """
    with tempfile.TemporaryDirectory(prefix="relaykit-benchmark-") as directory:
        sent = Counter(Path(directory, "sent"))
        before = honest_users(echo, _QUIET_S)
        resident, said = server.resident_bytes(), server.output_bytes()
        command = [sys.executable, "-m", "benchmarks.attacks", attack, str(bind), token, str(sent.file)]
        attacker = Program(attack, command, Path(directory, "attacker.log"))
        try:
            time.sleep(_RAMP_S)
            spent, begun = server.cpu_seconds(), time.perf_counter()
            during = honest_users(echo, seconds)
            took = time.perf_counter() - begun
            spent = server.cpu_seconds() - spent
            attacker.check()
            grown = server.resident_bytes() - resident
        finally:
            attacker.stop()
        if not sent.read():
            raise ProgramFailed(f"{attack} did nothing")
        return {
            "before-p50": percentile(before, 50) * 1e3,
            "before-p99": percentile(before, 99) * 1e3,
            "p50": percentile(during, 50) * 1e3,
            "p99": percentile(during, 99) * 1e3,
            "cpu": spent / took * 100,
            "memory": grown / 1e6,
            "log": (server.output_bytes() - said) / sent.read() * 100,
            "rate": sent.read() / (took + _RAMP_S) / 1e6,
        }


def honest_users(port: int, seconds: float) -> Sequence[float]:
    """Seconds that each user took to be served; they come one by one, whether or not others are served."""
    with ThreadPoolExecutor(_USERS) as users:
        begun = time.perf_counter()
        coming = []
        for number in range(int(seconds / _EVERY_S)):
            due = begun + number * _EVERY_S
            time.sleep(max(0.0, due - time.perf_counter()))
            coming.append(users.submit(_served, port, due))
        return [each.result() for each in coming]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


def _served(port: int, due: float) -> float:
    try:
        with socket.create_connection(("127.0.0.1", port), HONEST_TIMEOUT_S) as user:
            user.sendall(b"x")
            if user.recv(1) == b"x":
                return min(time.perf_counter() - due, HONEST_TIMEOUT_S)
    except OSError:
        pass
    return HONEST_TIMEOUT_S
