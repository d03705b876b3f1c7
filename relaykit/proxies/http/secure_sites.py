"""The same sites, as users see them who come over TLS, and those who come without though they need not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from attrs import frozen

from relaykit.sansio.hostnames import host_key
from relaykit.sansio.http.answers import Answer, refusal

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IRegisteredProxy
    from relaykit.proxies.http.users import Sites
    from relaykit.sansio.http.connection import Timeouts
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.sansio.http.rewriting import Rules

__all__ = ["MISDIRECTED", "RedirectedSites", "SecureSites"]

MISDIRECTED: Final = refusal(421, "this host has TLS of its own: ask for it over a new connection")
"""For a host whose TLS is not ended here.  Browsers ask one connection for all hosts that its certificate
names, and over a new one where they get this.  Source: RFC 9110 section 15.5.20, RFC 9113 section 9.1.1."""

PERMANENT_REDIRECT: Final = 308
"""Keeps the method and the body of a request.  Source: RFC 9110 section 15.4.9."""

_PORT_OF_HTTPS = 443

_VERSIONS = itertools.count(1)


@frozen(eq=False)
class _Seen:
    """Sites that are seen another way."""

    _sites: Sites

    @property
    def reactor(self) -> IReactorTime:
        return self._sites.reactor

    @property
    def timeouts(self) -> Timeouts:
        return self._sites.timeouts

    @property
    def version(self) -> int:
        """Another one each time: what decides here changes without a word."""
        return next(_VERSIONS)

    def date(self) -> bytes:
        """The present date, as HTTP writes it."""
        return self._sites.date()

    def find(self, head: RequestHead) -> IRegisteredProxy | Answer:
        """The proxy that a request leads to, or the answer in place of one."""
        return self._sites.find(head)

    def rules_of(self, proxy: IRegisteredProxy) -> Rules:
        """What a proxy, or a member of a group, has changed in messages."""
        return self._sites.rules_of(proxy)


@frozen(eq=False)
class SecureSites(_Seen):
    """For users within TLS: without those hosts whose TLS ``passes_through(host)`` unopened."""

    _passes_through: Callable[[str], bool]

    def find(self, head: RequestHead) -> IRegisteredProxy | Answer:
        return MISDIRECTED if self._passes_through(host_key(head.host)) else self._sites.find(head)


@frozen(eq=False)
class RedirectedSites(_Seen):
    """For users without TLS: hosts that ``are_secure(host)`` are to be asked for over TLS, at a port."""

    _are_secure: Callable[[str], bool]
    _port: int

    def find(self, head: RequestHead) -> IRegisteredProxy | Answer:
        host = host_key(head.host)
        if head.method == b"CONNECT" or not self._are_secure(host):
            return self._sites.find(head)
        port = b"" if self._port == _PORT_OF_HTTPS else b":%d" % self._port
        location = b"Location: https://%b%b%b\r\n" % (host.encode("ascii"), port, head.target)
        return Answer(PERMANENT_REDIRECT, lines=location)
