"""Endpoint strings of services within this process: what a dropin holds, importing nothing but on use."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.dataplane.local_services import ServiceEndpoint

__all__ = ["LocalServiceParser"]


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
@frozen
class LocalServiceParser:
    """Reads strings such as ``socks5:username=alice:password=wonder``.

    The module has a function ``local_service``, which takes the arguments by name, as texts, and answers an
    :class:`relaykit.interfaces.ILocalService`; it raises ``ValueError`` where they make no sense.
    """

    prefix: str
    module: str

    def parseStreamClient(self, reactor: Any, *args: object, **kwargs: object) -> ServiceEndpoint:
        """The endpoint of a service.

        :raises ValueError: the arguments make no sense; the text says nothing of their values.
        """
        make = importlib.import_module(self.module).local_service
        known = inspect.signature(make).parameters
        if any(args):
            names = ", ".join(f"{each}=" for each in known)
            raise ValueError(f"arguments of {self.prefix}: have names: {names}")
        if unknown := sorted(set(kwargs) - set(known)):
            raise ValueError(f"{self.prefix}: has no {' and no '.join(unknown)}, but {', '.join(known)}")
        missing = [
            name for name, each in known.items() if each.default is each.empty and not kwargs.get(name)
        ]
        if missing:
            raise ValueError(f"{self.prefix}: needs {' and '.join(missing)}")
        from relaykit.dataplane.local_services import ServiceEndpoint

        return ServiceEndpoint(reactor, make(**kwargs))
