"""``relaykit tcp 22 --server relay.example --remote-port 6000`` and the like: a client without a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.administration.steering import Steering
from relaykit.assembly import ClientAssembly, read_secret_file
from relaykit.commands.loading import loaded_or_said
from relaykit.commands.runner import ProcessRunner, exit_status
from relaykit.commands.status.client import FollowedClient
from relaykit.commands.status.follower import LogFollower, client_renderer
from relaykit.commands.status.view import StatusView
from relaykit.commands.tunnels.commands import TunnelCommand, service_text
from relaykit.commands.tunnels.logins import Login, RememberedLogins, ServerName
from relaykit.config.load import client_from_table
from relaykit.config.schema.carriers import AUTO
from relaykit.control_sockets import control_folder
from relaykit.errors import ProxyRefusedError, RelaykitError
from relaykit.plugins import ProxyTypes
from relaykit.state import StateDirectory, StateUnavailable
from relaykit.tuning import prepare_process
from relaykit.values import Secret

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.commands.context import CommandContext
    from relaykit.config.load import LoadedClient

__all__ = ["login_for", "run_tunnel"]

log = Logger()

LASTING_REFUSALS = frozenset(
    {
        "domain-in-use",
        "domain-refused",
        "group-key",
        "group-mismatch",
        "no-sub-domain-host",
        "no-vhost-port",
        "port-in-use",
        "port-not-allowed",
        "port-unavailable",
        "privileged-port",
        "unknown-type",
    }
)
"""Why a server refuses what was asked for on the command line, for as long as it is asked for.

Whoever typed the line waits for an answer, and a script for a status; a client of a file goes on asking."""


def run_tunnel(context: CommandContext, tunnel: TunnelCommand, **values: Any) -> int:
    """Runs one proxy or one visitor until a signal comes, or until its first login fails."""
    types = ProxyTypes.installed()
    state = StateDirectory.find(values["state_dir"], context.environ)
    logins = RememberedLogins(state)
    try:
        login = login_for(
            logins,
            context.environ,
            values["server"],
            values["token_file"],
            values["fingerprint"],
            no_token=values["no_token"],
        )
        table = {**_server_table(login, values["user"]), **tunnel.table(values, context.environ, login.token)}
    except RelaykitError as error:
        context.explain(error)
        return 1
    loaded = loaded_or_said(
        lambda: client_from_table(table, types=types, environ=context.environ),
        context.complain,
        tunnel.as_typed,
    )
    if loaded is None:
        return 1
    prepare_process()
    reactor = context.choose_reactor()
    steering = Steering()
    control = control_folder(context.environ, state)
    assembly = ClientAssembly(loaded=loaded, token=login.token, types=types, state=state, control=control)
    client = assembly.make(reactor, steering)
    renderer = client_renderer(
        context,
        reactor,
        f"relaykit {tunnel.line.command}",
        plain=values["plain"],
        codes=values.get("qr", False),
    )
    followed = FollowedClient(client, _view(tunnel, values, login, loaded), reactor)
    follower = LogFollower(followed, renderer, reactor)

    async def begin() -> None:
        follower.begin(warnings=[str(tunnel.as_typed(each)) for each in loaded.warnings])
        client.startService()
        await client.when_first_login()
        if values["remember"]:
            _keep(login, logins, renderer.tell)
        await _registered(client)

    runner = ProcessRunner(reactor, lambda: Deferred.fromCoroutine(begin()), client.stopService)
    steering.stop = runner.stop
    try:
        reason = runner.run()
    finally:
        follower.end()
    return exit_status(
        reason, lambda error: None if follower.has_told(str(error)) else context.explain(error)
    )


def login_for(
    logins: RememberedLogins,
    environ: Mapping[str, str],
    server: str = "",
    token_file: str = "",
    fingerprint: str = "",
    *,
    no_token: bool = False,
) -> Login:
    """The server that is meant, and what it takes to log in.

    What is not on the command line comes from the environment, then from what is remembered.

    :param no_token: the server has none.
    :raises RelaykitError: no server is named, or no token is there for it.
    """
    named = server or environ.get("RELAYKIT_SERVER", "")
    known = logins.find(ServerName.parse(named)) if named else logins.latest()
    if not named and known is None:
        raise RelaykitError(
            "no server is named: --server HOST:PORT, or RELAYKIT_SERVER", problem="no-server-named"
        )
    meant = ServerName.parse(named) if named or known is None else known.server
    if no_token:
        token = Secret("")
    elif token_file:
        token = read_secret_file(token_file)
    elif "RELAYKIT_TOKEN" in environ:
        token = Secret(environ["RELAYKIT_TOKEN"].strip())
        if not token:
            raise RelaykitError(
                "RELAYKIT_TOKEN is empty; for a server that has no token: --no-token",
                problem="no-token-given",
            )
    elif known is not None:
        token = known.token
    else:
        raise RelaykitError(
            f"no token is given for {meant}: --token-file FILE, or RELAYKIT_TOKEN, or --no-token",
            problem="no-token-given",
        )
    pinned = fingerprint or environ.get("RELAYKIT_FINGERPRINT", "")
    return Login(
        server=meant, token=token, fingerprint=pinned or ("" if known is None else known.fingerprint)
    )


def _server_table(login: Login, user: str) -> dict[str, Any]:
    """What a client's file would say about the server.

    Whoever types a line wants to see at once that it was wrong, so the first login decides.  He may be in any
    network, and has no file in which he could try one carrier after the other.
    """
    return {
        "serverAddr": login.server.host,
        "serverPort": login.server.port,
        "user": user,
        "auth": {"token": login.token.reveal()},
        "transport": {"protocol": AUTO, "tls": {"serverFingerprint": login.fingerprint}},
        "loginFailExit": True,
    }


def _view(tunnel: TunnelCommand, values: Mapping[str, Any], login: Login, loaded: LoadedClient) -> StatusView:
    leads_to = {each.common.name: service_text(each.common) for each in loaded.proxies}
    leads_to |= {each.common.name: each.common.server_name for each in loaded.visitors}
    lines: dict[str, str] = {}
    for proxy in loaded.proxies:
        other_half = tunnel.other_half(values, proxy.common.name)
        if other_half:
            lines[proxy.common.name] = _with_login(other_half, values, login)
    scheme = tunnel.line.scheme or ("http" if values.get("web") else "")
    schemes = dict.fromkeys(leads_to, scheme) if scheme else {}
    paths = {each.common.name: tunnel.paths(each.options) for each in loaded.proxies}
    return StatusView(
        server=login.server,
        leads_to=leads_to,
        hints=dict.fromkeys(lines, "open to visitors"),
        lines=lines,
        schemes=schemes,
        paths=paths,
    )


def _with_login(line: str, values: Mapping[str, Any], login: Login) -> str:
    """A command line that logs in as this one does.  A token that is in no file is left to the reader."""
    line += f" --server {login.server}"
    if login.fingerprint:
        line += f" --fingerprint {login.fingerprint}"
    if values["token_file"]:
        return f"{line} --token-file {values['token_file']}"
    return f"RELAYKIT_TOKEN=... {line}" if login.token else line


def _keep(login: Login, logins: RememberedLogins, tell: Callable[[str], None]) -> None:
    try:
        path = logins.remember(login)
    except StateUnavailable as error:
        log.warn("{reason}", reason=str(error), problem=error.problem)
        return
    what = "its token and its fingerprint are" if login.fingerprint else "its token is"
    tell(f"{login.server} and {what} remembered in {path}; relaykit forget {login.server} removes them")


async def _registered(client: RelayClient) -> None:
    """Waits until users may come.

    :raises ProxyRefusedError: they may not, and asking again is of no use.
    """
    try:
        await client.when_registered()
    except ProxyRefusedError as error:
        if error.problem in LASTING_REFUSALS:
            raise
