"""A name server that is asked in place of the system's resolver, after the hosts file of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.names.client import Resolver
from twisted.names.dns import AAAA, A
from twisted.names.error import DNSNameError, DNSServerError, DomainError
from twisted.names.hosts import searchFileForAll
from twisted.python.filepath import FilePath

from relaykit.errors import ConnectionFailed
from relaykit.sansio.hostnames import encode_host_name
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.names.dns import RRHeader
    from twisted.python.failure import Failure

__all__ = ["NameServer"]

ANSWER_TIMEOUTS_S = (1, 2, 4)
"""How long each question may take before it is asked again, or given up: datagrams may be lost."""

OTHER_VERSION_S = 0.05
"""How long the addresses of one version of IP wait for those of the other, whose question may be dropped by
who does not know it.  Source: RFC 8305 section 3."""

DNS_PORT = 53

_HOSTS = (
    os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), r"System32\drivers\etc\hosts")
    if sys.platform == "win32"
    else "/etc/hosts"
)


class NameServer:
    """Looks up names at one name server, anew each time.

    :param reactor: has time, UDP, and TCP for what does not fit into a datagram.
    :param host: its IP address.
    """

    def __init__(self, reactor: Any, host: str, port: int = DNS_PORT, hosts_file: str = _HOSTS) -> None:
        self._reactor = reactor
        self._where = Address(host, port)
        self._resolver = Resolver(servers=[(host, port)], timeout=ANSWER_TIMEOUTS_S, reactor=reactor)
        self._hosts = FilePath(hosts_file)

    def __str__(self) -> str:
        return str(self._where)

    def addresses(self, name: str) -> Deferred[Sequence[str]]:
        """The IP addresses of a name, at least one, those of IPv6 first.

        Fails with :class:`relaykit.errors.ConnectionFailed`, whose text says what is wrong with the name, or
        with the name server.  Cancelling gives up.
        """
        encoded = encode_host_name(name)
        if known := searchFileForAll(self._hosts, encoded.removesuffix(b".")):
            return succeed(known)
        return _Lookup(self._reactor, self._where).start(
            self._resolver.lookupIPV6Address(encoded), self._resolver.lookupAddress(encoded)
        )


@define(eq=False)
class _Lookup:
    """Both questions about a name, until there are answers enough."""

    _reactor: Any
    _where: Address
    _answer: Deferred[Sequence[str]] | None = field(default=None, init=False)
    _six: list[str] = field(factory=list, init=False)
    _four: list[str] = field(factory=list, init=False)
    _open: int = field(default=2, init=False)
    _why: str = field(default="", init=False)
    _rest: IDelayedCall | None = field(default=None, init=False)

    def start(self, six: Deferred[Any], four: Deferred[Any]) -> Deferred[Sequence[str]]:
        """Waits for the answers to both."""
        answer: Deferred[Sequence[str]] = Deferred(self._cancelled)
        self._answer = answer
        for asked in (six, four):
            asked.addCallbacks(self._answered, self._failed).addCallback(self._one_done)
        return answer

    def _answered(self, answer: tuple[list[RRHeader], Any, Any]) -> None:
        for each in answer[0]:
            # Aliases come with what they stand for.
            payload: Any = each.payload
            if each.type == AAAA:
                self._six.append(str(IPv6Address(payload.address)))
            elif each.type == A:
                self._four.append(payload.dottedQuad())

    def _failed(self, failure: Failure) -> None:
        if failure.check(DNSNameError):
            self._why = f"the name server {self._where} knows no such name"
        elif failure.check(TimeoutError):
            self._why = f"the name server {self._where} does not answer: look at dnsServer"
        elif failure.check(DNSServerError):
            self._why = f"the name server {self._where} failed to find the name out"
        elif failure.check(DomainError):
            self._why = f"the name server {self._where} refused to answer"
        else:
            self._why = f"the name server {self._where} cannot be asked: {failure.getErrorMessage()}"

    def _one_done(self, _: None) -> None:
        self._open -= 1
        if self._answer is None:
            return
        if not self._open:
            self._finish()
        elif self._six or self._four:
            self._rest = self._reactor.callLater(OTHER_VERSION_S, self._finish)

    def _finish(self) -> None:
        answer = self._end()
        if answer is None:
            return
        if found := [*self._six, *self._four]:
            answer.callback(found)
        else:
            why = self._why or "it has no address"
            answer.errback(ConnectionFailed(why, problem="unknown-host"))

    def _cancelled(self, _answer: Deferred[Any]) -> None:
        self._end()

    def _end(self) -> Deferred[Sequence[str]] | None:
        answer, self._answer = self._answer, None
        if self._rest is not None and self._rest.active():
            self._rest.cancel()
        return answer
