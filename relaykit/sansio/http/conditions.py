"""Requests that depend on what their sender has already.  Source: RFC 9110 section 13."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from enum import Enum
from typing import Final

from attrs import frozen

__all__ = ["Outcome", "Validators"]

_TAG: Final = re.compile(rb'[ \t,]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|\Z)')


class Outcome(Enum):
    """What becomes of a request."""

    SENT = 200
    NOT_MODIFIED = 304
    FAILED = 412


@frozen
class Validators:
    """What tells one state of a representation from the others.

    ``tag`` is a strong entity tag with its quotes, ``modified`` the time of its last change in whole seconds
    since 1970.
    """

    tag: bytes
    modified: int

    @property
    def date(self) -> bytes:
        """When it was changed, as the field ``Last-Modified`` has it."""
        return formatdate(self.modified, usegmt=True).encode()

    def judge(self, field: Callable[[bytes], bytes | None]) -> Outcome:
        """What becomes of GET or HEAD; ``field`` answers the value of a field.

        Source: RFC 9110 section 13.2.2.
        """
        match = field(b"If-Match")
        if match is not None:
            if not self._is_listed(match, is_weak=False):
                return Outcome.FAILED
        elif (since := _seconds(field(b"If-Unmodified-Since"))) is not None and self.modified > since:
            return Outcome.FAILED
        none_match = field(b"If-None-Match")
        if none_match is not None:
            return Outcome.NOT_MODIFIED if self._is_listed(none_match, is_weak=True) else Outcome.SENT
        since = _seconds(field(b"If-Modified-Since"))
        return Outcome.NOT_MODIFIED if since is not None and self.modified <= since else Outcome.SENT

    def continues(self, value: bytes | None) -> bool:
        """Whether parts may be sent to who says this in ``If-Range``.  Source: RFC 9110 section 13.1.5."""
        return value is None or value in (self.tag, self.date)

    def _is_listed(self, value: bytes, *, is_weak: bool) -> bool:
        if value.strip(b" \t") == b"*":
            return True
        at = 0
        while found := _TAG.match(value, at):
            at = found.end()
            if found[1] == self.tag or (is_weak and found[1].removeprefix(b"W/") == self.tag):
                return True
        return False


def _seconds(value: bytes | None) -> float | None:
    """The time that a field says, if it says one."""
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value.decode("ascii")).timestamp()
    except (ValueError, OverflowError):
        return None
