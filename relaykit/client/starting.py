"""What becomes of the entries of a configuration, backends and visitors: which stay, and how they start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.application.service import MultiService, Service
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from relaykit.errors import PluginError, RelaykitError, problem_of

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.python.failure import Failure

__all__ = ["GuardedServices", "differing", "naming", "planned"]

ConfiguredT = TypeVar("ConfiguredT")
ConfiguredT_co = TypeVar("ConfiguredT_co", covariant=True)
EntryT = TypeVar("EntryT", bound="_Entry[Any]")


class _Entry(Protocol[ConfiguredT_co]):
    """What became of an entry of the configuration."""

    @property
    def configured(self) -> ConfiguredT_co:
        """The entry."""


def planned(
    present: Mapping[str, EntryT],
    wanted: Iterable[tuple[str, ConfiguredT]],
    make: Callable[[ConfiguredT, str], EntryT],
) -> dict[str, EntryT]:
    """What is wanted, by name: what is present where its configuration is the same, else what is made.

    :raises PluginError: a name is there twice; and what ``make`` raises.
    """
    plan: dict[str, EntryT] = {}
    for name, configured in wanted:
        if name in plan:
            raise PluginError(f'"{name}" is there twice')
        there = present.get(name)
        plan[name] = there if there and there.configured == configured else make(configured, name)
    return plan


def differing(here: Mapping[str, object], there: Mapping[str, object]) -> list[str]:
    """The names of what is here and is not, or is something else, there."""
    return [name for name, entry in here.items() if there.get(name) is not entry]


@contextmanager
def naming(entry: str) -> Iterator[None]:
    """Puts the name of an entry of the configuration before whatever is wrong with its type."""
    try:
        yield
    except PluginError as error:
        raise type(error)(f"{entry}: {error}", problem=error.problem) from error


class GuardedServices(MultiService):
    """Services that plugins made, each under the name that it has in the configuration."""

    log = Logger()

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[str, str] = {}
        """Those that could not start, with the reason."""

    def startService(self) -> None:
        Service.startService(self)
        for service in self:
            self._start(service, service.startService)

    def adopt(self, service: IService, name: str) -> None:
        """Takes one more, and starts it if the others run."""
        service.setName(name)
        self._start(service, partial(service.setServiceParent, self))

    def dismiss(self, service: IService) -> None:
        """Stops one, and takes it no more."""
        self.failed.pop(str(service.name), None)
        maybeDeferred(service.disownServiceParent).addErrback(self._not_stopped, service.name)

    def _not_stopped(self, failure: Failure, name: str) -> None:
        self.log.failure("[{name}] a defect while it was stopped", failure, name=name)

    def _start(self, service: IService, start: Callable[[], object]) -> None:
        name = str(service.name)
        self.failed.pop(name, None)
        try:
            start()
        except (RelaykitError, OSError) as error:
            self.failed[name] = str(error)
            self.log.error(
                "[{name}] cannot start: {reason}",
                name=name,
                reason=str(error),
                problem=problem_of(error, "cannot-start"),
            )
        except Exception as error:
            self.failed[name] = f"a defect while it was started: {error}"
            self.log.failure("[{name}] a defect while it was started", name=name)
