"""Network namespaces: entering one, running programs in one, and whether there can be any."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

__all__ = ["entered", "ip_batch", "run", "why_not", "within"]

_CLONE_NEWNET = 0x40000000
_PLACE = "/run/netns/"
_TIMEOUT_S = 180

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """The calling thread is in the namespace; sockets that are made here stay there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    wanted = os.open(_PLACE + name, os.O_RDONLY)
    try:
        _enter(wanted)
        yield
    finally:
        _enter(before)
        os.close(before)
        os.close(wanted)


def run(arguments: Sequence[str], text: str = "", check: bool = True) -> str:
    """Runs a program to its end; answers what it printed.

    :raises RuntimeError: it failed, with what it said.
    """
    done = subprocess.run(
        arguments, input=text, text=True, capture_output=True, timeout=_TIMEOUT_S, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr}\n{text}")
    return done.stdout


def within(name: str) -> list[str]:
    """What to put before a command line to run it in a namespace."""
    return ["nsenter", f"--net={_PLACE}{name}"]


def ip_batch(commands: Sequence[str], name: str = "", *options: str) -> None:
    """Runs many ``ip`` commands at once, in a namespace or outside."""
    where = ["-n", name] if name else []
    run(["ip", *options, *where, "-batch", "-"], "\n".join(commands) + "\n")


_LINKS = ("link add v0 type veth peer name v1", "link add b0 type bridge")


def why_not(*rulesets: str) -> str:
    """Why there cannot be namespaces with links and these rules here; empty if there can."""
    for program in ("ip", "nft", "nsenter"):
        if shutil.which(program) is None:
            return f"the program {program} is not installed"
    name = f"rkcheck{os.getpid()}"
    try:
        run(["ip", "netns", "add", name])
    except RuntimeError as error:
        return f"network namespaces cannot be made ({str(error).splitlines()[0]})"
    try:
        ip_batch(_LINKS, name)
        for rules in ("table inet check { }\n", *rulesets):
            run([*within(name), "nft", "-f", "-"], rules)
    except RuntimeError as error:
        return f"links or rules of nftables cannot be made ({str(error).splitlines()[0]})"
    finally:
        run(["ip", "netns", "del", name], check=False)
    return ""


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
