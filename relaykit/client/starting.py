"""Backends and visitors as services: one that cannot start keeps nothing from the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from twisted.application.service import MultiService, Service
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from relaykit.errors import RelaykitError, problem_of

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.python.failure import Failure

__all__ = ["GuardedServices"]


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
