"""Sockets that were opened for this process by who started it: systemd, for a socket unit.

They are found by Twisted, and used by the ports of the data plane; Twisted's own ways to use them
(``adoptStreamPort``, endpoints of kind ``systemd:``) lead to its transports.  Source: sd_listen_fds(3),
systemd.socket(5).
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Final, Self

from attrs import define, field, frozen
from twisted.logger import Logger
from twisted.python.systemd import ListenFDs
from zope.interface import implementer

from relaykit.dataplane.datagram_sockets import DatagramPort, ask_for_buffer, listen_datagrams
from relaykit.dataplane.listening import (
    ANY_HOST,
    BACKLOG,
    ListeningPort,
    highest_for_users,
    listen_tcp,
)
from relaykit.dataplane.sockets import KEEPALIVE_IDLE_S, address_of, reason_of, set_keepalive, tune
from relaykit.interfaces import IListeningPort

if TYPE_CHECKING:
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramAcceptor, ILegAcceptor
    from relaykit.values import Address

__all__ = ["PassedSockets"]

MOST_STALE: Final = 4096
"""Datagrams that came while nobody listened and are dropped before somebody does: more than there is room for
in the buffer that is asked for."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")

_NAMES: Final = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}


@define(eq=False)
class _PassedSocket:
    """A socket that is bound, and ready to be a port."""

    plain: socket.socket
    address: Address
    is_free: bool = field(default=True, init=False)
    was_used: bool = field(default=False, init=False)

    @classmethod
    def of(cls, plain: socket.socket) -> Self:
        """The socket, made ready.

        :raises OSError: it cannot be a port.
        """
        address = address_of(plain.getsockname())
        if plain.type not in _NAMES or address is None or not address.port:
            raise OSError("it is no socket of TCP or UDP with a port")
        plain.setblocking(False)
        if plain.type == socket.SOCK_STREAM:
            tune(plain)
            plain.listen(BACKLOG)
        else:
            ask_for_buffer(plain)
        return cls(plain, address)

    def __str__(self) -> str:
        return f"{_NAMES[socket.SocketKind(self.plain.type)]} {self.address}"

    def take(self) -> Self:
        """Somebody listens on it from now on; what is left of the time before is dropped."""
        if self.was_used and self.plain.type == socket.SOCK_DGRAM:
            self._drop_stale()
        self.is_free, self.was_used = False, True
        return self

    def give_back(self) -> None:
        """Nobody does any more."""
        self.is_free = True

    def _drop_stale(self) -> None:
        for _ in range(MOST_STALE):
            try:
                self.plain.recv(1)
            except BlockingIOError:
                return
            except OSError:
                # About something that was sent.
                continue


@implementer(IListeningPort)
@frozen(eq=False)
class _Ports:
    """Several sockets that are one port, such as one for each version of IP."""

    _ports: Sequence[IListeningPort]

    @property
    def address(self) -> Address:
        address: Address = self._ports[0].address
        return address

    def close(self) -> None:
        for each in self._ports:
            each.close()


def _socket_of(number: int) -> socket.socket:
    """The socket that a descriptor is.

    :raises OSError: it is none.
    """
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)


class PassedSockets:
    """Opens ports, on the sockets that were passed for them where there are any.

    A port is opened on what is bound to its very address: one on every address on a socket for ``::``, one
    for ``0.0.0.0``, or both.  A port that is closed gives its sockets back, for the next one; they stay open
    until the process ends.  Meanwhile connections wait in them, and datagrams are dropped.
    """

    log = Logger()

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._passed: list[_PassedSocket] = []
        for each in sockets:
            self._add(each)

    @classmethod
    def of_process(
        cls,
        environ: MutableMapping[str, str],
        open_socket: Callable[[int], socket.socket] = _socket_of,
    ) -> Self:
        """Those of this process, whose environment tells of them no more: its children have them not."""
        given = {name: environ.pop(name) for name in _VARIABLES if name in environ}
        count = given.get("LISTEN_FDS", "")
        if count.isdecimal():
            # Nobody asks for a name here, and Twisted takes no sockets where there is not one for each.
            given["LISTEN_FDNAMES"] = ":".join(["unknown"] * int(count))
        passed = cls()
        for number in ListenFDs.fromEnvironment(given).inheritedDescriptors():
            try:
                passed._add(open_socket(number))
            except OSError as error:
                passed._unusable(number, error)
        return passed

    @property
    def unused(self) -> Sequence[str]:
        """Those on which nobody has listened yet, such as ``tcp 0.0.0.0:80``."""
        return [str(each) for each in self._passed if not each.was_used]

    def listen_tcp(
        self,
        poller: Poller,
        host: str,
        port: int,
        acceptor: ILegAcceptor,
        for_users: bool = False,
        keepalive_s: int = KEEPALIVE_IDLE_S,
    ) -> IListeningPort:
        """As :func:`relaykit.dataplane.listening.listen_tcp`."""
        taken = self._take(socket.SOCK_STREAM, host, port)
        if not taken:
            return listen_tcp(poller, host, port, acceptor, for_users=for_users, keepalive_s=keepalive_s)
        highest = highest_for_users() if for_users else None
        for each in taken:
            set_keepalive(each.plain, keepalive_s)
        return _one(
            [
                ListeningPort(
                    poller, each.plain, acceptor, each.address, highest, each.give_back, keepalive_s
                )
                for each in taken
            ]
        )

    def listen_datagrams(
        self, poller: Poller, host: str, port: int, acceptor: IDatagramAcceptor
    ) -> IListeningPort:
        """As :func:`relaykit.dataplane.datagram_sockets.listen_datagrams`."""
        taken = self._take(socket.SOCK_DGRAM, host, port)
        if not taken:
            return listen_datagrams(poller, host, port, acceptor)
        return _one(
            [DatagramPort(poller, each.plain, acceptor, each.address, each.give_back) for each in taken]
        )

    # --- inside ---------------------------------------------------------------------------------

    def _add(self, plain: socket.socket) -> None:
        try:
            self._passed.append(_PassedSocket.of(plain))
        except OSError as error:
            self._unusable(plain.detach(), error)

    def _unusable(self, number: int, error: OSError) -> None:
        self.log.warn(
            "descriptor {number} was passed to this process and is not used: {reason}",
            number=number,
            reason=reason_of(error),
            problem="passed-socket",
        )

    def _take(self, kind: socket.SocketKind, host: str, port: int) -> list[_PassedSocket]:
        place = _place(host)
        return [
            each.take()
            for each in self._passed
            if each.is_free
            and each.plain.type == kind
            and (_place(each.address.host), each.address.port) == (place, port)
        ]


def _place(host: str) -> str:
    """One spelling of an address of this machine; empty for every one."""
    if host in ANY_HOST:
        return ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        # That is told by who opens the port.
        return host


def _one(ports: Sequence[IListeningPort]) -> IListeningPort:
    return ports[0] if len(ports) == 1 else _Ports(ports)
