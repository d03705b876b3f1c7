"""What a client answers to a probe: how far a user of the proxy would get.

A probe goes the way of a user: over a work connection, transforms included, to the client, whose backend
looks at its local service.  The answer is one line of JSON on that connection, and its end.
"""

from __future__ import annotations

import msgspec
from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.escaping import told
from relaykit.values import Reach

__all__ = ["MOST_REPORT_BYTES", "ProbeReport", "ReportParser"]

MOST_REPORT_BYTES = 4096
"""Bytes of an answer: its words are those of one error."""

_MOST_WORDS = 1000
"""Characters of these words that are sent."""


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, as it is sent; what others send besides is passed over."""

    reached: str
    error: str = ""


@frozen(kw_only=True)
class ProbeReport:
    """How far a probe got at the client; ``error`` says in words what kept it from getting further."""

    reached: Reach
    error: str = ""

    def encode(self) -> bytes:
        """The line that is sent."""
        line: bytes = msgspec.json.encode(_Told(reached=self.reached.value, error=self.error[:_MOST_WORDS]))
        return line + b"\n"


class ReportParser:
    """Takes the line; a :class:`relaykit.sansio.contract.PrefixParser`."""

    limit = MOST_REPORT_BYTES

    def feed(self, data: bytes) -> tuple[ProbeReport, int] | None:
        """Looks at all bytes so far.

        :raises RemoteProtocolError: it is no such answer.
        """
        end = data.find(b"\n")
        if end < 0:
            return None
        try:
            said = msgspec.json.decode(data[:end], type=_Told)
            reached = Reach(said.reached)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            raise RemoteProtocolError("the answer to a probe makes no sense") from error
        if reached is Reach.NOBODY:
            raise RemoteProtocolError("the answer to a probe says that it has not arrived")
        return ProbeReport(reached=reached, error=told(said.error)), end + 1
