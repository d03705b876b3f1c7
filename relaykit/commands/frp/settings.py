"""What the flags of frp's programs set: tables as a configuration file would hold them.

A flag that was not given leaves its key out, so that the key has the default of files; so does one with
an empty value.  The few flags whose default differs are always written.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.logger import Logger

from relaykit.commands.frp.flags import CLIENT_FLAGS, FRPS
from relaykit.config.problems import ConfigurationProblem
from relaykit.flags.grammar import Call, flags_of
from relaykit.flags.tables import table_of

__all__ = ["as_flag", "client_table", "entry_table", "server_table", "warn_of_shown_secrets"]

log = Logger()


def server_table(call: Call) -> dict[str, Any]:
    """The configuration of a server that was started without a file."""
    dashboard = [flag.name for flag in FRPS.persistent if flag.key.startswith("webServer.")]
    if call["dashboard-port"]:
        return table_of(call, FRPS.persistent, always=("proxy_bind_addr", *dashboard))
    flags = [flag for flag in FRPS.persistent if flag.name not in dashboard]
    return table_of(call, flags, always=("proxy_bind_addr",))


def client_table(call: Call) -> dict[str, Any]:
    """The common part of a client that was started without a file."""
    return table_of(call, CLIENT_FLAGS, always=("server_addr",))


def entry_table(call: Call, proxy_type: str) -> dict[str, Any]:
    """The one proxy or visitor of such a client: what the own flags of the command say."""
    return {"type": proxy_type, **table_of(call, call.path[-1].flags)}


def as_flag(call: Call, problem: ConfigurationProblem) -> ConfigurationProblem:
    """A problem of such a table with the flag that sets its key, where there is one, and with the key."""
    own, inherited = flags_of(call.path)
    names = {flag.key: flag.name.replace("_", "-") for flag in (*inherited, *own) if flag.key}
    key = problem.key.partition("].")[2] or problem.key
    name = names.get(key)
    return problem if name is None else evolve(problem, key=f"--{name}", subject=key)


def warn_of_shown_secrets(call: Call) -> None:
    """Warns of each flag that was given with a secret."""
    own, inherited = flags_of(call.path)
    for flag in (*own, *inherited):
        name = flag.name.replace("_", "-")
        if flag.type.is_secret and name in call.given and call[name]:
            log.warn(
                "--{flag}: whoever is on this machine can read it in the list of processes; put it into a "
                "file that only its owner may read, and start with: -c FILE",
                flag=flag.name,
                problem="secret-on-the-line",
            )
