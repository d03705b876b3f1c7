"""Feeds an input in every way that a network may cut it.

A network keeps the order of bytes and nothing else: whoever reads must come to the same result
whether the bytes come at once, one at a time, or cut anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from relaykit.errors import RemoteProtocolError

if TYPE_CHECKING:
    from relaykit.sansio.contract import PrefixParser

__all__ = ["MOST_CUTS", "TRAILING", "every_cut", "feed_every_cut", "recognize", "refuse"]

MOST_CUTS = 2048
"""Places at which an input is cut in two; a longer input is cut at this many, evenly spread, because
each cut is a run over the whole input."""

TRAILING = b"\x00\xffGET / HTTP/1.1\r\n\x16\x03\x01"
"""What follows an input that must end by itself: bytes that begin many other things."""

OutcomeT = TypeVar("OutcomeT")


def every_cut(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """The input whole, byte by byte, byte by byte among empty portions, and cut in two everywhere."""
    yield (data,)
    content = tuple(data[place : place + 1] for place in range(len(data)))
    yield content
    yield tuple(portion for byte in content for portion in (b"", byte))
    for place in _places(len(data)):
        yield (data[:place], data[place:])


def feed_every_cut(data: bytes, feed: Callable[[Sequence[bytes]], OutcomeT]) -> OutcomeT:
    """Answers what ``feed`` makes of the portions, whichever way the input is cut.

    ``feed`` makes a fresh reader each time, gives it the portions in order and answers a value that
    can be compared: events, a state, a raised error's text.

    :raises AssertionError: two ways of cutting came to different outcomes.
    """
    cuts = every_cut(data)
    whole = feed(next(cuts))
    for portions in cuts:
        outcome = feed(portions)
        if outcome != whole:
            raise AssertionError(f"cut into {_described(portions)} bytes: {outcome!r}\nfed whole: {whole!r}")
    return whole


def recognize(parser: PrefixParser, data: bytes, trailing: bytes = TRAILING) -> Any:
    """Answers what a prefix parser recognizes in ``data``, all of which belongs to the answer.

    The parser must ask for more at every shorter prefix, answer at the last byte, and let
    ``trailing`` bytes be.

    :raises AssertionError: it does not.
    """
    for length in range(len(data)):
        early = parser.feed(data[:length])
        if early is not None:
            raise AssertionError(f"answered {early!r} after {length} of {len(data)} bytes")
    found = parser.feed(data)
    if found is None:
        raise AssertionError(f"asks for more than all {len(data)} bytes")
    answer, length = found
    if length != len(data):
        raise AssertionError(f"consists of {length} bytes by its own account, not of {len(data)}")
    followed = parser.feed(data + trailing)
    if followed != found:
        raise AssertionError(f"with bytes behind it: {followed!r}\nwithout: {found!r}")
    return answer


def refuse(parser: PrefixParser, data: bytes) -> RemoteProtocolError:
    """Answers the error with which a prefix parser refuses ``data``, at the last byte at the latest.

    Once it has refused, more bytes must not change its mind.

    :raises AssertionError: it does not refuse.
    """
    refusal: RemoteProtocolError | None = None
    for length in range(len(data) + 1):
        try:
            found = parser.feed(data[:length])
        except RemoteProtocolError as error:
            refusal = error
            continue
        if refusal is not None:
            raise AssertionError(f"refused before, but answers {found!r} after {length} bytes")
        if found is not None:
            raise AssertionError(f"answers {found!r} after {length} bytes")
    if refusal is None:
        raise AssertionError(f"asks for more after all {len(data)} bytes")
    return refusal


def _places(length: int) -> Sequence[int]:
    if length - 1 <= MOST_CUTS:
        return range(1, length)
    return [place * (length - 1) // MOST_CUTS for place in range(1, MOST_CUTS + 1)]


def _described(portions: Sequence[bytes]) -> str:
    lengths = [len(portion) for portion in portions]
    return (
        " + ".join(map(str, lengths)) if len(lengths) < 4 else f"{len(lengths)} portions of <= {max(lengths)}"
    )
