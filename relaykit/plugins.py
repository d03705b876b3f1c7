"""Proxy types as Twisted plugins: a dropin names a module, which is imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator

from attrs import field, frozen
from twisted.plugin import IPlugin, getPlugins
from zope.interface import implementer

from relaykit.errors import BrokenProxyType, DuplicateProxyType, UnknownProxyType
from relaykit.interfaces import IProxyType, IProxyTypeReference

__all__ = ["ProxyTypeReference", "ProxyTypes"]


@implementer(IPlugin, IProxyTypeReference)
@frozen
class ProxyTypeReference:
    """What a dropin file holds: the name of a proxy type, of the module that has it, and of its commands."""

    name: str
    module: str
    commands: tuple[str, ...] = ()

    def load(self) -> IProxyType:
        try:
            loaded = importlib.import_module(self.module)
        except ImportError as error:
            raise BrokenProxyType(
                f'proxy type "{self.name}" cannot be used: importing {self.module} failed: {error}'
            ) from error
        proxy_type = getattr(loaded, "proxy_type", None)
        if not IProxyType.providedBy(proxy_type):
            raise BrokenProxyType(
                f'proxy type "{self.name}" cannot be used: {self.module} has no attribute '
                "proxy_type that provides relaykit.interfaces.IProxyType"
            )
        if proxy_type.name != self.name:
            raise BrokenProxyType(
                f'proxy type "{self.name}" cannot be used: {self.module} calls itself "{proxy_type.name}"'
            )
        return proxy_type


@frozen
class ProxyTypes:
    """The proxy types that are installed, by name.  Looking one up imports just that one."""

    _references: dict[str, IProxyTypeReference] = field(factory=dict)
    _loaded: dict[str, IProxyType] = field(factory=dict, init=False)

    @classmethod
    def from_references(cls, references: Iterable[IProxyTypeReference]) -> ProxyTypes:
        """The types that these references name.

        :raises DuplicateProxyType: two references have one name.
        """
        known: dict[str, IProxyTypeReference] = {}
        for reference in references:
            other = known.setdefault(reference.name, reference)
            if other.module != reference.module:
                raise DuplicateProxyType(
                    f'proxy type "{reference.name}" is provided twice, by {other.module} and by '
                    f"{reference.module}: uninstall one of the two packages"
                )
        return cls(known)

    @classmethod
    def installed(cls) -> ProxyTypes:
        """The types of every installed package."""
        return cls.from_references(getPlugins(IProxyTypeReference))

    def __iter__(self) -> Iterator[IProxyTypeReference]:
        """The references, by name; importing nothing."""
        return iter(sorted(self._references.values(), key=lambda reference: reference.name))

    def __contains__(self, name: object) -> bool:
        return name in self._references

    def get(self, name: str) -> IProxyType:
        """The proxy type of this name.

        :raises UnknownProxyType: no installed package has it.
        :raises BrokenProxyType: its module cannot be used.
        """
        found = self._loaded.get(name)
        if found is None:
            reference = self._references.get(name)
            if reference is None:
                installed = ", ".join(sorted(self._references))
                raise UnknownProxyType(f'no proxy type "{name}" is installed (installed: {installed})')
            found = self._loaded[name] = reference.load()
        return found
