"""``relaykit man``: the manual page relaykit(1), made of the tree of commands."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relaykit import __version__
from relaykit.commands.program import RELAYKIT

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["command_contexts", "man_page", "run"]

WIDTH = 100
"""Columns of help texts that are printed into a page."""

_EXAMPLES = (
    ("Try it on this machine, all of it:", "relaykit demo"),
    ("On a machine that the world can reach, run a server:", "relaykit server --quick"),
    (
        "On a machine behind a NAT, publish ssh:",
        "relaykit tcp 22 --server relay.example --token-file token --remote-port 6000",
    ),
    (
        "Publish a database to visitors only, and visit it from a third machine:",
        "relaykit secret 5432 --name db --server relay.example --token-file token",
        "relaykit visit db --port 5432 --server relay.example --token-file token",
    ),
    (
        "Run both ends from files, as frp has them:",
        "relaykit server -c frps.toml",
        "relaykit client -c frpc.toml",
    ),
    ("Say everything that is wrong with a file:", "relaykit verify -c frpc.toml"),
)

_ENVIRONMENT = (
    ("RELAYKIT_SERVER", "The server of a one-line command that has no \\-\\-server."),
    ("RELAYKIT_TOKEN", "The token, where \\-\\-token\\-file is not given."),
    (
        "RELAYKIT_FINGERPRINT",
        "The fingerprint of the server's certificate, where \\-\\-fingerprint is not given.",
    ),
    ("RELAYKIT_SECRET_KEY", "The key of a secret service, where \\-\\-secret\\-key\\-file is not given."),
    ("RELAYKIT_GROUP_KEY", "The key of a group of proxies, where \\-\\-group\\-key\\-file is not given."),
    (
        "STATE_DIRECTORY, XDG_STATE_HOME, HOME, LOCALAPPDATA",
        "Where the state directory is, in this order, unless \\-\\-state\\-dir names one.",
    ),
)

_FILES = (
    ("server\\-certificate.pem", "The server's own certificate and key, made at its first start."),
    ("token", "The token of relaykit server \\-\\-quick."),
    ("identity.pem", "The key that a client shows to be the one that it was."),
    ("servers.json", "What servers have proved to this client; relaykit forget removes it."),
    ("logins.json", "Servers of one-line commands with \\-\\-remember, tokens included."),
)

_STATUS = (
    ("0", "The command did what it is for; a server or client ended in order."),
    ("1", "It failed, and said why."),
    ("2", "The command line makes no sense."),
)


def run(context: CommandContext) -> int:
    """Shows the page by ``man`` on a terminal, else its source, with the commands of all installed types."""
    viewer = shutil.which("man") if context.stdout.isatty() else None
    if viewer is None:
        context.write(man_page())
        return 0
    with tempfile.TemporaryDirectory(prefix="relaykit-") as folder:
        page = Path(folder, "relaykit.1")
        page.write_text(man_page(), "utf-8")
        # A name with a slash is a file to every man, those without the option -l, too.
        return subprocess.run([viewer, str(page)], check=False).returncode


def command_contexts(
    wanted: Callable[[click.Command], bool] = lambda command: True,
) -> Iterator[click.Context]:
    """Every command of ``relaykit``, as click sees it when it is called, the parents first."""

    def below(parent: click.Context) -> Iterator[click.Context]:
        group = parent.command
        assert isinstance(group, click.Group)
        for name in group.list_commands(parent):
            command = group.get_command(parent, name)
            if command is not None and wanted(command):
                settings = {**command.context_settings, "terminal_width": WIDTH}
                context = click.Context(command, parent=parent, info_name=name, **settings)
                yield context
                if isinstance(command, click.Group):
                    yield from below(context)

    return below(click.Context(RELAYKIT, info_name="relaykit"))


def man_page(wanted: Callable[[click.Command], bool] = lambda command: True) -> str:
    """The page in the macros of man(7)."""
    lines = [
        f'.TH RELAYKIT 1 "" "relaykit {__version__}" "User Commands"',
        ".SH NAME",
        "relaykit \\- publishes services from behind a NAT through a relay server",
        ".SH SYNOPSIS",
        ".B relaykit",
        ".I command",
        "[\\fIoptions\\fR] [\\fIargument\\fR]",
        ".SH DESCRIPTION",
        _text(RELAYKIT.help or ""),
        ".PP",
        "A client runs beside a service that the world cannot reach, and logs in to a server that it can.",
        "Whoever dials the server's port ends up at the service.",
        ".SH COMMANDS",
        *(line for context in command_contexts(wanted) for line in _command(context)),
        *_section("ENVIRONMENT", _ENVIRONMENT),
        *_section("FILES", _FILES, "They are in the state directory, which only its owner may read."),
        *_section("EXIT STATUS", _STATUS, "frps and frpc have the statuses of frp's programs."),
        ".SH SIGNALS",
        "The first SIGINT or SIGTERM ends a server or client in order: no new users come, and those that are",
        "there get some seconds.  The second one ends it at once.  SIGHUP opens the log file again, which",
        "programs that rotate logs ask for, and has the configuration read again; it ends nothing,",
        "unless the terminal is gone that the command was started on.",
        ".SH EXAMPLES",
        *(line for about, *commands in _EXAMPLES for line in _example(about, commands)),
        ".SH SEE ALSO",
        ".BR twistd (1),",
        ".BR ssh (1),",
        ".BR systemd.service (5)",
    ]
    return "\n".join(lines) + "\n"


def _command(context: click.Context) -> Iterator[str]:
    arguments = [
        each.make_metavar(context)
        for each in context.command.get_params(context)
        if isinstance(each, click.Argument)
    ]
    yield f".SS {_text(' '.join([context.command_path, *arguments]))}"
    yield _text(context.command.help or "")
    for each in context.command.get_params(context):
        record = each.get_help_record(context) if isinstance(each, click.Option) else None
        if record is not None and "--help" not in each.opts:
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))


def _section(title: str, entries: Sequence[tuple[str, str]], before: str = "") -> Iterator[str]:
    yield f".SH {title}"
    if before:
        yield before
    for term, text in entries:
        yield from (".TP", f".B {term}", text)


def _example(about: str, commands: Iterable[str]) -> Iterator[str]:
    yield from (".PP", _text(about), ".PP", ".nf", ".RS")
    yield from map(_text, commands)
    yield from (".RE", ".fi")


def _text(text: str) -> str:
    """A text as roff takes it literally."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped
