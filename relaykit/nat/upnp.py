"""Ports mapped by UPnP routers, by way of the library ``miniupnpc``, which blocks and so runs in threads.

The library is optional: ``pip install relaykit[upnp]``.

Source: UPnP WANIPConnection:1 and :2.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock, fail
from twisted.internet.error import CannotListenError

from relaykit.errors import RelaykitError
from relaykit.nat.sockets import drop
from relaykit.values import Address

if TYPE_CHECKING:
    from relaykit.nat.network import HostNetwork

__all__ = ["LEASE_S", "SEARCH_MS", "UpnpFailed", "UpnpRouter", "is_available"]

SEARCH_MS = 1100
"""How long to wait for routers to say that they are there, of each of the four kinds that are asked for;
they are told to answer within a second."""

_GROUP = Address("239.255.255.250", 1900)
"""Where UPnP devices are looked for.  Source: UPnP Device Architecture 2.0, 1.3."""

LEASE_S = 3600
"""Life that is asked for; the owner renews."""

_DESCRIPTION = "relaykit"


class UpnpFailed(RelaykitError):
    """The router refused, vanished, or there is none."""

    problem = "hole-punching"


@frozen
class _Found:
    """What the library knows of a router."""

    gateway: Any
    external_host: str


def is_available() -> bool:
    """Whether the library is installed."""
    try:
        importlib.import_module("miniupnpc")
    except ImportError:
        return False
    return True


class UpnpRouter:
    """The Internet gateway device of the local network.

    One call at a time, since the library's objects are not for several threads.  All Deferreds fail
    with :class:`UpnpFailed`.
    """

    def __init__(self, network: HostNetwork) -> None:
        self._network = network
        self._lock = DeferredLock()
        self._found: _Found | None = None

    def find(self) -> Deferred[str]:
        """Looks for the router; fires with its external address.

        The library writes to standard error where the system sends nothing to the group of UPnP devices, so
        an empty datagram is tried first.
        """
        try:
            tried = self._network.open_udp("0.0.0.0", 0, drop)
        except CannotListenError:
            return fail(UpnpFailed("no socket could be opened to look for UPnP devices"))
        can_send = tried.send(b"", _GROUP)
        tried.close()
        if not can_send:
            return fail(UpnpFailed("this machine sends nothing to UPnP devices"))
        return self._alone(self._find)

    def map(self, port: int) -> Deferred[Address]:
        """Maps a UDP port of this machine to the same external one, or to another if that is taken."""
        return self._alone(lambda: self._map(port))

    def unmap(self, external_port: int) -> Deferred[None]:
        """Gives a mapping back."""
        return self._alone(lambda: self._unmap(external_port))

    def _alone(self, function: Callable[[], Any]) -> Deferred[Any]:
        return self._lock.run(self._network.call_in_thread, _translated(function))

    def _find(self) -> str:
        library = importlib.import_module("miniupnpc")
        gateway = library.UPnP()
        gateway.discoverdelay = SEARCH_MS
        if not gateway.discover():
            raise UpnpFailed("no UPnP device answered")
        gateway.selectigd()
        self._found = _Found(gateway, gateway.externalipaddress())
        return self._found.external_host

    def _map(self, port: int) -> Address:
        found = self._known()
        arguments = ("UDP", found.gateway.lanaddr, port, _DESCRIPTION, "")
        for external in (port, port + 1, port + 2):
            for lease in (LEASE_S, 0):
                try:
                    found.gateway.addportmapping(external, *arguments, lease)
                except Exception as error:
                    if _means(error, "ConflictInMappingEntry"):
                        break
                    if not _means(error, "OnlyPermanentLeasesSupported"):
                        raise
                else:
                    return Address(found.external_host, external)
        raise UpnpFailed("the UPnP router has no free port near the wanted one")

    def _unmap(self, external_port: int) -> None:
        self._known().gateway.deleteportmapping(external_port, "UDP")

    def _known(self) -> _Found:
        if self._found is None:
            raise UpnpFailed("no UPnP router was found")
        return self._found


def _means(error: Exception, name: str) -> bool:
    """Whether the library's error, which is a text, has this name."""
    return name in str(error)


def _translated(function: Callable[[], Any]) -> Callable[[], Any]:
    """The same function, all of its errors being ours: the library raises plain exceptions."""

    def call() -> Any:
        try:
            return function()
        except RelaykitError:
            raise
        except Exception as error:
            raise UpnpFailed(f"the UPnP router failed: {error}") from error

    return call
