"""What the operating system has of this program, and what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define, field
from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import InfoMetricFamily

from relaykit import __version__

if TYPE_CHECKING:
    from relaykit.administration.metrics.exposition import Families

__all__ = ["ProcessSource"]


@define(eq=False)
class ProcessSource:
    """Memory, descriptors and time of the program, as the library reads them where there is ``/proc``.

    :param role: ``server`` or ``client``.
    """

    _role: str
    _process: ProcessCollector = field(factory=lambda: ProcessCollector(registry=None), init=False)

    def take(self) -> Families:
        return self._families

    def _families(self) -> Iterator[Metric]:
        said = {"version": __version__, "role": self._role}
        yield InfoMetricFamily("relaykit_build", "The version that runs", value=said)
        yield from self._process.collect()
