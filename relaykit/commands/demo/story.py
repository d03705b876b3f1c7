"""What ``relaykit demo --nat`` tells: the scene, what programs say in their logs, and what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from rich.filesize import decimal

from relaykit.commands.demo.files import USER_PORT
from relaykit.commands.demo.laboratory import OWNER, SERVER, VISITOR, Counted
from relaykit.commands.demo.user import Times
from relaykit.values import PathProtocol

__all__ = [
    "event_words",
    "is_path_decided",
    "is_ready",
    "knows_nat",
    "line",
    "scene",
    "times_words",
    "total_words",
    "went_direct",
]

_WIDTH = 79
_INDENT = 10

_READY = ("the server started successfully", "start proxy success", "start visitor success")
"""How the line of a log ends that says that a program can be used."""

_ROUTERS = {
    "cone": "gives a socket one outer port for all its peers (cone)",
    "symmetric": "draws another outer port for each peer (symmetric)",
}

_MADE_OF = {
    PathProtocol.UDP.value: "made of UDP, with QUIC on it",
    PathProtocol.TCP.value: "made of TCP: with QUIC at both ends (pip install 'relaykit[quic]') it would be "
    "made of UDP, which more networks let through",
}

_PURPOSES = {
    OWNER.name: "offers a service, which says everything back, to who knows a secret",
    VISITOR.name: f"port {USER_PORT} of its machine leads to the owner's service",
}


def scene(routers: str) -> str:
    """Who is where, at the beginning."""
    nats = f"Each router has a NAT that {_ROUTERS[routers]}, and lets in only what answers: neither home can"
    return f"""\
Two homes behind routers, and an Internet between them: all of it network
namespaces of this machine, with no link to its own network.

  visitor {VISITOR.machine} -- router {VISITOR.wan} --+
                                              +-- server {SERVER[0]}
  owner   {OWNER.machine} -- router {OWNER.wan} --+

{fill(f"{nats} simply dial the other.", _WIDTH)}
"""


def line(who: str, text: str) -> str:
    """A line, or several, of what somebody does."""
    return fill(text, _WIDTH, initial_indent=f"{who:<{_INDENT}}", subsequent_indent=" " * _INDENT)


def is_ready(event: Mapping[str, Any]) -> bool:
    """Whether an event of a log says that its program can be used."""
    return str(event["message"]).endswith(_READY)


def knows_nat(event: Mapping[str, Any]) -> bool:
    """Whether an event of a client's log says what it found out about its NAT."""
    return "nat_type" in event


def is_path_decided(event: Mapping[str, Any]) -> bool:
    """Whether an event of the visitor's log says that there is a direct path, or why there is none."""
    return "protocol" in event or _is_refusal(event)


def event_words(who: str, event: Mapping[str, Any]) -> str:
    """What an event tells, for people; empty if it is not of the story.

    :param who: whose log it is of: the server's, the owner's or the visitor's.
    """
    if who == "server":
        return f"listens at {SERVER[0]}:7000, and tells by STUN how it sees others" if is_ready(event) else ""
    if "bound" in event:
        return f"logs in to the server; {_PURPOSES[who]}"
    if knows_nat(event):
        return f"learns by STUN: others see it as {event['mapped']}; its NAT {event['words']}"
    if "protocol" in event and "ended" in event:
        return f"loses the direct path: {event['ended']}"
    if "protocol" in event:
        return f"has a direct path with {event['peer']}, {_MADE_OF[event['protocol']]}"
    if "other" in event:
        return "sends this user through the relay instead (fallbackTo)"
    if _is_refusal(event):
        return f"gets no direct path: {event['reason']}"
    return ""


def went_direct(counted: Counted, payload: int) -> bool:
    """Whether that many bytes of a user went from home to home, and not through the server."""
    return counted.direct >= payload > counted.by_server


def times_words(times: Times, payload: int) -> str:
    """How long a user waited."""
    return (
        f"has a byte there and back in {times.round_trip_s * 1000:.1f} ms, and {payload >> 20} MiB in "
        f"{times.all_s * 1000:.0f} ms"
    )


def total_words(counted: Counted) -> str:
    """What went where."""
    return f"{decimal(counted.direct)} from home to home, {decimal(counted.by_server)} by the server"


def _is_refusal(event: Mapping[str, Any]) -> bool:
    return event.get("problem") == "hole-punching" and "visitor" in event and "reason" in event
