"""``relaykit server --quick``: a server without a file, and the one line that its first client needs."""

from __future__ import annotations

import ipaddress
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.assembly import ServerAssembly, read_secret_file
from relaykit.commands.loading import loaded_or_said
from relaykit.commands.panel import run_before_people
from relaykit.commands.token import new_token
from relaykit.commands.tunnels.logins import ServerName
from relaykit.config.load import server_from_table
from relaykit.control_sockets import control_folder
from relaykit.errors import RelaykitError
from relaykit.nat.sockets import ANYWHERE, local_host_towards
from relaykit.plugins import ProxyTypes
from relaykit.state import StateDirectory
from relaykit.values import Secret

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["QuickPorts", "guessed_host", "kept_token", "run_quick"]

TOKEN_FILE = "token"
"""File of the state directory that holds the token."""

HIDDEN = "TOKEN"
"""What stands for the token in a log or a pipe."""

EXAMPLE_PORT = 6000
"""The port of the server that the line asks for."""


EXAMPLE_SITE = 8080
"""The local port of the site that another line publishes."""


@frozen
class QuickPorts:
    """The ports of a server, and the domain that it gives subdomains of; 0 and nothing for none."""

    clients: int
    http: int = 0
    https: int = 0
    subdomain_host: str = ""

    @property
    def table(self) -> dict[str, Any]:
        """What a file would say of them; of sites nothing where there are none, whose types cost memory."""
        sites = {
            "vhostHTTPPort": self.http,
            "vhostHTTPSPort": self.https,
            "subDomainHost": self.subdomain_host,
        }
        return {"bindPort": self.clients, **{key: value for key, value in sites.items() if value}}


def run_quick(
    context: CommandContext,
    ports: QuickPorts,
    host: str,
    *,
    config: str,
    state_dir: str,
    token_file: str,
    plain: bool,
) -> int:
    """Runs a server until a signal comes; says how to reach it.

    :param host: how clients know this machine; empty for a guess.
    :param token_file: where its token is; empty for one of its own.
    """
    if config:
        context.explain("--quick runs without a file: leave out -c FILE, or --quick", "no-file-given")
        return 1
    types = ProxyTypes.installed()
    state = StateDirectory.find(state_dir, context.environ)
    try:
        token = read_secret_file(token_file) if token_file else kept_token(state)
    except RelaykitError as error:
        context.explain(error)
        return 1
    table = {
        **ports.table,
        "auth": {"token": token.reveal()},
        "transport": {"tls": {"force": True}},
    }
    loaded = loaded_or_said(lambda: server_from_table(table, types=types), context.complain)
    if loaded is None:
        return 1
    is_terminal = context.stdout.isatty()
    kept_in = token_file or ("" if state is None else str(state.path / TOKEN_FILE))
    if not is_terminal and not kept_in:
        context.explain(
            "nobody could be told the token: this is no terminal, and no state directory has it: --state-dir "
            "DIR, or --token-file FILE",
            "state-directory",
        )
        return 1
    known_as = host or guessed_host()
    return run_before_people(
        context,
        ServerAssembly(
            loaded=loaded,
            token=token,
            types=types,
            state=state,
            control=control_folder(context.environ, state),
        ),
        plain=plain,
        note=lambda server, is_narrow: _invitation(
            ServerName(known_as, server.port),
            token.reveal() if is_terminal else HIDDEN,
            server.fingerprint,
            ports,
            kept_in="" if is_terminal else kept_in,
            guessed=not host,
            line=_short_lines if is_narrow else _one_line,
        ),
    )


def kept_token(state: StateDirectory | None) -> Secret:
    """The token in the state directory; made and put there when there is none.

    :raises StateUnavailable: it cannot be read or kept.
    """
    content = state.read(TOKEN_FILE) if state is not None else None
    kept = (content or b"").decode("utf-8", "surrogateescape").strip()
    if kept:
        return Secret(kept)
    token = new_token()
    if state is not None:
        state.write(TOKEN_FILE, token.to_bytes() + b"\n")
    return token


def guessed_host() -> str:
    """The address that this machine has towards the world; its name where it has no way there."""
    return next(filter(None, map(local_host_towards, ANYWHERE)), platform.node())


def _invitation(
    server: ServerName,
    token: str,
    fingerprint: str,
    ports: QuickPorts,
    *,
    kept_in: str,
    guessed: bool,
    line: Callable[[ServerName, str, str, str, str], str],
) -> str:
    """What people need to know; ``kept_in`` is where the token is, if it is not shown."""

    def command(what: str, where: str) -> str:
        return line(server, token, fingerprint, what, where)

    lines = [
        "",
        "Clients can log in.  On the machine with the service, here ssh, run:",
        "",
        command("tcp 22", f"--remote-port {EXAMPLE_PORT}"),
        "",
        f"Then the service is at port {EXAMPLE_PORT} of {server.host}.",
    ]
    if ports.http:
        name = "--subdomain NAME" if ports.subdomain_host else "--domain NAME"
        lines += ["", "For a site, run:", "", command(f"http {EXAMPLE_SITE}", name), ""]
    if kept_in:
        lines.append(f"{HIDDEN} is in {kept_in}; it is shown on a terminal only.")
    if guessed:
        where = ", an address of your own network" if _is_private(server.host) else ""
        lines.append(f"If clients reach this machine by another name than {server.host}{where}: --host NAME.")
    return "\n".join((*lines, ""))


def _one_line(server: ServerName, token: str, fingerprint: str, what: str, where: str) -> str:
    login = f"--server {server} --fingerprint {fingerprint}"
    return f"    RELAYKIT_TOKEN={token} relaykit {what} {login} {where}"


def _short_lines(server: ServerName, token: str, fingerprint: str, what: str, where: str) -> str:
    """The same in lines that fit a terminal of 80 columns, so that they can be copied from there."""
    return (
        f"RELAYKIT_TOKEN={token} relaykit {what} \\\n"
        f"--server {server} {where} \\\n"
        f"--fingerprint {fingerprint.removeprefix('sha256:')}"
    )


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
