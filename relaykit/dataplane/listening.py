"""Listening sockets: opens ports, accepts connections in batches, survives a lack of descriptors."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.exhaustion import EXHAUSTED
from relaykit.dataplane.poller import READ
from relaykit.dataplane.sockets import (
    INHERITS_OPTIONS,
    KEEPALIVE_IDLE_S,
    SocketLeg,
    address_of,
    reason_of,
    tune,
)
from relaykit.descriptors import descriptor_limit
from relaykit.errors import RelaykitError
from relaykit.interfaces import IKernelLeg, IListeningPort
from relaykit.values import Address, Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import ILegAcceptor, IStreamLeg

__all__ = [
    "ANY_HOST",
    "ListenFailed",
    "ListeningPort",
    "PortForbidden",
    "PortInUse",
    "PortUnavailable",
    "bind",
    "has_kept_descriptor",
    "listen_tcp",
    "listen_unix",
]

BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted: a burst of a thousand users."""

ACCEPTED_AT_ONCE = 8
"""Connections taken in one event: a few milliseconds of work, so that a flood of them holds nobody up."""

KEPT_PART = 8
"""One in so many descriptors is not for users: without mux each needs a second one to be served, and if
users had all, they would wait in vain for each other."""

KEPT_AT_LEAST = 32
"""Descriptors that are kept at least."""

PORTS_PART = 2
"""One in so many descriptors may be that of a port for users: each is to serve some."""

KEPT = "the last open files are kept for connections that serve users"

EXHAUSTION_PAUSE_S = 0.5
"""How long accepting rests when there are no descriptors left; whoever waits longer is refused."""


class ListenFailed(RelaykitError):
    """A port could not be opened; the text says which and why.

    :ivar why: the reason alone, without the address, for who is not to know that; empty if there is none.
    """

    problem = "cannot-listen"

    def __init__(self, text: str, why: str = "", problem: str = "") -> None:
        super().__init__(text, problem=problem)
        self.why = why


class PortInUse(ListenFailed):
    """Another socket listens there."""


class PortForbidden(ListenFailed):
    """The operating system does not allow this process to listen there."""

    problem = "privileged-port"


class PortUnavailable(ListenFailed):
    """The address is not one of this machine, or listening there is impossible for another reason."""


_PRIVILEGED = (
    "ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or a socket unit "
    "that opens them; without systemd, setcap for the program"
)

_WHY: dict[int, tuple[type[ListenFailed], str]] = {
    errno.EADDRINUSE: (PortInUse, "another program listens there"),
    errno.EACCES: (PortForbidden, f"permission denied: {_PRIVILEGED}"),
    errno.EPERM: (PortForbidden, "permission denied"),
    errno.EADDRNOTAVAIL: (PortUnavailable, "the machine does not have the address"),
    errno.EAFNOSUPPORT: (PortUnavailable, "the machine has no IP of this version"),
}


def _listen_failed(where: str, error: OSError | ValueError) -> ListenFailed:
    kind, why = _WHY.get(getattr(error, "errno", 0) or 0, (PortUnavailable, reason_of(error)))
    return kind(f"cannot listen on {where}: {why}", why)


@implementer(IListeningPort)
class ListeningPort:
    """An open port in a poller; see :func:`listen_tcp` and :func:`listen_unix`."""

    log = Logger()

    def __init__(
        self,
        poller: Poller,
        plain: socket.socket,
        acceptor: ILegAcceptor,
        address: Address | None,
        highest: int | None = None,
        give_back: Callable[[], None] | None = None,
        keepalive_s: int = KEEPALIVE_IDLE_S,
    ) -> None:
        """``highest`` is the highest descriptor that a connection may have.

        ``give_back`` is called when the port is closed, in place of closing the socket.  ``keepalive_s`` as
        for :func:`relaykit.dataplane.sockets.set_keepalive`.
        """
        self.interest = self.watched = 0
        self.address = address
        self._poller = poller
        self._socket = plain
        self._acceptor = acceptor
        self._number = plain.fileno()
        self._fixed_host = None if address is None or address.host in ANY_HOST else address
        self._is_unix = address is None
        self._highest = highest
        self._give_back = give_back
        self._keepalive_s = keepalive_s
        self._rested = False
        self._resumption: IDelayedCall | None = None
        _spare.restore()
        poller.watch(self, READ)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        if self._number >= 0:
            self._poller.forget(self, closing=self._give_back is None)
            self._number = -1
            (self._give_back or self._socket.close)()
            if self._resumption is not None:
                self._resumption.cancel()
                self._resumption = None

    # --- for the poller -------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        taken = 0
        while self._number >= 0 and taken < ACCEPTED_AT_ONCE:
            try:
                plain, name = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                self._accept_failed(error)
                return
            taken += 1
            self._accepted(plain, name)
        if taken:
            self._poller.exhaustion.passed()
            _spare.restore()

    def failed(self) -> None:
        """Goes on: one connection was lost, the port is as good as before."""

    # --- inside ---------------------------------------------------------------------------------

    def _accepted(self, plain: socket.socket, name: object) -> None:
        if self._highest is not None and plain.fileno() > self._highest:
            plain.close()
            self._poller.exhaustion.met(f"accepted on {self.address}", KEPT)
            return
        plain.setblocking(False)
        peer = host = None
        if not self._is_unix:
            if not INHERITS_OPTIONS:
                tune(plain, self._keepalive_s)
            peer = address_of(name)
            try:
                host = self._fixed_host or address_of(plain.getsockname())
            except OSError:
                plain.close()
                return
        leg = SocketLeg(self._poller, plain, peer, host)
        try:
            self._acceptor.leg_accepted(leg, Origin(peer, host))
        except Exception:
            self.log.failure("a defect while taking a connection from {peer}; it is dropped", peer=peer)
            leg.abort()

    def _accept_failed(self, error: OSError) -> None:
        """Waits a moment for descriptors; those who come when there still are none are refused."""
        if error.errno not in EXHAUSTED:
            self.log.warn(
                "accepting on {port} failed: {reason}",
                port=self.address,
                reason=str(error),
                problem="too-many-files",
            )
        else:
            self._poller.exhaustion.met(f"accepted on {self.address}", error.strerror or "")
            if self._rested and _spare.refuse(self._socket):
                return
        self._rested = False
        self._poller.watch(self, 0)
        self._resumption = self._poller.reactor.callLater(EXHAUSTION_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._resumption = None
        self._rested = True
        self._poller.watch(self, READ)


class _SpareDescriptor:
    """A descriptor of this process that is given up to refuse a connection when there is no other."""

    def __init__(self) -> None:
        self._number = -1

    def restore(self) -> None:
        """Takes the spare descriptor, if it is missing and there is one."""
        if self._number < 0:
            with contextlib.suppress(OSError):
                self._number = os.open(os.devnull, os.O_RDONLY)

    def refuse(self, listening: socket.socket) -> bool:
        """Accepts one connection and ends it at once; whether there was a spare descriptor."""
        if self._number < 0:
            return False
        os.close(self._number)
        self._number = -1
        with contextlib.suppress(OSError):
            listening.accept()[0].close()
        self.restore()
        return True


_spare = _SpareDescriptor()

ANY_HOST = frozenset({"", "::", "0.0.0.0"})
"""What stands for every address of this machine."""


def listen_tcp(
    poller: Poller,
    host: str,
    port: int,
    acceptor: ILegAcceptor,
    backlog: int = BACKLOG,
    for_users: bool = False,
    keepalive_s: int = KEEPALIVE_IDLE_S,
) -> ListeningPort:
    """Opens a TCP port; 0 lets the kernel pick one, ``address`` tells which.

    ``host`` is an IP address of this machine.  An empty one, ``::`` and ``0.0.0.0`` all mean every
    address, IPv4 and IPv6, as far as the machine has them.  A port ``for_users`` takes no connection
    with one of the last descriptors: what serves those who are there needs them.  ``keepalive_s`` is for its
    connections, as for :func:`relaykit.dataplane.sockets.set_keepalive`.

    :raises PortInUse: another socket listens there.
    :raises PortForbidden: this process may not listen there.
    :raises PortUnavailable: it is impossible for another reason.
    """
    plain = bind(host, port, socket.SOCK_STREAM)
    try:
        tune(plain, keepalive_s)
        plain.listen(backlog)
        address = address_of(plain.getsockname())
    except OSError as error:
        plain.close()
        raise _listen_failed(_where(host, port), error) from error
    highest = highest_for_users() if for_users else None
    return ListeningPort(poller, plain, acceptor, address, highest, keepalive_s=keepalive_s)


def highest_for_users() -> int | None:
    """The highest descriptor that a user may take; None where there is no limit.

    The system gives out the lowest free one, so a high one says that few are left.
    """
    limit = descriptor_limit()
    return None if limit is None else limit - max(KEPT_AT_LEAST, limit // KEPT_PART) - 1


def most_ports() -> int | None:
    """How many ports may be open for proxies, so that their users still have descriptors; None: no limit."""
    limit = descriptor_limit()
    return None if limit is None else limit // PORTS_PART


def has_kept_descriptor(leg: IStreamLeg) -> bool:
    """Whether a connection has one of the descriptors that users may not take: few are left then."""
    highest = highest_for_users()
    return highest is not None and IKernelLeg.providedBy(leg) and leg.fileno() > highest


def listen_unix(
    poller: Poller, path: str, acceptor: ILegAcceptor, mode: int = 0o600, backlog: int = BACKLOG
) -> ListeningPort:
    """Opens a unix socket at ``path``, for whom ``mode`` lets in; an abandoned one is replaced.

    :raises PortInUse: another process listens there.
    :raises PortForbidden: this process may not make it.
    :raises PortUnavailable: it is impossible for another reason.
    """
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        try:
            plain.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _abandoned(path):
                raise
            os.unlink(path)
            plain.bind(path)
        os.chmod(path, mode)
        plain.listen(backlog)
    except (OSError, ValueError) as error:
        plain.close()
        raise _listen_failed(path, error) from error
    return ListeningPort(poller, plain, acceptor, None)


def _abandoned(path: str) -> bool:
    """Whether nobody listens on this unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"


def bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A non-blocking socket of a kind on an address of this machine, or on every one; see :func:`listen_tcp`.

    :raises ListenFailed: it cannot be bound.
    """
    try:
        return _bind_any(port, kind) if host in ANY_HOST else _bind(host, port, kind)
    except (socket.gaierror, ValueError) as error:
        why = f"{host} is not an IP address"
        raise PortUnavailable(f"cannot listen on {_where(host, port)}: {why}", why) from error
    except OSError as error:
        raise _listen_failed(_where(host, port), error) from error


def _bind(host: str, port: int, kind: socket.SocketKind, both: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    plain = socket.socket(family, kind)
    try:
        plain.setblocking(False)
        if os.name == "posix" and kind == socket.SOCK_STREAM:
            # On Windows, and for datagrams, this option would let another program take the port over.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            plain.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        # As bytes, or Python would load its tables of international names.
        flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
        plain.bind(socket.getaddrinfo(host.encode(), port, family, kind, 0, flags)[0][4])
    except BaseException:
        plain.close()
        raise
    return plain


_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT, errno.EINVAL})


def _bind_any(port: int, kind: socket.SocketKind) -> socket.socket:
    """Binds to every address, with both versions of IP where the machine has both."""
    try:
        return _bind("::", port, kind, both=True)
    except OSError as error:
        if error.errno not in _NO_IPV6:
            raise
    return _bind("0.0.0.0", port, kind)
