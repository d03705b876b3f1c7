"""A carrier from a foreign package: through the standard input and output of a command, such as ssh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from attrs import frozen
from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import ICarrier, ILegDialer
from relaykit.options import Options, doc
from relaykit.values import CarrierCapabilities
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from relaykit_knock.command import CommandEndpoint
from relaykit_knock.join import GREETING

if TYPE_CHECKING:
    from relaykit.interfaces import IAcceptHost, IDialHost, IStreamLeg
    from twisted.application.service import IService

START_S: Final = 20.0
"""Seconds for the command to reach the relay: a login by ssh is in it."""

STATUS_S: Final = 5.0
"""Seconds from the end of what it says until it has ended, and it is known how."""

MODE: Final = 0o600
"""Of the socket: who may join it is the user that the relay runs as."""


class PipeDialOptions(Options, frozen=True, kw_only=True):
    """What a client says of this carrier, in the table ``transport.pipe``."""

    command: Annotated[
        tuple[str, ...], doc("A program, and its arguments; it ends up at ``relaykit_knock.join``.")
    ] = ("python3", "-m", "relaykit_knock.join", "/run/relaykit/pipe")


class PipeAcceptOptions(Options, frozen=True, kw_only=True):
    """What a server says of it."""

    socket: Annotated[str, doc("Path of the unix socket that commands join; empty for none.")] = ""


@frozen
class Greeting:
    """Takes what is said once the relay is reached."""

    limit: int = len(GREETING)

    def feed(self, data: bytes) -> tuple[None, int] | None:
        """Answers once all of it is there."""
        if not data.startswith(GREETING[: len(data)]):
            raise RemoteProtocolError(f"said {bytes(data[:64])!r} where {GREETING!r} is due")
        return (None, self.limit) if len(data) >= self.limit else None


@implementer(ILegDialer)
class PipeDialer:
    """Runs the command, then begins TLS as configured."""

    log = Logger()

    def __init__(self, command: tuple[str, ...], host: IDialHost) -> None:
        self._command = command
        self._host = host

    def connect(self) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        command = CommandEndpoint(self._host.reactor, self._command, self._said)
        leg: IStreamLeg = await self._host.dial_endpoint(command)
        try:
            await leg.take(Greeting()).addTimeout(START_S, self._host.reactor)
        except RemoteProtocolError as error:
            leg.abort()
            raise ConnectionFailed(f"{command} {error}") from error
        except TimeoutError as error:
            leg.abort()
            raise ConnectionFailed(f"{command} reached no relay within {START_S:g} seconds") from error
        except ConnectionFailed as error:
            leg.close()
            raise ConnectionFailed(f"{command} {await self._how_it_ended(command)}") from error
        except BaseException:
            leg.abort()
            raise
        secured: IStreamLeg = await self._host.secure(leg)
        return secured

    async def _how_it_ended(self, command: CommandEndpoint) -> str:
        try:
            return await command.how_it_ended(STATUS_S)
        except TimeoutError:
            return "says nothing any more"

    def _said(self, line: str) -> None:
        self.log.warn("{command} says: {line}", command=self._command[0], line=line)


@implementer(ICarrier)
class PipeCarrier:
    """Both halves."""

    name = "pipe"
    summary = "The standard input and output of a command, such as ssh."
    capabilities = CarrierCapabilities()
    table = "pipe"
    dial_options = PipeDialOptions
    accept_options = PipeAcceptOptions

    def lacks(self) -> str:
        """Nothing."""
        return ""

    def make_dialer(self, options: PipeDialOptions, host: IDialHost) -> PipeDialer:
        return PipeDialer(options.command, host)

    def make_acceptor(self, options: PipeAcceptOptions, port: int, host: IAcceptHost) -> IService:
        """What comes at the socket is looked at like what the bind port accepts."""
        if not options.socket:
            return Service()
        return host.listen_endpoint(UNIXServerEndpoint(host.reactor, options.socket, mode=MODE))


carrier = PipeCarrier()
