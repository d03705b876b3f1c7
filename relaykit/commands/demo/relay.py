"""``relaykit demo``: a first tunnel, all of it on this machine and in this process.

A web page that only listens on the loopback stands for a service behind a NAT.  A client publishes it
through a server, in public and in secret, and a small HTTP client asks the server for it, as any user would.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from html import escape
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectError
from twisted.web.client import Agent, ResponseFailed, readBody
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from relaykit.assembly import ClientAssembly, ServerAssembly
from relaykit.commands.runner import ProcessRunner, begin_logging, exit_status
from relaykit.commands.status.client import FollowedClient
from relaykit.commands.status.follower import LogFollower, client_renderer
from relaykit.commands.status.view import Snapshot, StatusView
from relaykit.commands.token import new_token
from relaykit.commands.tunnels.logins import ServerName
from relaykit.config.load import client_from_table, server_from_table
from relaykit.config.schema.sections import LogConfig
from relaykit.errors import ConnectionFailed, RelaykitError
from relaykit.plugins import ProxyTypes
from relaykit.tuning import prepare_process

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort

    from relaykit.client.service import RelayClient
    from relaykit.commands.context import CommandContext
    from relaykit.server.service import RelayServer
    from relaykit.values import Secret

__all__ = ["Demo", "run"]

LOOPBACK = "127.0.0.1"

PATIENCE_S = 15.0
"""The longest that everything may take until the page is there; it takes less than a second."""

PUBLIC, SECRET, VISITOR = "page", "secret-page", "visitor"
"""Names of the two proxies and of the visitor."""


def run(context: CommandContext, once: bool) -> int:
    """Runs the demonstration; with ``--once``, it ends when the page was fetched."""
    prepare_process()
    if once:
        begin_logging(LogConfig(level="error"), context.stdout.isatty(), context)
    reactor = context.choose_reactor()
    demo = Demo(reactor, context)
    try:
        reason = ProcessRunner(reactor, lambda: demo.begin(once), demo.stop).run()
    finally:
        demo.end_showing()
    return exit_status(reason, context.explain)


@define(eq=False)
class Demo:
    """A page, a server, a client, and a user who asks for the page."""

    _reactor: Any
    _context: CommandContext
    _page: IListeningPort | None = field(default=None, init=False)
    _server: RelayServer | None = field(default=None, init=False)
    _client: RelayClient | None = field(default=None, init=False)
    _follower: LogFollower[Snapshot] | None = field(default=None, init=False)

    def begin(self, once: bool) -> Deferred[bool]:
        """Starts everything and fetches the page; fires with ``once``.

        Fails with :class:`RelaykitError`, whose text says what did not work.
        """
        begun = Deferred.fromCoroutine(self._begin(once))
        return begun.addTimeout(PATIENCE_S, self._reactor, _too_late)

    def stop(self) -> Deferred[Any]:
        """Stops what was started."""
        stopping: list[Deferred[Any]] = []
        if self._client is not None:
            stopping.append(self._client.stopService())
        if self._server is not None:
            stopping.append(self._server.stopService())
        if self._page is not None:
            self._page.stopListening()
        return DeferredList(stopping, consumeErrors=True)

    def end_showing(self) -> None:
        """Leaves the terminal as it was."""
        if self._follower is not None:
            self._follower.end()

    async def _begin(self, once: bool) -> bool:
        say = self._context.say
        phrase = f"Hello from behind the relay: {secrets.token_hex(8)}"
        endpoint = TCP4ServerEndpoint(self._reactor, 0, interface=LOOPBACK)
        self._page = await endpoint.listen(Site(_Page(phrase)))
        page = _port_of(self._page)
        server, public, visitor = _free_ports(3)
        say(f"a web page listens on {LOOPBACK}:{page}")
        token = new_token()
        await self._start_server(server, token)
        say(f"a relay server listens on {LOOPBACK}:{server}")
        await self._start_client(server, token, page, public, visitor)
        say(f"a client logged in to it and publishes the page as port {public} of the server")
        started = self._reactor.seconds()
        answer = await self._fetch(f"http://{LOOPBACK}:{public}/")
        if phrase.encode() not in answer:
            raise RelaykitError(
                f"the relay delivered {answer!r}, which is not the page: it says {phrase!r}", problem="demo"
            )
        milliseconds = (self._reactor.seconds() - started) * 1000
        say(f"fetched through the relay in {milliseconds:.0f} ms: {phrase}")
        if not once:
            self._follow(server, page)
        return once

    async def _start_server(self, port: int, token: Secret) -> None:
        types = ProxyTypes.installed()
        table = {"bindAddr": LOOPBACK, "bindPort": port, "auth": {"token": token.reveal()}}
        loaded = server_from_table(table, types=types)
        self._server = ServerAssembly(loaded=loaded, token=token, types=types, state=None).make(self._reactor)
        self._server.privilegedStartService()
        self._server.startService()
        await self._server.when_ready()

    async def _start_client(self, server: int, token: Secret, page: int, public: int, visitor: int) -> None:
        types = ProxyTypes.installed()
        key = {"secretKey": new_token().reveal()}
        bind = {"bindPort": visitor}
        table = {
            "serverAddr": LOOPBACK,
            "serverPort": server,
            "auth": {"token": token.reveal()},
            "loginFailExit": True,
            "proxies": [
                {"name": PUBLIC, "type": "tcp", "localPort": page, "remotePort": public},
                {"name": SECRET, "type": "stcp", "localPort": page, **key},
            ],
            "visitors": [{"name": VISITOR, "type": "stcp", "serverName": SECRET, **key, **bind}],
        }
        loaded = client_from_table(table, types=types, environ={})
        self._client = ClientAssembly(loaded=loaded, token=token, types=types, state=None).make(self._reactor)
        self._client.startService()
        await self._client.when_first_login()
        await self._client.when_registered()

    def _follow(self, server: int, page: int) -> None:
        """Shows what happens from now on, until a signal comes."""
        assert self._client is not None
        service = f"{LOOPBACK}:{page}"
        view = StatusView(
            server=ServerName(LOOPBACK, server),
            leads_to={PUBLIC: service, SECRET: service, VISITOR: SECRET},
            hints={SECRET: "only for visitors"},
            schemes=dict.fromkeys((PUBLIC, VISITOR), "http"),
        )
        self._context.say("see it in a browser, at either address (Ctrl-C ends this):")
        renderer = client_renderer(self._context, self._reactor, "relaykit demo", plain=False)
        self._follower = LogFollower(
            FollowedClient(self._client, view, self._reactor), renderer, self._reactor
        )
        self._follower.begin()

    async def _fetch(self, url: str) -> bytes:
        """What a user gets."""
        try:
            response = await Agent(self._reactor).request(b"GET", url.encode())
            body: bytes = await readBody(response)
        except (ConnectError, ResponseFailed) as error:
            raise ConnectionFailed(
                f"the relay cut the connection to {url}", problem="connection-cut"
            ) from error
        return body


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>relaykit demo</title>
<style>
body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem }}
code {{ background: #8882; padding: .1em .3em; border-radius: .2em }}
</style>
<h1>{phrase}</h1>
<p>This page is served at <code>{here}</code>, which only this machine can reach: it stands for a service
behind a NAT.  Your browser asked <code>{asked}</code>, a port of the relay server or of a visitor, and what
you see came from there through the server and its client.</p>
<p>It was asked for {times} times so far.</p>
</html>
"""


class _Page(Resource):
    """A page that tells where it is."""

    isLeaf = True

    def __init__(self, phrase: str) -> None:
        super().__init__()
        self._phrase = phrase
        self._times = 0

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        self._times += 1
        here = request.getHost()
        page = PAGE.format(
            phrase=escape(self._phrase),
            here=f"{here.host}:{here.port}",
            asked=escape(request.getHeader("host") or ""),
            times=self._times,
        )
        return page.encode()


def _too_late(result: object, seconds: float) -> bool:
    raise RelaykitError(f"the page was not there after {seconds:.0f} seconds", problem="demo")


def _port_of(listening: IListeningPort) -> int:
    port: int = getattr(listening.getHost(), "port")  # noqa: B009  # IAddress does not declare it
    return port


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has at the moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
