"""``relaykit demo``: a first tunnel, all of it on this machine and in this process.

A web page that only listens on the loopback stands for a service behind a NAT.  A client publishes it
through a server, and a small HTTP client asks the server for it, as any user would.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.web.client import Agent, ResponseFailed, readBody
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from relaykit.commands.making import ClientMaker, ServerMaker
from relaykit.commands.roles import status_of
from relaykit.commands.running import Lifetime, begin_serving
from relaykit.config.load import client_from_table, server_from_table
from relaykit.config.sections import LogConfig
from relaykit.errors import ConnectionFailed, RelaykitError
from relaykit.plugins import ProxyTypes
from relaykit.values import Secret

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort

    from relaykit.client.service import RelayClient
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings
    from relaykit.server.service import RelayServer

__all__ = ["Demo", "run"]

LOOPBACK = "127.0.0.1"

PATIENCE_S = 15.0
"""The longest that everything may take until the page is there; it takes less than a second."""

RETRY_S = 0.05
"""Pause before the page is asked for again, while the client has not published it yet."""


def run(call: Call, around: Surroundings) -> int:
    """Runs the demonstration; with ``--once``, it ends when the page was fetched."""
    begin_serving(LogConfig(level="error"), around, color=around.stdout.isatty())
    reactor = around.choose_reactor()
    demo = Demo(reactor, around)
    ending = Lifetime(reactor, lambda: demo.begin(call["once"]), demo.stop).run()
    return status_of(ending, around.complain)


class Demo:
    """A page, a server, a client, and a user who asks for the page."""

    def __init__(self, reactor: Any, around: Surroundings) -> None:
        self._reactor = reactor
        self._around = around
        self._page: IListeningPort | None = None
        self._server: RelayServer | None = None
        self._client: RelayClient | None = None

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

    async def _begin(self, once: bool) -> bool:
        say = self._around.say
        phrase = f"Hello from behind the relay: {secrets.token_hex(8)}\n".encode()
        self._page = await TCP4ServerEndpoint(self._reactor, 0, interface=LOOPBACK).listen(
            Site(_Page(phrase))
        )
        local_port = _port_of(self._page)
        server_port, remote_port = _free_ports(2)
        say(f"a web page listens on {LOOPBACK}:{local_port}")
        token = Secret(secrets.token_hex(20))
        await self._start_server(server_port, token)
        say(f"a relay server listens on {LOOPBACK}:{server_port}")
        await self._start_client(server_port, local_port, remote_port, token)
        say(f"a client logged in to it and publishes the page as port {remote_port} of the server")
        started = self._reactor.seconds()
        answer = await self._fetch(f"http://{LOOPBACK}:{remote_port}/")
        if answer != phrase:
            raise RelaykitError(f"the relay delivered {answer!r}, the page is {phrase!r}")
        milliseconds = (self._reactor.seconds() - started) * 1000
        say(f"fetched through the relay in {milliseconds:.0f} ms, octet for octet: {phrase.decode().strip()}")
        if not once:
            say(f"see it in a browser: http://{LOOPBACK}:{remote_port}/ (Ctrl-C ends this)")
        return once

    async def _start_server(self, port: int, token: Secret) -> None:
        types = ProxyTypes.installed()
        loaded = server_from_table(
            {"bindAddr": LOOPBACK, "bindPort": port, "auth": {"token": token.reveal()}}, types=types
        )
        server = ServerMaker(loaded=loaded, token=token, types=types, state=None).make(self._reactor)
        self._server = server
        server.privilegedStartService()
        server.startService()
        await server.when_ready()

    async def _start_client(self, port: int, local_port: int, remote_port: int, token: Secret) -> None:
        types = ProxyTypes.installed()
        table = {
            "serverAddr": LOOPBACK,
            "serverPort": port,
            "auth": {"token": token.reveal()},
            "loginFailExit": True,
            "proxies": [{"name": "demo", "type": "tcp", "localPort": local_port, "remotePort": remote_port}],
        }
        loaded = client_from_table(table, types=types, environ={})
        client = ClientMaker(loaded=loaded, token=token, types=types, state=None).make(self._reactor)
        self._client = client
        client.startService()
        await client.when_first_login()

    async def _fetch(self, url: str) -> bytes:
        """What a user gets; asks again while nobody listens."""
        agent = Agent(self._reactor)
        while True:
            try:
                response = await agent.request(b"GET", url.encode())
                body: bytes = await readBody(response)
                return body
            except ConnectError:
                await deferLater(self._reactor, RETRY_S, lambda: None)
            except ResponseFailed as error:
                raise ConnectionFailed(f"the relay cut the connection to {url}") from error


class _Page(Resource):
    """A page of one line."""

    isLeaf = True

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return self._text


def _too_late(result: object, seconds: float) -> bool:
    raise RelaykitError(f"the page was not there after {seconds:.0f} seconds")


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
