"""The command ``relaykit``.

``relaykit frps ...`` and ``relaykit frpc ...`` take frp's own command lines.  What a command needs is
imported when it is run: the version is printed without Twisted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from relaykit.commands.dispatch import execute
from relaykit.commands.grammar import Call, Command, Flag
from relaykit.commands.kinds import BOOLEAN, INTEGER, LIST, TEXT
from relaykit.commands.surroundings import Surroundings
from relaykit.commands.usage import help_text

__all__ = ["RELAYKIT", "main", "run", "run_bare"]

MISUSE_STATUS = 2
"""Exit status for a command line of ours that makes no sense, as most programs have it."""

FRP_MISUSE_STATUS = 1
"""The same for the command lines of frp."""

_FRP_PROGRAMS = {"frps": "FRPS", "frpc": "FRPC"}

_HELP = ("help", "-h", "--help")
"""What shows every command; the version, like any one command, needs no proxy type."""

_CONFIG = Flag("config", TEXT, "configuration file (TOML, YAML or JSON)", default="", short="c")
_STRICT = Flag("strict-config", BOOLEAN, "refuse keys that are not known", default=True)
_UNSAFE = Flag("allow-unsafe", LIST, "allow features that run commands: TokenSourceExec", default=())
_STATE_DIR = Flag("state-dir", TEXT, "folder of what is kept from one start to the next", default="")
_RUNNING = (
    _CONFIG,
    _STRICT,
    _UNSAFE,
    _STATE_DIR,
    Flag("token-file", TEXT, "file with the token; comes before what the configuration says", default=""),
)

_QUICK = (
    Flag("quick", BOOLEAN, "run without a file, with a token and a certificate made once", default=False),
    Flag("port", INTEGER, "with --quick: port that clients dial", default=7000, short="p"),
    Flag("host", TEXT, "with --quick: name or address that clients know this machine by", default=""),
)

RELAYKIT = Command(
    "relaykit",
    "Publishes services from behind a NAT through a relay server; speaks frp's protocol.",
    action="relaykit.commands.main:run_bare",
    flags=(Flag("version", BOOLEAN, "print the version and exit", default=False, short="v"),),
    examples=(
        ("relaykit demo", "try it, all of it on this machine"),
        ("relaykit server --quick", "on a machine that the world can reach"),
        ("relaykit tcp 22 --server HOST --remote-port 6000", "on a machine behind a NAT: publish ssh"),
        ("relaykit verify -c frpc.toml", "look whether a file of frp is good for relaykit"),
    ),
    children=(
        Command(
            "server",
            "Run the relay server",
            action="relaykit.commands.roles:run_server",
            flags=(*_RUNNING, *_QUICK),
            most_arguments=0,
        ),
        Command(
            "client",
            "Run a client",
            action="relaykit.commands.roles:run_client",
            flags=_RUNNING,
            most_arguments=0,
        ),
        Command(
            "verify",
            "Check a configuration file and show everything that is wrong with it",
            action="relaykit.commands.verify:run",
            flags=(
                _CONFIG,
                _STRICT,
                _UNSAFE,
                Flag(
                    "role", TEXT, "server or client; found out from the file if it is not given", default=""
                ),
            ),
            most_arguments=0,
        ),
        Command(
            "token",
            "Print a new secret for a server and its clients",
            action="relaykit.commands.token:run",
            most_arguments=0,
        ),
        Command(
            "plugins",
            "List the installed proxy types, and where each comes from",
            action="relaykit.commands.plugins:run",
            most_arguments=0,
        ),
        Command(
            "demo",
            "Run a server, a client and a web page on this machine, and reach the page through them",
            action="relaykit.commands.demo:run",
            flags=(Flag("once", BOOLEAN, "fetch the page and exit", default=False),),
            most_arguments=0,
        ),
        Command(
            "forget",
            "Forget what is remembered of a server: its token, and what it proved",
            action="relaykit.commands.forget:run",
            flags=(_STATE_DIR,),
            most_arguments=1,
            arguments="HOST[:PORT]",
        ),
        Command(
            "nat",
            "Tell what kind of NAT this machine is behind, and what will work towards whom",
            action="relaykit.commands.nat:run",
            flags=(
                Flag(
                    "server",
                    LIST,
                    "STUN server to ask, HOST or HOST:PORT; two tell more than one",
                    default=(),
                ),
                Flag(
                    "lifetime",
                    BOOLEAN,
                    "also measure how long a mapping lives, which takes minutes",
                    default=False,
                ),
                Flag("json", BOOLEAN, "print JSON", default=False),
            ),
            most_arguments=0,
        ),
        Command(
            "completion",
            "Completion scripts for shells",
            children=tuple(
                Command(
                    shell,
                    f"Completion script for {shell}",
                    action="relaykit.commands.completion:run",
                    flags=(Flag("no-descriptions", BOOLEAN, "leave the explanations out", default=False),),
                    most_arguments=0,
                )
                for shell in ("bash", "fish", "zsh")
            ),
        ),
        Command(
            "man",
            "Print the manual page",
            action="relaykit.commands.manual:run",
            most_arguments=0,
        ),
        Command(
            "systemd",
            "Print a systemd unit for a role",
            children=tuple(
                Command(
                    role,
                    f"Unit that runs a {role}",
                    action="relaykit.commands.systemd:run",
                    flags=(
                        Flag(
                            "config",
                            TEXT,
                            "configuration file of the service",
                            default=f"/etc/relaykit/{role}.toml",
                            short="c",
                        ),
                        Flag(
                            "token-file",
                            TEXT,
                            "file with the token, which only root needs to be able to read",
                            default="",
                        ),
                    ),
                    most_arguments=0,
                )
                for role in ("server", "client")
            ),
        ),
        Command("frps", "Be frp's server: takes the command line of frps", arguments="..."),
        Command("frpc", "Be frp's client: takes the command line of frpc", arguments="..."),
        Command("help", "Show the help text of a command", arguments="[command]"),
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line of this process and answers its exit status.

    A command that a signal ended is ended by that signal, so that whoever started it can see it.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        status = run(words, Surroundings.of_process())
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = -signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output is gone; what is still buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if status < 0:
        _end_by_signal(-status)
        return 128 - status  # as the first process of a container, which its own signals do not end
    return status


def run(words: Sequence[str], around: Surroundings) -> int:
    """Runs one command line."""
    if words and words[0] in _FRP_PROGRAMS:
        from relaykit.commands import frpflags

        root: Command = getattr(frpflags, _FRP_PROGRAMS[words[0]])
        return execute(root, words[1:], around, FRP_MISUSE_STATUS)
    first = words[0] if words else "help"
    if first in _HELP or (RELAYKIT.child(first) is None and not first.startswith("-")):
        from relaykit.commands.tree import tree_for

        return execute(tree_for(RELAYKIT, first), words, around, MISUSE_STATUS)
    return execute(RELAYKIT, words, around, MISUSE_STATUS)


def run_bare(call: Call, around: Surroundings) -> int:
    """``relaykit`` without a command shows its help."""
    around.stdout.write(help_text(call.path))
    return 0


def _end_by_signal(number: int) -> None:
    sys.stdout.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
