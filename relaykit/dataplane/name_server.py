"""Name servers that are asked: one in place of the system's resolver, or the system's own for services.

Of the addresses of a name, the hosts file of this machine tells first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, NoReturn, Self

from attrs import define, field
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.names.client import Resolver
from twisted.names.dns import AAAA, SRV, A
from twisted.names.error import DNSNameError, DNSServerError, DomainError
from twisted.names.hosts import searchFileForAll
from twisted.python.filepath import FilePath

from relaykit.errors import ConnectionFailed
from relaykit.sansio.hostnames import encode_host_name
from relaykit.sansio.service_records import ServiceRecord
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

MOST_SERVERS = 3
"""Name servers of the system that are asked, one after the other.  Source: resolv.conf(5), MAXNS."""

MOST_RECORDS = 16
"""SRV records of one name that are looked at: who has a service has a few servers for it."""

RESOLVER_FILE = "/etc/resolv.conf"

_HOSTS = (
    os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), r"System32\drivers\etc\hosts")
    if sys.platform == "win32"
    else "/etc/hosts"
)


def _reason_of(failure: Failure, where: str) -> str:
    """Why a question has no answer."""
    if failure.check(DNSNameError):
        return f"the name server {where} knows no such name"
    if failure.check(TimeoutError):
        return f"the name server {where} does not answer: look at dnsServer"
    if failure.check(DNSServerError):
        return f"the name server {where} failed to find the name out"
    if failure.check(DomainError):
        return f"the name server {where} refused to answer"
    return f"the name server {where} cannot be asked: {failure.getErrorMessage()}"


def _host_of(target: bytes) -> str:
    """The host that a record names; empty for a root, which says that the service is not there.

    Also for what no host can be called: a label may have any bytes, and a forward proxy is told the name.
    """
    try:
        return encode_host_name(target.decode("ascii")).decode("ascii").removesuffix(".")
    except ValueError:
        return ""


class NameServer:
    """Looks up names at one name server, or at the first of several that answers, anew each time.

    :param reactor: has time, UDP, and TCP for what does not fit into a datagram.
    :param servers: their IP addresses, and ports.
    """

    def __init__(self, reactor: Any, servers: Sequence[Address], hosts_file: str = _HOSTS) -> None:
        self._reactor = reactor
        self._where = ", ".join(map(str, servers))
        self._resolver = Resolver(
            servers=[(each.host, each.port) for each in servers], timeout=ANSWER_TIMEOUTS_S, reactor=reactor
        )
        self._hosts = FilePath(hosts_file)

    @classmethod
    def of_system(cls, reactor: Any, resolver_file: str = RESOLVER_FILE) -> Self:
        """Those that this system asks at the moment.

        :raises ConnectionFailed: they cannot be found out.
        """
        try:
            text = FilePath(resolver_file).getContent().decode("utf-8", "replace")
        except OSError as error:
            raise ConnectionFailed(
                f"the system's name servers are not known: {resolver_file}: {error.strerror}; set dnsServer",
                problem="unknown-host",
            ) from error
        lines = [line.split() for line in text.splitlines()]
        hosts = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        servers = [Address(host.partition("%")[0], DNS_PORT) for host in hosts[:MOST_SERVERS]]
        return cls(reactor, servers or [Address("127.0.0.1", DNS_PORT)])

    def __str__(self) -> str:
        return self._where

    def services(self, name: str) -> Deferred[Sequence[ServiceRecord]]:
        """The SRV records of a name, at least one and :data:`MOST_RECORDS` at most.

        Fails as :meth:`addresses` does.
        """
        asking: Deferred[Any] = self._resolver.lookupService(encode_host_name(name))
        return asking.addCallbacks(self._read_services, self._not_found, callbackArgs=(name,))

    def _read_services(self, answer: tuple[list[RRHeader], Any, Any], name: str) -> Sequence[ServiceRecord]:
        found = []
        for each in answer[0][:MOST_RECORDS]:
            payload: Any = each.payload
            if each.type == SRV and (host := _host_of(payload.target.name)):
                target = Address(host, payload.port)
                found.append(ServiceRecord(payload.priority, payload.weight, target))
        if not found:
            raise ConnectionFailed(f"{name} has no SRV record that names a server", problem="unknown-host")
        return found

    def _not_found(self, failure: Failure) -> NoReturn:
        raise ConnectionFailed(_reason_of(failure, self._where), problem="unknown-host") from failure.value

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
    _where: str
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
        self._why = _reason_of(failure, self._where)

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
