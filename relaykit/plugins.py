"""Proxy types, carriers and policies as Twisted plugins: a dropin names a module, imported on first use."""

from __future__ import annotations

import importlib
import traceback
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Generic, Self, TypeVar

from attrs import field, frozen
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.plugin import IPlugin, getPlugins
from twisted.python import log as legacy_log
from twisted.python.failure import Failure
from zope.interface import implementer, provider

from relaykit.errors import (
    BrokenCarrier,
    BrokenPolicy,
    BrokenProxyType,
    DuplicateCarrier,
    DuplicatePolicy,
    DuplicateProxyType,
    PluginError,
    UnknownCarrier,
    UnknownPolicy,
    UnknownProxyType,
)
from relaykit.interfaces import (
    ICarrier,
    ICarrierReference,
    IPolicy,
    IPolicyReference,
    IProxyType,
    IProxyTypeReference,
)

__all__ = [
    "BrokenDropin",
    "CarrierReference",
    "Carriers",
    "Policies",
    "PolicyReference",
    "ProxyTypeReference",
    "ProxyTypes",
    "installed_plugins",
]


class BrokenDropin(UserWarning):
    """A dropin file raised when it was imported, and is passed over; the text says which and why."""


def installed_plugins(interface: Any) -> list[Any]:
    """What the dropin files of every installed package have of an interface.

    A file that raises is warned of, in a line; Twisted would log a traceback each time.
    """
    failures: list[Failure] = []

    @provider(ILogObserver)
    def on_event(event: LogEvent) -> None:
        failure = event.get("failure")
        if isinstance(failure, Failure):
            failures.append(failure)

    globalLogPublisher.addObserver(on_event)
    try:
        return legacy_log.callWithContext(  # type: ignore[no-any-return]  # it has no annotations
            {"log_level": LogLevel.debug}, lambda: list(getPlugins(interface))
        )
    finally:
        globalLogPublisher.removeObserver(on_event)
        for failure in failures:
            warnings.warn(BrokenDropin(_broken(failure)), stacklevel=2)


def _broken(failure: Failure) -> str:
    """What became of a dropin file, from the traceback: the first file of a folder of dropins in it."""
    error = failure.value
    names = [each.filename for each in traceback.extract_tb(failure.getTracebackObject())]
    names.append(str(getattr(error, "filename", None) or "?"))
    where = next((name for name in names if name.replace("\\", "/").split("/")[-3:-1] == _FOLDER), names[-1])
    why = " ".join("".join(traceback.format_exception_only(type(error), error)).split())
    return f"the dropin file {where} cannot be used: {why}"


_FOLDER = ["twisted", "plugins"]
"""Where dropin files are, in each package."""


@frozen
class _Kind:
    """What is found by name: how it is called, what provides it, and the errors of looking for it."""

    noun: str
    attribute: str
    interface: Any
    reference: Any
    unknown: type[PluginError]
    duplicate: type[PluginError]
    broken: type[PluginError]

    def load(self, name: str, module: str) -> Any:
        """What a module has of this name."""
        cannot = f'{self.noun} "{name}" cannot be used: '
        try:
            loaded = importlib.import_module(module)
        except ImportError as error:
            raise self.broken(f"{cannot}importing {module} failed: {error}") from error
        found: Any = getattr(loaded, self.attribute, None)
        if not self.interface.providedBy(found):
            raise self.broken(
                f"{cannot}{module} has no attribute {self.attribute} that provides "
                f"relaykit.interfaces.{self.interface.__name__}"
            )
        if found.name != name:
            raise self.broken(f'{cannot}{module} calls itself "{found.name}"')
        return found


_PROXY_TYPE = _Kind(
    "proxy type",
    "proxy_type",
    IProxyType,
    IProxyTypeReference,
    UnknownProxyType,
    DuplicateProxyType,
    BrokenProxyType,
)
_CARRIER = _Kind(
    "carrier", "carrier", ICarrier, ICarrierReference, UnknownCarrier, DuplicateCarrier, BrokenCarrier
)
_POLICY = _Kind("policy", "policy", IPolicy, IPolicyReference, UnknownPolicy, DuplicatePolicy, BrokenPolicy)


@implementer(IPlugin, IProxyTypeReference)
@frozen
class ProxyTypeReference:
    """What a dropin file holds: the name of a proxy type, of the module that has it, and of its commands.

    ``has_messages`` as in :class:`relaykit.interfaces.IProxyTypeReference`.
    """

    name: str
    module: str
    commands: tuple[str, ...] = ()
    has_messages: bool = False

    def load(self) -> IProxyType:
        loaded: IProxyType = _PROXY_TYPE.load(self.name, self.module)
        return loaded


@implementer(IPlugin, ICarrierReference)
@frozen
class CarrierReference:
    """What a dropin file holds: the name of a carrier, and of the module that has it."""

    name: str
    module: str

    def load(self) -> ICarrier:
        loaded: ICarrier = _CARRIER.load(self.name, self.module)
        return loaded


@implementer(IPlugin, IPolicyReference)
@frozen
class PolicyReference:
    """What a dropin file holds: the name of a policy, and of the module that has it."""

    name: str
    module: str

    def load(self) -> IPolicy:
        loaded: IPolicy = _POLICY.load(self.name, self.module)
        return loaded


ReferenceT = TypeVar("ReferenceT")
PluginT = TypeVar("PluginT")


@frozen
class _Installed(Generic[ReferenceT, PluginT]):
    """What is installed of one kind, by name.  Looking one up imports just that one."""

    _kind: ClassVar[_Kind]
    _references: dict[str, Any] = field(factory=dict)
    _clashes: dict[str, PluginError] = field(factory=dict)
    _loaded: dict[str, PluginT] = field(factory=dict, init=False)

    @classmethod
    def from_references(cls, references: Iterable[ReferenceT]) -> Self:
        """Those that these references name.  Where two have one name, none of the two can be used."""
        known: dict[str, Any] = {}
        clashes: dict[str, PluginError] = {}
        for reference in references:
            named: Any = reference
            other = known.setdefault(named.name, named)
            if other.module != named.module:
                clashes[named.name] = cls._kind.duplicate(
                    f'{cls._kind.noun} "{named.name}" is provided twice, by {other.module} and by '
                    f"{named.module}: uninstall one of the two packages"
                )
        return cls(known, clashes)

    @classmethod
    def installed(cls) -> Self:
        """Those of every installed package."""
        return cls.from_references(installed_plugins(cls._kind.reference))

    def __iter__(self) -> Iterator[ReferenceT]:
        """The references, by name; importing nothing."""
        return iter(sorted(self._references.values(), key=lambda reference: reference.name))

    def __contains__(self, name: object) -> bool:
        return name in self._references

    def get(self, name: str) -> PluginT:
        """The one of this name.

        :raises UnknownProxyType: no installed package has it; of carriers, :class:`UnknownCarrier`.
        :raises DuplicateProxyType: two packages have it; of carriers, :class:`DuplicateCarrier`.
        :raises BrokenProxyType: its module cannot be used; of carriers, :class:`BrokenCarrier`.
        """
        found: PluginT | None = self._loaded.get(name)
        if name in self._clashes:
            raise self._clashes[name]
        if found is None:
            reference = self._references.get(name)
            if reference is None:
                installed = ", ".join(sorted(self._references))
                raise self._kind.unknown(
                    f'no {self._kind.noun} "{name}" is installed (installed: {installed})'
                )
            found = self._loaded[name] = reference.load()
            assert found is not None, "a reference loads what it names"
        return found


class ProxyTypes(_Installed[IProxyTypeReference, IProxyType]):
    """The proxy types that are installed."""

    _kind = _PROXY_TYPE


class Carriers(_Installed[ICarrierReference, ICarrier]):
    """The carriers that are installed."""

    _kind = _CARRIER


class Policies(_Installed[IPolicyReference, IPolicy]):
    """The policies that are installed."""

    _kind = _POLICY
