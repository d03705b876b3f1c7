"""The commands of ``relaykit``, with their flags.

Only click is imported here: what a command needs is imported when it is run, and proxy types when their
commands are asked for.  The version is printed without either.
"""

from __future__ import annotations

import difflib
from typing import Any

import click

from relaykit import __version__
from relaykit.commands.flags import BOOLEAN_FLAG, NAMES, PORT, SETTINGS, STATE_DIR, called, several

__all__ = ["EXAMPLES", "RELAYKIT", "Program"]

EXAMPLES = (
    ("relaykit demo", "try it, all of it on this machine"),
    ("relaykit server --quick", "on a machine that the world can reach"),
    ("relaykit tcp 22 --server HOST --remote-port 6000", "on a machine behind a NAT: publish ssh"),
    ("relaykit verify -c frpc.toml", "look whether a file of frp is good for relaykit"),
)

# --- groups and commands -------------------------------------------------------------------------


class Program(click.Group):
    """Commands of its own, and those of the installed proxy types; its own come first where names clash."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from relaykit.commands.tunnels.commands import installed_tunnels

        of_types = (each.line.command for each in installed_tunnels() if not each.flag)
        return sorted({*super().list_commands(ctx), *of_types})

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
            flags = [each for param in self.get_params(ctx) for each in param.opts if each.startswith("--")]
            close = [flag for flag in flags if flag[2:] == args[0]]
            close = close or difflib.get_close_matches(args[0], self.list_commands(ctx))
            hint = f"  Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


_WITH_SOCKETS = click.Option(
    ["--sockets"],
    is_flag=True,
    help="leave ports below 1024 to the unit of relaykit systemd sockets, and the right to open them",
)

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


def _command(name: str, action: str, about: str, *params: click.Parameter) -> click.Command:
    return click.Command(
        name,
        callback=called(action),
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
_TOKEN_FILE = click.Option(
    ["--token-file"],
    type=click.Path(),
    default="",
    help="file with the token; comes before what the configuration says",
)
_ROLE = click.Option(
    ["--role"],
    type=click.Choice(["server", "client"]),
    help="whose file it is; found out from its keys if it is not given",
)
_FILE = click.Argument(["file"], required=False, default="", metavar="[FILE]")
"""The configuration file without -c before it."""

_RUNNING_PROGRAM = (
    click.Option(
        ["-c", "--config"],
        type=click.Path(),
        default="",
        help="configuration file that the program was started with; not needed where only one runs",
    ),
    _FILE,
    click.Option(["--role"], type=click.Choice(["server", "client"]), help="of two, the one that is meant"),
    click.Option(["--process"], type=int, metavar="PID", help="likewise, by its number"),
    STATE_DIR,
)

_RUNNING = (_CONFIG, _STRICT, _UNSAFE, STATE_DIR, _TOKEN_FILE, _FILE)

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
            click.Option(["--plain"], is_flag=True, help="log in lines, on a terminal too"),
            click.Option(
                ["--quick"], is_flag=True, help="run without a file, with a token and a certificate made once"
            ),
            click.Option(
                ["-p", "--port"],
                default=7000,
                show_default=True,
                help="with --quick: port that clients dial",
                **PORT,
            ),
            click.Option(
                ["--host"],
                default="",
                help="with --quick: name or address that clients know this machine by",
            ),
            click.Option(
                ["--http-port"],
                default=0,
                help="with --quick: port of sites, which relaykit http publishes",
                **PORT,
            ),
            click.Option(
                ["--https-port"],
                default=0,
                help="with --quick: port of sites with TLS of their own, which relaykit https publishes",
                **PORT,
            ),
            click.Option(
                ["--subdomain-host"],
                default="",
                help="with --quick: domain whose subdomains clients may have for their sites",
            ),
        ),
        _command("client", "serve:run_client", "Run a client", *_RUNNING),
        _command(
            "verify",
            "verify:run",
            "Check a configuration file and show everything that is wrong with it",
            _CONFIG,
            _FILE,
            _STRICT,
            _UNSAFE,
            _TOKEN_FILE,
            _ROLE,
        ),
        _command(
            "status",
            "control:run_status",
            "Show how a program that runs stands: its connection, its proxies, its users",
            *_RUNNING_PROGRAM,
            click.Option(["--json", "as_json"], is_flag=True, help="print JSON"),
            click.Option(["--watch"], is_flag=True, help="show it again and again"),
        ),
        _command(
            "top",
            "top.run:run",
            "Show what is busy in a program that runs: its proxies, its users, what they move",
            *_RUNNING_PROGRAM,
            click.Option(["--json", "as_json"], is_flag=True, help="print JSON, once"),
        ),
        _command(
            "logs",
            "logs:run",
            "Print the last lines of a program's log, wherever that goes",
            *_RUNNING_PROGRAM,
            click.Option(["-f", "--follow"], is_flag=True, help="go on with those that come"),
            click.Option(
                ["-n", "--lines"],
                type=click.IntRange(0, 2000),
                default=100,
                show_default=True,
                help="how many of those that are remembered",
            ),
            click.Option(
                ["--level"],
                type=click.Choice(["debug", "info", "warn", "error"]),
                default="debug",
                help="those of this level and above it; what the log itself leaves out is not there",
            ),
            click.Option(["--json", "as_json"], is_flag=True, help="print an object of JSON for each"),
        ),
        _command(
            "probe",
            "probe:run",
            "Look whether users of a proxy are served, over the way that they take; asks its server",
            click.Argument(["name"], metavar="PROXY"),
            click.Option(
                ["-c", "--config"],
                type=click.Path(),
                default="",
                help="configuration file of the server; not needed where only one runs",
            ),
            STATE_DIR,
            click.Option(["--json", "as_json"], is_flag=True, help="print JSON"),
        ),
        _command(
            "reload",
            "control:run_reload",
            "Have a program that runs read its configuration again; wrong files change nothing",
            *_RUNNING_PROGRAM,
        ),
        _command(
            "stop",
            "control:run_stop",
            "Have a program that runs end, in order",
            *_RUNNING_PROGRAM,
        ),
        _command(
            "migrate",
            "migrate:run",
            "Print an INI file of an old frp version as TOML",
            click.Argument(["file"], metavar="FILE"),
            _ROLE,
            click.Option(["--included"], is_flag=True, help="it is one that another INI file includes"),
        ),
        _command(
            "token",
            "token:run",
            "Print a new secret for a server and its clients",
            click.Option(
                ["-o", "--output"],
                type=click.Path(),
                default="",
                help="write it to a new file, which only you may read",
            ),
        ),
        _command("plugins", "plugins:run", "List the installed proxy types, and where each comes from"),
        _command(
            "demo",
            "demo.run:run",
            "Run a server, a client and a web page on this machine, and reach the page through them",
            click.Option(
                ["--once"],
                is_flag=True,
                help="fetch the page and exit; with --nat: exit when all is told, by 0 only if bytes went "
                "directly",
            ),
            click.Option(
                ["--nat"],
                is_flag=True,
                help="instead, as root on Linux: have two clients behind NATs talk directly, in a laboratory "
                "of network namespaces",
            ),
            click.Option(
                ["--routers"],
                type=click.Choice(["cone", "symmetric"]),
                help="with --nat: what routers they are behind; cone ones, as in most homes, if it is not "
                "given; symmetric ones allow no direct path",
            ),
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
            several(
                "--server",
                type=NAMES,
                help="relay or STUN server to ask, HOST or HOST:PORT; two tell more than one; else "
                "RELAYKIT_SERVER, else the remembered server; nobody else is asked",
            ),
            STATE_DIR,
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
            "Print a script that lets a shell complete command lines; the script says where it belongs",
            click.Argument(["shell"], type=click.Choice(["bash", "fish", "zsh"])),
        ),
        _command("man", "manual:run", "Show the manual page; print its source where there is no terminal"),
        _group(
            "systemd",
            "Print a systemd unit for a role, or for a server's ports",
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
                    *more,
                )
                for role, more in (("server", (_WITH_SOCKETS,)), ("client", ()))
            ),
            _command(
                "user",
                "user_unit:run",
                "Unit of your own that runs a client without root, for systemctl --user",
                click.Option(
                    ["-c", "--config"],
                    type=click.Path(),
                    default="~/.config/relaykit/client.toml",
                    show_default=True,
                    help="configuration file of the client",
                ),
                _TOKEN_FILE,
            ),
            _command(
                "sockets",
                "systemd:run_sockets",
                "Socket unit that opens a server's ports below 1024",
                click.Option(
                    ["-c", "--config"],
                    type=click.Path(),
                    default="/etc/relaykit/server.toml",
                    show_default=True,
                    help="configuration file of the service",
                ),
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
