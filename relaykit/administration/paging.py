"""Lists in pages, as frp's second API has them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import frozen

from relaykit.administration.calls import CallFailed

if TYPE_CHECKING:
    from relaykit.administration.calls import Call

__all__ = ["MOST_PER_PAGE", "Page", "paged"]

MOST_PER_PAGE = 200
"""Entries of one page at most; frp's figure."""

_PER_PAGE = 50
_GREATEST = 2**63 - 1

EntryT = TypeVar("EntryT")


@frozen
class Page(Generic[EntryT]):
    """A part of a list: ``total`` is the length of all of it."""

    total: int
    number: int
    size: int
    items: Sequence[EntryT]


def paged(call: Call, found: Sequence[EntryT]) -> Page[EntryT]:
    """The page that is asked for by ``page`` and ``pageSize``.

    :raises CallFailed: there can be no such page.
    """
    number, size = _number(call, "page", 1), _number(call, "pageSize", _PER_PAGE)
    if size > MOST_PER_PAGE:
        raise _bad(f"pageSize must be between 1 and {MOST_PER_PAGE}")
    begin = (number - 1) * size
    if begin > _GREATEST:
        raise _bad("page is too large")
    return Page(len(found), number, size, found[begin : begin + size])


def _bad(text: str) -> CallFailed:
    return CallFailed(HTTPStatus.BAD_REQUEST, text)


def _number(call: Call, key: str, default: int) -> int:
    text = call.first(key)
    if not text:
        return default
    digits = text.removeprefix("+").lstrip("0")
    # As many digits as the greatest one has: others would take long to read.
    if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(_GREATEST)):
        number = int(digits)
        if number <= _GREATEST:
            return number
    raise _bad(f"{key} must be a positive integer")
