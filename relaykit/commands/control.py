"""``relaykit status``, ``reload`` and ``stop``: what a program that runs is asked over its control socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from relaykit.administration.report import RELOAD, STATUS, STOP
from relaykit.commands.running import running_program
from relaykit.commands.status.parts import duration
from relaykit.commands.status.view import users_text
from relaykit.errors import RelaykitError
from relaykit.options import Effect

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["WATCH_S", "run_reload", "run_status", "run_stop"]

WATCH_S = 2.0
"""Seconds between two looks."""

_CLEAR = "\x1b[H\x1b[2J"
_EFFECTS = {
    Effect.AT_ONCE: "From now on",
    Effect.AT_LOGIN: "In new sessions",
    Effect.AFTER_RESTART: "Only after a restart",
}


def run_status(context: CommandContext, *, as_json: bool, watch: bool, **where: Any) -> int:
    """Shows how a program stands, once or again and again."""
    program = running_program(context, **where)
    if program is None:
        return 1
    while True:
        try:
            report = program.ask("GET", STATUS)
        except RelaykitError as error:
            context.explain(error)
            return 1
        if watch and not as_json and context.stdout.isatty():
            context.write(_CLEAR)
        context.say(json.dumps(report) if as_json else "\n".join(_lines(report)))
        if not watch:
            return 0
        time.sleep(WATCH_S)


def run_reload(context: CommandContext, **where: Any) -> int:
    """Has a program read its configuration again, and says what has changed."""
    program = running_program(context, **where)
    if program is None:
        return 1
    try:
        changed = program.ask("POST", RELOAD)
    except RelaykitError as error:
        context.complain(str(error))
        context.complain("Nothing has changed.")
        return 1
    context.say("Read again: proxies and visitors are as the file says.")
    for when, words in _EFFECTS.items():
        if keys := changed.get(when.value):
            context.say(f"{words}: {', '.join(keys)}")
    return 0


def run_stop(context: CommandContext, **where: Any) -> int:
    """Has a program end, in order."""
    program = running_program(context, **where)
    if program is None:
        return 1
    try:
        program.ask("POST", STOP)
    except RelaykitError as error:
        context.explain(error)
        return 1
    context.say("It ends once its users have had their seconds.")
    return 0


def _lines(report: dict[str, Any]) -> Iterator[str]:
    named = f", {report['config']}" if report["config"] else ""
    yield f"relaykit {report['role']} {report['version']}, process {report['pid']}{named}"
    if report["role"] == "client":
        yield f"{_connection(report)}; {users_text(report['users'])}"
        rows = [
            (each["name"], each["type"], each["state"], users_text(each["users"]), _where(each))
            for each in report["proxies"]
        ]
        rows += [
            (
                each["name"],
                "visitor",
                _stands(each),
                users_text(each["users"]),
                _where(each),
            )
            for each in report["visitors"]
        ]
    else:
        yield f"{report['state']}, port {report['port']}; {users_text(report['users'])}"
        rows = [
            (each["hostname"] or each["client_id"], "client", each["version"], each["address"], "")
            for each in report["clients"]
        ]
        rows += [
            (
                each["name"],
                each["type"],
                each["address"],
                users_text(each["users"]),
                f"of {each['client_id']}{_probed(each.get('probe'))}",
            )
            for each in report["proxies"]
        ]
    if rows:
        yield ""
        yield from _columns(rows)
    entries = [*report["proxies"], *report.get("visitors", ())]
    if wrong := [line for each in entries for line in _wrong(each)]:
        yield ""
        yield from wrong


def _connection(report: dict[str, Any]) -> str:
    if report["stopping"]:
        return "being stopped"
    if report["connected"]:
        return f"connected to {report['server']} for {report['for_seconds']:.0f} s"
    again = report["next_try_seconds"]
    return f"not connected to {report['server']}" + (
        "" if again is None else f", the next try is in {again:.0f} s"
    )


def _stands(visitor: dict[str, Any]) -> str:
    if visitor["address"]:
        return "listening"
    return "connected" if visitor.get("local") and visitor["users"] else "closed"


def _where(entry: dict[str, Any]) -> str:
    return " ".join(filter(None, (entry["address"] or entry.get("local"), entry["reason"], entry["way"])))


def _probed(probe: dict[str, Any] | None) -> str:
    """What came of the last look, and how old that is."""
    if probe is None:
        return ""
    how = f"online, {1000 * probe['seconds']:.0f} ms" if probe["online"] else "NOT SERVED"
    return f"; {how}, looked at {duration(probe['seconds_ago'])} ago"


def _wrong(entry: dict[str, Any]) -> Iterator[str]:
    """What has gone wrong there last, of what is not told beside it."""
    probe = entry.get("probe")
    if probe is not None and probe["error"]:
        yield f"{entry['name']}: users would not be served: {probe['error']}"
    if entry.get("last_error"):
        ago = duration(entry["last_error_seconds"])
        yield f"{entry['name']}: {ago} ago a user was not served: {entry['last_error']}"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
