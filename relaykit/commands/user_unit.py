"""``relaykit systemd user``: a unit of a user's own that runs a client, as on a laptop, without root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaykit.commands.runner import DRAIN_LIMIT_S
from relaykit.commands.systemd import quoted_word, relaykit_command

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run", "user_unit"]

# What needs a namespace is left out: the manager of a user may not be allowed to make one.
_UNIT = """\
# Made by: relaykit systemd user
[Unit]
Description=relaykit client

[Service]
Type=notify
# By SIGHUP; systemd below 253 does not know this one, and goes by the line before.
Type=notify-reload
WatchdogSec=60
ExecStart={command}
Restart=always
RestartSec=2
TimeoutStopSec={stop_s:.0f}

# It gains no rights.
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=default.target
"""


def run(context: CommandContext, config: str, token_file: str) -> int:
    """Prints the unit, for a file that is there already or will be."""
    config = _absolute(config)
    if not Path(config).exists():
        context.explain(
            f"note: {config} is not there yet; the client cannot run before it is", "systemd-unit"
        )
    context.write(user_unit(relaykit_command(), config, _absolute(token_file)))
    return 0


def user_unit(command: list[str], config: str, token_file: str) -> str:
    """The text of the unit; ``command`` is how relaykit is called, and the paths are absolute or empty."""
    words = [*command, "client", "-c", config, *(["--token-file", token_file] if token_file else [])]
    return _UNIT.format(command=" ".join(map(quoted_word, words)), stop_s=DRAIN_LIMIT_S + 10)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""
