"""The control socket of a program that runs: its API for whoever may use the files of its user.

It is in a folder that nobody else may look into, under a name made of the role and of the configuration
file's path, so that two programs do not take each other's.  Whoever opens it holds a file beside it; what is
left of a program that has ended is replaced.  Where there are no such sockets it is a port of the loopback,
which wants a token that is in a file of that name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from relaykit.administration.guards import Guard
from relaykit.control_sockets import LOOPBACK, LoopbackDoor, is_at_loopback, reachable_path
from relaykit.state import StateDirectory, StateUnavailable
from relaykit.values import Secret

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IListeningPort

    from relaykit.administration.site import AdministrationSite
    from relaykit.state import HeldFile

    MakeSite = Callable[[Guard | None], AdministrationSite]

__all__ = ["ControlSocket"]

_TOKEN_BYTES = 32
"""Random ones, which nobody guesses."""

_PRIVATE = 0o600
_OTHERS = 0o177
"""What nobody but the owner gets when the socket is made."""


class _Factory(Factory):
    """Has a site serve what connects, from the first one on."""

    noisy = False

    def __init__(self, make_site: MakeSite) -> None:
        self._make_site = make_site
        self.guard: Guard | None = None
        self._site: AdministrationSite | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if self._site is None:
            self._site = self._make_site(self.guard)
        return self._site.buildProtocol(addr)

    def end(self) -> None:
        """Ends all connections."""
        if self._site is not None:
            self._site.end()


class ControlSocket(Service):
    """Serves an API to who may use a socket, from the start to the stop.

    That it cannot be opened stops no program: it is logged.

    :param folder: is made where it is missing, for its owner alone.
    :param name: of the socket there, or of the file that tells of the port.
    :param make_site: makes what serves it, by what that demands; is called when somebody connects.
    """

    log = Logger()

    def __init__(self, folder: Path, name: str, make_site: MakeSite, reactor: Any) -> None:
        self.path = folder / name
        self._reactor = reactor
        self._factory = _Factory(make_site)
        self._port: IListeningPort | None = None
        self._held: HeldFile | None = None
        self._reaching = contextlib.ExitStack()
        """Keeps what the path of the socket goes by."""

    def startService(self) -> None:
        super().startService()
        try:
            self._held = StateDirectory(self.path.parent).hold(f"{self.path.name}.lock")
            if self._held is None:
                self.log.warn(
                    "another program with this configuration has the control socket {path}: this one cannot "
                    "be asked by relaykit status, and is ended and has its file read again by signals only",
                    path=self.path,
                    problem="control-socket",
                )
                return
            self._open()
        except (StateUnavailable, OSError, CannotListenError) as error:
            self.log.warn(
                "the control socket {path} cannot be opened: {reason}",
                path=self.path,
                reason=str(error),
                problem="control-socket",
            )

    def stopService(self) -> Deferred[None]:
        super().stopService()
        port, self._port = self._port, None
        self._factory.end()
        closed: Deferred[Any] = maybeDeferred(port.stopListening if port is not None else lambda: None)
        return closed.addBoth(self._closed)

    def _open(self) -> None:
        # What is there is nobody's, for this program holds the file beside it.
        self.path.unlink(missing_ok=True)
        if is_at_loopback(self.path):
            self._open_at_loopback()
        else:
            self._open_socket()

    def _open_socket(self) -> None:
        reachable = self._reaching.enter_context(reachable_path(self.path.parent, self.path.name))
        former = os.umask(_OTHERS)
        try:
            self._port = self._reactor.listenUNIX(reachable, self._factory, mode=_PRIVATE)
        finally:
            os.umask(former)

    def _open_at_loopback(self) -> None:
        token = Secret(secrets.token_urlsafe(_TOKEN_BYTES))
        self._factory.guard = Guard(password=token)
        port = self._reactor.listenTCP(0, self._factory, interface=LOOPBACK)
        try:
            door = LoopbackDoor(port.getHost().port, token)
            StateDirectory(self.path.parent).write(self.path.name, door.dump())
        except StateUnavailable:
            port.stopListening()
            raise
        self._port = port

    def _closed(self, _: object) -> None:
        self._reaching.close()
        held, self._held = self._held, None
        if held is not None:
            self.path.unlink(missing_ok=True)
            held.close()
