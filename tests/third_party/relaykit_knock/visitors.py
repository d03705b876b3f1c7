"""The client endpoint ``visitors:``: a service within the client that greets and counts its users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from relaykit.interfaces import ILocalService
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.values import Origin

__all__ = ["VisitorsBook", "local_service"]


@implementer(ILocalService)
@define
class VisitorsBook:
    """Counts those that came."""

    greeting: str
    count: int = 0

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        self.count += 1
        who = "you" if origin.source is None else origin.source.host
        leg.write(f"{self.greeting}, {who}: number {self.count}\n".encode())
        leg.close()


def local_service(greeting: str = "Welcome") -> VisitorsBook:
    """A book of its own for each endpoint string."""
    return VisitorsBook(greeting)
