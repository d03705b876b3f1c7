"""``relaykit man``: the manual page relaykit(1), made from the tree of commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from relaykit import __version__
from relaykit.commands.grammar import Command, Flag, Path, flags_of, path_text
from relaykit.commands.usage import default_text, flag_form

if TYPE_CHECKING:
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings

__all__ = ["man_page", "run"]

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
    ("RELAYKIT_TOKEN", "The token, where \\-\\-token\\-file is not given; empty for a server without one."),
    (
        "RELAYKIT_FINGERPRINT",
        "The fingerprint of the server's certificate, where \\-\\-fingerprint is not given.",
    ),
    ("RELAYKIT_SECRET_KEY", "The key of a secret service, where \\-\\-secret\\-key\\-file is not given."),
    (
        "STATE_DIRECTORY, XDG_STATE_HOME, HOME",
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


def run(call: Call, around: Surroundings) -> int:
    """Prints the page, with the commands of all installed proxy types."""
    from relaykit.commands.tree import whole_tree

    around.stdout.write(man_page(whole_tree(call.path[0])))
    return 0


def man_page(root: Command) -> str:
    """The page in the macros of man(7)."""
    children = sorted(root.children, key=lambda child: child.name)
    lines = [
        f'.TH RELAYKIT 1 "" "relaykit {__version__}" "User Commands"',
        ".SH NAME",
        f"{root.name} \\- publishes services from behind a NAT through a relay server",
        ".SH SYNOPSIS",
        f".B {root.name}",
        ".I command",
        "[\\fIargument\\fR] [\\fIflags\\fR]",
        ".SH DESCRIPTION",
        _text(root.summary),
        ".PP",
        "A client runs beside a service that the world cannot reach, and logs in to a server that it can.",
        "Whoever dials the server's port ends up at the service.",
        ".SH COMMANDS",
        *(line for child in children for line in _command((root, child))),
        *_section("ENVIRONMENT", _ENVIRONMENT),
        *_section("FILES", _FILES, "They are in the state directory, which only its owner may read."),
        *_section("EXIT STATUS", _STATUS, "frps and frpc have the statuses of frp's programs."),
        ".SH SIGNALS",
        "The first SIGINT, SIGTERM or SIGHUP ends a server or client in order: no new users come, and those",
        "that are there get some seconds.  The second one ends it at once.",
        ".SH EXAMPLES",
        *(line for about, *commands in _EXAMPLES for line in _example(about, commands)),
        ".SH SEE ALSO",
        ".BR twistd (1),",
        ".BR ssh (1),",
        ".BR systemd.service (5)",
    ]
    return "\n".join(lines) + "\n"


def _command(path: Path) -> Iterator[str]:
    command = path[-1]
    words = " ".join(part for part in (path_text(path), command.arguments) if part)
    yield f".SS {_text(words)}"
    yield _text(command.summary) + "."
    own, inherited = flags_of(path)
    for flag in (*own, *inherited):
        if flag.name != "help":
            yield from _flag(flag)
    for child in command.children:
        yield from _command((*path, child))


def _flag(flag: Flag) -> Iterable[str]:
    return (".TP", f".B {_text(flag_form(flag).strip())}", _text(flag.summary + default_text(flag.default)))


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
