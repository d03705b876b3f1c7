"""``relaykit tcp 22 --server relay.example --remote-port 6000`` and the like: a client without a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.assembly import ClientAssembly, read_secret_file
from relaykit.commands.following import Follower, choose_show
from relaykit.commands.forms import Form, find_form, service_text
from relaykit.commands.loading import loaded_or_said
from relaykit.commands.logins import Login, Logins, ServerName
from relaykit.commands.picture import Painter
from relaykit.commands.roles import status_of
from relaykit.commands.running import Lifetime
from relaykit.commands.usage import usage_text
from relaykit.config.load import client_from_table
from relaykit.errors import RelaykitError
from relaykit.plugins import ProxyTypes
from relaykit.state import StateDirectory, StateUnavailable
from relaykit.tuning import prepare_process
from relaykit.values import Secret

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings
    from relaykit.config.load import LoadedClient

__all__ = ["login_for", "run"]

MISUSE_STATUS = 2

log = Logger()


def run(call: Call, around: Surroundings) -> int:
    """Runs one proxy or one visitor until a signal comes, or until its first login fails."""
    if not call.arguments:
        around.complain(f"Error: {call.path[-1].arguments} is missing\n{usage_text(call.path)}")
        return MISUSE_STATUS
    types = ProxyTypes.installed()
    state = StateDirectory.find(call["state-dir"], around.environ)
    logins = Logins(state)
    try:
        form = find_form(types, call.path[-1].name)
        assert form is not None  # its command was called
        login = login_for(call, around.environ, logins)
        table = {**_server_table(login, call), **form.table(call, around.environ, login.token)}
    except RelaykitError as error:
        around.explain(error)
        return 1
    loaded = loaded_or_said(
        lambda: client_from_table(table, types=types, environ=around.environ), around.complain
    )
    if loaded is None:
        return 1
    assembly = ClientAssembly(loaded=loaded, token=login.token, types=types, state=state)
    prepare_process()
    reactor = around.choose_reactor()
    client = assembly.make(reactor)
    show = choose_show(around, f"relaykit {form.line.command}", plain=call["plain"])
    follower = Follower(client, _painter(form, call, login, loaded), show, reactor)

    def begin() -> Deferred[Any]:
        follower.begin()
        client.startService()
        first = client.when_first_login()
        return first.addCallback(lambda _: _keep(login, logins) if call["remember"] else None)

    ending = Lifetime(reactor, begin, lambda: Deferred.fromCoroutine(_stop(client, follower))).run()
    return status_of(ending, lambda error: None if follower.has_told(str(error)) else around.explain(error))


def login_for(call: Call, environ: Mapping[str, str], logins: Logins) -> Login:
    """The server that is meant, and what it takes to log in.

    What is not on the command line comes from the environment, then from what is remembered.

    :raises RelaykitError: no server is named, or no token is there for it.
    """
    named = call["server"] or environ.get("RELAYKIT_SERVER", "")
    known = logins.find(ServerName.parse(named)) if named else logins.latest()
    if not named and known is None:
        raise RelaykitError(
            "no server is named: --server HOST:PORT, or RELAYKIT_SERVER", problem="no-server-named"
        )
    server = ServerName.parse(named) if named or known is None else known.server
    if call["token-file"]:
        token = read_secret_file(call["token-file"])
    elif "RELAYKIT_TOKEN" in environ:
        token = Secret(environ["RELAYKIT_TOKEN"].strip())
    elif known is not None:
        token = known.token
    else:
        raise RelaykitError(
            f"no token is given for {server}: --token-file FILE, or RELAYKIT_TOKEN (empty for none)",
            problem="no-token-given",
        )
    fingerprint = call["fingerprint"] or environ.get("RELAYKIT_FINGERPRINT", "")
    return Login(
        server=server, token=token, fingerprint=fingerprint or ("" if known is None else known.fingerprint)
    )


def _server_table(login: Login, call: Call) -> dict[str, Any]:
    """What a client's file would say about the server.

    Whoever types a line wants to see at once that it was wrong, so the first login decides.
    """
    return {
        "serverAddr": login.server.host,
        "serverPort": login.server.port,
        "user": call["user"],
        "auth": {"token": login.token.reveal()},
        "transport": {"tls": {"serverFingerprint": login.fingerprint}},
        "loginFailExit": True,
    }


def _painter(form: Form, call: Call, login: Login, loaded: LoadedClient) -> Painter:
    leads_to = {each.common.name: service_text(each.common) for each in loaded.proxies}
    leads_to |= {each.common.name: each.common.server_name for each in loaded.visitors}
    hints: dict[str, str] = {}
    for proxy in loaded.proxies:
        other_half = form.other_half(call, proxy.common.name)
        if other_half:
            hints[proxy.common.name] = f"{other_half} --server {login.server}"
    web = frozenset(leads_to) if call["web"] else frozenset()
    return Painter(server=login.server, leads_to=leads_to, hints=hints, web=web)


def _keep(login: Login, logins: Logins) -> None:
    try:
        logins.remember(login)
    except StateUnavailable as error:
        log.warn("{reason}", reason=str(error), problem=error.problem)


async def _stop(client: RelayClient, follower: Follower) -> None:
    try:
        await client.stopService()
    finally:
        follower.end()
