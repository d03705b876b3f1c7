"""Network namespaces with names: entering one, running programs in one, and whether there can be any."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager

from relaykit.commands.demo import namespaces
from relaykit.commands.demo.namespaces import run
from relaykit.errors import RelaykitError

__all__ = ["entered", "ip_batch", "run", "why_not", "within"]

_PLACE = "/run/netns/"


def entered(name: str) -> AbstractContextManager[None]:
    """The calling thread is in the namespace; sockets that are made here stay there."""
    return namespaces.entered(_PLACE + name)


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
    except RelaykitError as error:
        return f"network namespaces cannot be made ({str(error).splitlines()[0]})"
    try:
        ip_batch(_LINKS, name)
        for rules in ("table inet check { }\n", *rulesets):
            run([*within(name), "nft", "-f", "-"], rules)
    except RelaykitError as error:
        return f"links or rules of nftables cannot be made ({str(error).splitlines()[0]})"
    finally:
        run(["ip", "netns", "del", name], check=False)
    return ""
