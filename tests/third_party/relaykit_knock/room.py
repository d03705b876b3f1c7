"""The proxy type ``room``: many services behind one port of the server; a user says first which room."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from attrs import define, field, frozen
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode, RemoteProtocolError
from relaykit.interfaces import IBackend, IExposure, IGroupableProxyType, IIngress, ILegAcceptor
from relaykit.options import Options, Port, Problem, doc, extension
from twisted.application.service import Service
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IClientHost,
        IListeningPort,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
    )
    from relaykit.values import Origin
    from twisted.python.failure import Failure

__all__ = ["Greeting", "RoomBackend", "RoomIngress", "RoomOptions", "proxy_type"]

GREETING_S = 10.0
"""Seconds that a user has for the line that names the room."""

_GREETING = re.compile(rb"room ([a-z0-9-]{1,32})\r?\n")

_NAME = re.compile(r"[a-z0-9-]{1,32}")


class RoomOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``room`` proxy."""

    room: Annotated[
        str, extension("room"), doc("Name of the room: up to 32 of a to z, 0 to 9 and the hyphen.")
    ] = ""

    def problems(self) -> Iterable[Problem]:
        if not _NAME.fullmatch(self.room):
            yield Problem("room", "must be a name of up to 32 small letters, digits and hyphens")


class RoomIngressOptions(Options, frozen=True, kw_only=True):
    """The server's table ``[proxyTypes.room]``."""

    port: Annotated[Port, doc("Port that all rooms share with each other; it may be bindPort.")] = 7003


class Greeting:
    """The first line of a user, ``room NAME``: recognized by its first word, and read as a whole."""

    limit = 64
    """More than the longest line."""

    def recognizes(self, data: bytes) -> bool | None:
        word = b"room "
        if len(data) >= len(word):
            return data.startswith(word)
        return None if word.startswith(data) else False

    def feed(self, data: bytes) -> tuple[str, int] | None:
        if b"\n" not in data:
            return None
        found = _GREETING.match(data)
        if found is None:
            raise RemoteProtocolError("the first line is not: room NAME")
        return found[1].decode("ascii"), found.end()


@implementer(IExposure)
@frozen(eq=False)
class _Room:
    """One proxy: its name at the shared door."""

    _ingress: RoomIngress
    proxy: IRegisteredProxy
    address: str

    async def withdraw(self) -> None:
        self._ingress.rooms.pop(self.proxy.options.room, None)


@implementer(IIngress, ILegAcceptor)
@define(eq=False)
class RoomIngress(Service):
    """The door that all rooms share."""

    _options: RoomIngressOptions
    _host: IServerHost
    _port: IListeningPort | None = field(default=None, init=False)
    rooms: dict[str, _Room] = field(factory=dict, init=False)

    log = Logger()

    def privilegedStartService(self) -> None:
        """Takes part in the port, which may be one of other types, or the one that clients dial.

        :raises ListenFailed: it cannot be opened; the server does not start then.
        """
        self._port = self._host.ports.share_stream(
            self._options.port, self, "proxyTypes.room.port", Greeting()
        )

    def stopService(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        name = proxy.options.room
        present = self.rooms.get(name)
        if present is not None:
            # Its client may have vanished without a word.
            await self._host.release_if_dead(present.proxy)
        if name in self.rooms:
            raise ProxyRefusedError(RefusalCode.NAME_IN_USE, f"room {name} is taken")
        room = self.rooms[name] = _Room(self, proxy, f":{self._options.port}, room {name}")
        return room

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        named = leg.take(Greeting()).addTimeout(GREETING_S, self._host.reactor)
        named.addCallback(self._enter, leg, origin).addErrback(self._not_entered, leg, origin)

    def _enter(self, name: str, leg: IStreamLeg, origin: Origin) -> None:
        room = self.rooms.get(name)
        if room is None:
            leg.write(b"there is no such room\r\n")
            leg.close()
        else:
            room.proxy.serve(leg, origin)

    def _not_entered(self, failure: Failure, leg: IStreamLeg, origin: Origin) -> None:
        self.log.debug("{origin} names no room: {reason}", origin=origin, reason=failure.getErrorMessage())
        leg.close()


@implementer(IBackend)
@define(eq=False)
class RoomBackend(Service):
    """Joins each user with the local service of the room."""

    _host: IClientHost

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        try:
            local = await self._host.connect_local(origin)
        except ConnectionFailed:
            leg.close()
            return
        await self._host.forward(leg, local, origin).when_ended()


@implementer(IGroupableProxyType)
@frozen
class _RoomType:
    name = "room"
    summary = "many services behind one port of the server, told apart by their users' first line"
    proxy_options = RoomOptions
    ingress_options = RoomIngressOptions

    def group_terms(self, options: Any) -> Mapping[str, object]:
        return {"the group is in another room": options.room}

    def make_ingress(self, options: Any, host: IServerHost) -> RoomIngress:
        return RoomIngress(options, host)

    def make_backend(self, options: Any, host: IClientHost) -> RoomBackend:
        return RoomBackend(host)


proxy_type = _RoomType()
