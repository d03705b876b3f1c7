"""The commands of ``relaykit``, with their flags.

Only click is imported here: what a command needs is imported when it is run, and proxy types when their
commands are asked for.  The version is printed without either.
"""

from __future__ import annotations

import csv
import difflib
import importlib
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import click

from relaykit import __version__

__all__ = [
    "BOOLEAN_FLAG",
    "EXAMPLES",
    "PAIRS",
    "RELAYKIT",
    "SETTINGS",
    "STATE_DIR",
    "WORDS",
    "Program",
    "several",
]

EXAMPLES = (
    ("relaykit demo", "try it, all of it on this machine"),
    ("relaykit server --quick", "on a machine that the world can reach"),
    ("relaykit tcp 22 --server HOST --remote-port 6000", "on a machine behind a NAT: publish ssh"),
    ("relaykit verify -c frpc.toml", "look whether a file of frp is good for relaykit"),
)

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


# --- the values of flags -------------------------------------------------------------------------


class _Words(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click alone
    """Texts separated by commas, quoted as in CSV where they contain some."""

    name = "strings"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return next(csv.reader([value]), ()) if isinstance(value, str) else value


class _Pairs(_Words):
    """``key=value`` pairs separated by commas."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        pairs = [word.partition("=") for word in super().convert(value, param, ctx)]
        if not all(sign for _, sign, _ in pairs):
            self.fail(f"{value!r} is not key=value", param, ctx)
        return [(key, text) for key, _, text in pairs]


WORDS, PAIRS = _Words(), _Pairs()

BOOLEAN_FLAG: dict[str, Any] = {"type": click.BOOL, "is_flag": False, "flag_value": "true"}
"""Keywords of an option that is yes when it stands alone, and takes a value: ``--flag=false``."""


def several(*names: str, type: _Words = WORDS, help: str = "") -> click.Option:
    """An option that may be repeated, and takes several values at once."""

    def flattened(ctx: click.Context, param: click.Parameter, value: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(chain.from_iterable(value))

    return click.Option(names, type=type, multiple=True, callback=flattened, help=help)


# --- groups and commands -------------------------------------------------------------------------


class Program(click.Group):
    """Commands of its own, and those of the installed proxy types; its own come first where names clash."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from relaykit.commands.tunnels.commands import installed_tunnels

        return sorted({*super().list_commands(ctx), *(each.line.command for each in installed_tunnels())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        from relaykit.commands.tunnels.commands import command_named

        return command_named(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], self.list_commands(ctx))
            hint = f"  Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


_FRP: dict[str, Any] = {
    "help": "Takes the command line of frp's program, which it shows with --help.",
    "options_metavar": "...",
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True},
}


class _FrpProgram(click.Command):
    """One of frp's programs: listed and completed here, and run by :mod:`relaykit.commands.frp`."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from relaykit.commands.frp.dispatch import completions

        return [
            click.shell_completion.CompletionItem(word, help=about)
            for word, about in completions(self.name or "", ctx.args, incomplete)
        ]


def _called(action: str) -> Callable[..., Any]:
    """Calls ``module:function`` with the context of the command and the values of its flags."""

    def call(**values: Any) -> Any:
        module, _, function = action.partition(":")
        run = getattr(importlib.import_module(f"relaykit.commands.{module}"), function)
        return run(click.get_current_context().obj, **values)

    return call


def _command(name: str, action: str, about: str, *params: click.Parameter) -> click.Command:
    return click.Command(
        name,
        callback=_called(action),
        params=list(params),
        help=f"{about}.",
        short_help=about,
        context_settings=SETTINGS,
    )


def _group(name: str, about: str, *children: click.Command) -> click.Group:
    return click.Group(name, commands=children, help=f"{about}.", short_help=about, context_settings=SETTINGS)


def _version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(__version__)
        ctx.exit()


@click.pass_context
def _bare(ctx: click.Context) -> int:
    """``relaykit`` without a command shows its help."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 0


@click.pass_context
def _help(ctx: click.Context, words: tuple[str, ...]) -> int:
    """``relaykit help`` shows the help of a command."""
    assert ctx.parent is not None
    where: click.Context = ctx.parent
    for word in words:
        command = where.command
        found = command.get_command(where, word) if isinstance(command, click.Group) else None
        if found is None:
            ctx.fail(f"There is no command {' '.join(words)!r}.")
        where = click.Context(found, parent=where, info_name=word, **found.context_settings)
    click.echo(where.get_help())
    return 0


# --- the tree ------------------------------------------------------------------------------------

_CONFIG = click.Option(
    ["-c", "--config"], type=click.Path(), default="", help="configuration file (TOML, YAML or JSON)"
)
_STRICT = click.Option(
    ["--strict-config"],
    default=True,
    help="refuse keys that are not known, unless it is false",
    **BOOLEAN_FLAG,
)
_UNSAFE = several("--allow-unsafe", help="allow features that run commands: TokenSourceExec")
STATE_DIR = click.Option(
    ["--state-dir"],
    type=click.Path(file_okay=False),
    default="",
    help="folder of what is kept from one start to the next",
)
_TOKEN_FILE = click.Option(
    ["--token-file"],
    type=click.Path(),
    default="",
    help="file with the token; comes before what the configuration says",
)
_RUNNING = (_CONFIG, _STRICT, _UNSAFE, STATE_DIR, _TOKEN_FILE)

RELAYKIT = Program(
    "relaykit",
    help="Publishes services from behind a NAT through a relay server; speaks frp's protocol.",
    epilog="\b\nExamples:\n" + "\n".join(f"  {words:50}{about}" for words, about in EXAMPLES),
    callback=_bare,
    invoke_without_command=True,
    context_settings=SETTINGS,
    params=[
        click.Option(
            ["-v", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="print the version and exit",
        )
    ],
    commands=[
        _command(
            "server",
            "serve:run_server",
            "Run the relay server",
            *_RUNNING,
            click.Option(
                ["--quick"], is_flag=True, help="run without a file, with a token and a certificate made once"
            ),
            click.Option(
                ["-p", "--port"],
                type=int,
                default=7000,
                show_default=True,
                help="with --quick: port that clients dial",
            ),
            click.Option(
                ["--host"],
                default="",
                help="with --quick: name or address that clients know this machine by",
            ),
        ),
        _command("client", "serve:run_client", "Run a client", *_RUNNING),
        _command(
            "verify",
            "verify:run",
            "Check a configuration file and show everything that is wrong with it",
            _CONFIG,
            _STRICT,
            _UNSAFE,
            click.Option(
                ["--role"],
                type=click.Choice(["server", "client"]),
                help="whose file it is; found out from its keys if it is not given",
            ),
        ),
        _command("token", "token:run", "Print a new secret for a server and its clients"),
        _command("plugins", "plugins:run", "List the installed proxy types, and where each comes from"),
        _command(
            "demo",
            "demo:run",
            "Run a server, a client and a web page on this machine, and reach the page through them",
            click.Option(["--once"], is_flag=True, help="fetch the page and exit"),
        ),
        _command(
            "forget",
            "forget:run",
            "Forget what is remembered of a server: its token, and what it proved",
            STATE_DIR,
            click.Argument(["server"], metavar="HOST[:PORT]"),
        ),
        _command(
            "nat",
            "nat:run",
            "Tell what kind of NAT this machine is behind, and what will work towards whom",
            several("--server", help="STUN server to ask, HOST or HOST:PORT; two tell more than one"),
            click.Option(
                ["--lifetime"],
                is_flag=True,
                help="also measure how long a mapping lives, which takes minutes",
            ),
            click.Option(["--json"], is_flag=True, help="print JSON"),
        ),
        _command(
            "completion",
            "completion:run",
            "Print a script that lets a shell complete command lines",
            click.Argument(["shell"], type=click.Choice(["bash", "fish", "zsh"])),
        ),
        _command("man", "manual:run", "Print the manual page"),
        _group(
            "systemd",
            "Print a systemd unit for a role",
            *(
                _command(
                    role,
                    f"systemd:run_{role}",
                    f"Unit that runs a {role}",
                    click.Option(
                        ["-c", "--config"],
                        type=click.Path(),
                        default=f"/etc/relaykit/{role}.toml",
                        show_default=True,
                        help="configuration file of the service",
                    ),
                    click.Option(
                        ["--token-file"],
                        type=click.Path(),
                        default="",
                        help="file with the token, which only root needs to be able to read",
                    ),
                )
                for role in ("server", "client")
            ),
        ),
        _FrpProgram("frps", short_help="Be frp's server: takes the command line of frps", **_FRP),
        _FrpProgram("frpc", short_help="Be frp's client: takes the command line of frpc", **_FRP),
        click.Command(
            "help",
            callback=_help,
            params=[click.Argument(["words"], nargs=-1, metavar="[COMMAND]...")],
            help="Show the help of a command.",
            short_help="Show the help of a command",
        ),
    ],
)
