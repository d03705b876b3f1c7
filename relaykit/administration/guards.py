"""Who is let in to an API: what is decided before a call is looked at.

Three kinds of strangers are kept out: who does not know the password; a page in the browser of somebody who
does, which has it ask in their name; and a page whose host was made to lead here (DNS rebinding), where there
is no password.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections import OrderedDict

from attrs import define, field, frozen

from relaykit.sansio.sources import Source
from relaykit.values import Secret

__all__ = ["FAILURE_S", "LONGEST_DELAY_S", "MOST_SOURCES", "FailureDelays", "Guard"]

FAILURE_S = 0.2
"""Seconds that a wrong password costs; frp's figure.  Those of one source wait for each other before they are
looked at, so that it makes five guesses a second, over however many connections."""

LONGEST_DELAY_S = 5.0
"""Seconds that a password waits for wrong ones before it; one that would have to wait longer is not looked
at, and not answered."""

MOST_SOURCES = 1024
"""Sources whose last failure is remembered; the oldest is forgotten first.  Each waits for :data:`FAILURE_S`
only, so that more of them than this are a flood from everywhere, which a password must stand anyway."""

_SAME_SITE = ("same-origin", "none")
"""What a browser says of a call that a page of this very server makes, or its user.  Source: Fetch Metadata
Request Headers, section 2.3."""


@frozen(kw_only=True)
class Guard:
    """What a server of an API demands.

    :ivar user: of HTTP's Basic authentication; where user and password are empty, nobody is asked.
    :ivar address: the host that the server listens on, which is a name of it.
    """

    user: str = ""
    password: Secret = field(repr=False)
    address: str = ""

    def admits(self, authorization: str) -> bool:
        """Whether the header of this name tells the user and the password; takes the same time for all."""
        wanted = f"{self.user}:{self.password.reveal()}"
        if wanted == ":":
            return True
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        is_equal = hmac.compare_digest(given, wanted.encode("utf-8", "surrogateescape"))
        return is_equal and scheme.lower() == "basic"

    @property
    def asks(self) -> bool:
        """Whether there is a password."""
        return bool(self.password)

    def is_called(self, host: str) -> bool:
        """Whether the server may be asked for by what the header ``Host`` says.

        Whoever leads a name of theirs here has a browser that never sends them the password, as it keeps it
        for the name that it was given for.  So only where there is none the name must be one that nobody can
        lead anywhere: an address, ``localhost``, or what the configuration has.
        """
        name = _without_port(host).lower().removesuffix(".")
        return (
            self.asks
            or name == "localhost"
            or name.endswith(".localhost")
            or _address(name) is not None
            or name == self.address.lower()
        )

    def is_foreign(self, host: str, origin: str, site: str) -> bool:
        """Whether a page of another server makes a call, by the headers ``Host``, ``Origin`` and
        ``Sec-Fetch-Site``; empty for those that are not there, as with programs that are no browser.
        """
        if site:
            return site.lower() not in _SAME_SITE
        return bool(origin) and origin.partition("://")[2].lower() != host.lower()


@define(eq=False)
class FailureDelays:
    """When passwords are looked at, by who sends them.

    The right one waits too: else whoever need not wait would know that it was guessed.
    """

    _due: OrderedDict[Source, float] = field(factory=OrderedDict, init=False)

    def turn(self, source: Source, now: float) -> float | None:
        """Seconds that a password of this source waits before it is looked at; None if it is not."""
        due = self._due.get(source, now)
        delay = max(0.0, due - now)
        if delay > LONGEST_DELAY_S:
            return None
        if delay:
            self._due[source] = due + FAILURE_S
        return delay

    def failed(self, source: Source, now: float) -> None:
        """One that was looked at was wrong."""
        self._due[source] = max(self._due.pop(source, now), now + FAILURE_S)
        while len(self._due) > MOST_SOURCES:
            self._due.popitem(last=False)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
