"""The log of a daemon: what the file's table ``log`` says, where ``twistd`` was not told otherwise.

``twistd`` has a log of its own.  Its ``--logfile`` comes before ``log.to``, and its default, ``twistd.log``
or standard output, stands for the console.  ``--syslog`` and ``--logger`` are by themselves, and so is
``twist``, which takes level, form and file from its own options.
"""

from __future__ import annotations

import os
import sys

from twisted.application.app import ServerOptions
from twisted.python.usage import Options

from relaykit.config.schema.sections import LogConfig
from relaykit.logs.observers import CONSOLE, LogSettings

__all__ = ["daemon_log"]

DEFAULT_FILE = "twistd.log"
"""Where a daemon logs to that was not told anything."""


def daemon_log(config: LogConfig, program: Options | None, folder: str = "") -> LogSettings | None:
    """How the log of a role is written under ``program``; None for that to do it itself.

    :param folder: where the program was started; empty for where it is.
    """
    if not isinstance(program, ServerOptions) or program.get("syslog") or program.get("logger"):
        return None
    is_daemon = not program.get("nodaemon")
    chosen = program.get("logfile") or config.to
    if chosen == "-" and is_daemon:
        return None  # which twistd refuses
    if chosen in (CONSOLE, "-"):
        chosen = DEFAULT_FILE if is_daemon else CONSOLE
    return LogSettings(
        to=chosen if chosen == CONSOLE else os.path.join(folder, chosen),
        level=config.level,
        max_days=config.max_days,
        color=not config.disable_print_color and sys.stdout.isatty(),
        format=config.format,
    )
