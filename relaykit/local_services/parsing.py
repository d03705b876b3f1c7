"""Endpoint strings of services within this process: what a dropin holds, importing nothing but on use."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from relaykit.interfaces import ILocalServiceParser

if TYPE_CHECKING:
    from relaykit.dataplane.local_services import ServiceEndpoint

__all__ = ["LocalServiceParser"]


@implementer(IPlugin, ILocalServiceParser)
@frozen
class LocalServiceParser:
    """Reads strings such as ``socks5:username=alice:password=wonder``.

    The module has a function ``maker``, which takes the arguments by name, as texts, and answers an
    :class:`relaykit.interfaces.ILocalService`; it raises ``ValueError`` where they make no sense.  One that
    takes ``**others`` is given those as well that it does not name.
    """

    prefix: str
    module: str
    maker: str = "local_service"

    def parseStreamClient(self, reactor: Any, *args: object, **kwargs: object) -> ServiceEndpoint:
        """The endpoint of a service.

        :raises ValueError: the arguments make no sense; the text says nothing of their values.
        """
        make = getattr(importlib.import_module(self.module), self.maker)
        parameters = inspect.signature(make).parameters
        known = {name: each for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD}
        if any(args):
            names = ", ".join(f"{each}=" for each in known)
            raise ValueError(f"arguments of {self.prefix}: have names: {names}")
        takes_others = len(known) < len(parameters)
        if not takes_others and (unknown := sorted(set(kwargs) - set(known))):
            raise ValueError(f"{self.prefix}: has no {' and no '.join(unknown)}, but {', '.join(known)}")
        missing = [
            name for name, each in known.items() if each.default is each.empty and not kwargs.get(name)
        ]
        if missing:
            raise ValueError(f"{self.prefix}: needs {' and '.join(missing)}")
        from relaykit.dataplane.local_services import ServiceEndpoint

        return ServiceEndpoint(reactor, make(**kwargs))
