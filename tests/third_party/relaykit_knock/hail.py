"""A carrier from a foreign package: TCP that begins with a word of its own, and what frp sends within it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from attrs import frozen
from relaykit.interfaces import ICarrier, ILegDialer
from relaykit.options import Options, Problem, doc
from relaykit.sansio.parsers.recognizing import Opening, Rank
from relaykit.values import CarrierCapabilities
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.interfaces import IAcceptHost, IDialHost, IIncomingConnection, IStreamLeg

MOST_LETTERS = 64
"""Of a word: it is looked at before anything else."""


class HailOptions(Options, frozen=True, kw_only=True):
    """What both ends say of this carrier, in the table ``transport.hail``."""

    word: Annotated[str, doc("The word, the same at both ends.")] = "HAIL"

    def problems(self) -> Iterable[Problem]:
        if not self.word.isascii() or not self.word.isalpha() or len(self.word) > MOST_LETTERS:
            yield Problem("word", f"must be 1 to {MOST_LETTERS} letters from A to Z")

    @property
    def line(self) -> bytes:
        """The word as it is sent."""
        return self.word.encode("ascii") + b"\n"


@frozen
class Line:
    """Takes the line that the bind port has recognized."""

    limit: int

    def feed(self, data: bytes) -> tuple[None, int] | None:
        """Answers once all of it is there."""
        return (None, self.limit) if len(data) >= self.limit else None


@implementer(ILegDialer)
class HailDialer:
    """Says the word, then begins TLS as configured."""

    def __init__(self, line: bytes, host: IDialHost) -> None:
        self._line = line
        self._host = host

    def connect(self) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        leg: IStreamLeg = await self._host.dial()
        leg.write(self._line)
        within: IStreamLeg = await self._host.secure(leg)
        return within


class HailAcceptor(Service):
    """Takes the word away; what is within is for whoever recognizes it."""

    def __init__(self, line: bytes, host: IAcceptHost) -> None:
        self._host = host
        self._line = Line(len(line))
        self._opening = Opening(line)

    def startService(self) -> None:
        super().startService()
        self._host.recognize(self._opening, self._on_hailed, Rank.FIXED)

    def stopService(self) -> None:
        self._host.ignore(self._opening)
        super().stopService()

    async def _on_hailed(self, connection: IIncomingConnection) -> IStreamLeg:
        await connection.leg.take(self._line)
        leg: IStreamLeg = connection.leg
        return leg


@implementer(ICarrier)
class HailCarrier:
    """Both halves."""

    name = "hail"
    summary = "TCP with a word before it."
    capabilities = CarrierCapabilities(race=40)
    table = "hail"
    dial_options = HailOptions
    accept_options = HailOptions

    def lacks(self) -> str:
        """Nothing."""
        return ""

    def make_dialer(self, options: HailOptions, host: IDialHost) -> HailDialer:
        return HailDialer(options.line, host)

    def make_acceptor(self, options: HailOptions, port: int, host: IAcceptHost) -> HailAcceptor:
        return HailAcceptor(options.line, host)


carrier = HailCarrier()
