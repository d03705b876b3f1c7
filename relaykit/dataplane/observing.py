"""Legs that show what passes them to an observer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from relaykit.dataplane.transforms import TransformLeg

if TYPE_CHECKING:
    from relaykit.interfaces import ILegObserver, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Ended

__all__ = ["ObservedLeg"]


class ObservedLeg(TransformLeg):
    """Passes output and input of a leg, which it owns, on as they are, and shows them to an observer."""

    __slots__ = ("_observer",)

    log = Logger()

    def __init__(self, lower: IStreamLeg, observer: ILegObserver) -> None:
        super().__init__(lower, (), ())
        self._observer: ILegObserver | None = observer

    def __repr__(self) -> str:
        return f"<ObservedLeg on {self._lower!r}>"

    def write(self, data: Buffer) -> None:
        if self._observer is not None:
            self._show(self._observer.bytes_written, data)
        self._lower.write(data)

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            if self._observer is not None:
                self._show(self._observer.bytes_written, piece)
        self._lower.write_sequence(pieces)

    def data_received(self, data: Buffer) -> None:
        if self._observer is not None:
            self._show(self._observer.bytes_read, data)
        self._arrived(data)

    def leg_lost(self, reason: Ended) -> None:
        if self._observer is not None:
            self._show(self._observer.leg_lost)
            self._observer = None
        super().leg_lost(reason)

    def _show(self, method: Callable[..., None], *data: Any) -> None:
        """An observer that fails must not hurt the user."""
        try:
            method(*data)
        except Exception:
            self.log.failure("{observer!r} failed, and is shown nothing more", observer=self._observer)
            self._observer = None
