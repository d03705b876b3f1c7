"""Dialling: reading endpoint strings, names and their addresses, deadlines."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.dataplane import dialing
from relaykit.dataplane.dialing import (
    DIAL_TIMEOUT_S,
    MOST_ADDRESSES,
    NEXT_ADDRESS_S,
    _mixed,
    _parse,
    _Target,
    dial,
    dial_datagrams,
    dial_endpoint,
)
from relaykit.dataplane.poller import WRITE
from relaykit.errors import ConnectionFailed, OutOfDescriptors
from relaykit.values import Address
from tests.dataplane.fakes import FakeDatagramSocket, FakePoller, FakeSocket, os_error


class EndpointStringTests(SynchronousTestCase):
    """Which strings are dialled directly, and what they say."""

    def test_direct(self) -> None:
        """TCP and unix strings are read as Twisted reads them, quoting included."""
        for text, target in {
            "tcp:localhost:22": _Target(host="localhost", port=22),
            "tcp:host=localhost:port=22": _Target(host="localhost", port=22),
            r"tcp:\:\:1:22": _Target(host="::1", port=22),
            r"tcp:fe80\:\:1%eth\=0:22:timeout=5": _Target(host="fe80::1%eth=0", port=22, timeout_s=5),
            "tcp:h:1:bindAddress=192.0.2.1": _Target(host="h", port=1, source="192.0.2.1"),
            "unix:/run/a.sock": _Target(path="/run/a.sock"),
            r"unix:path=/run/a\:b\\c.sock:timeout=2.5": _Target(path=r"/run/a:b\c.sock", timeout_s=2.5),
        }.items():
            self.assertEqual(_parse(text), target)

    def test_for_others(self) -> None:
        """Other kinds, and arguments that are not known here, are left to who parses them."""
        for text in ("tls:host:443", "ssl:host:443", "x", "", "tcp:h:1:shiny=yes", "unix:/x:checkPID=1"):
            self.assertIsNone(_parse(text))

    def test_nonsense(self) -> None:
        """A string that lacks something, or has no number where one must be, is refused."""
        for text in ("tcp:host", "tcp", "unix", "tcp:h:ssh", "tcp:h:1:timeout=soon"):
            self.assertRaises(ValueError, _parse, text)
            failure = self.failureResultOf(dial_endpoint(FakePoller(), text), ConnectionFailed)
            self.assertIn(text, str(failure.value))

    def test_unknown_kind(self) -> None:
        """A kind that nobody parses is a failed connection, not an exception."""
        failure = self.failureResultOf(dial_endpoint(FakePoller(), "nonsense:1"), ConnectionFailed)
        self.assertIn("nonsense", str(failure.value))


class OrderTests(SynchronousTestCase):
    """In which order the addresses of a name are tried."""

    def test_mixed(self) -> None:
        """The versions of IP take turns; the resolver's first choice is first."""
        four = [(socket.AF_INET, (f"192.0.2.{number}", 1)) for number in range(3)]
        six = [(socket.AF_INET6, ("2001:db8::1", 1, 0, 0))]
        self.assertEqual(_mixed([*six, *four]), [six[0], four[0], four[1], four[2]])
        self.assertEqual(_mixed([*four, *six]), [four[0], six[0], four[1], four[2]])
        self.assertEqual(_mixed([]), [])


class Connecting(FakeSocket):
    """A socket that connects until the test says otherwise."""

    def __init__(self, family: int) -> None:
        super().__init__()
        self.of_family = family
        self.target: Any = None

    def setblocking(self, blocking: bool) -> None:
        """Never blocks."""

    def setsockopt(self, level: int, option: int, value: object) -> None:
        """Takes all options."""

    def connect_ex(self, target: Any) -> int:
        """Begins."""
        self.target = target
        return errno.EINPROGRESS

    def getsockname(self) -> Any:
        """Its own end."""
        return ("192.0.2.9", 4000)

    def getpeername(self) -> Any:
        """The other end."""
        return self.target


class Names:
    """A name server that answers at once."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    def addresses(self, name: str) -> Deferred[Sequence[str]]:
        """What the test said."""
        return succeed(self.hosts) if self.hosts else fail(ConnectionFailed(f"{name} is not known"))


@implementer(IHostnameResolver, IHostResolution)
class Resolver:
    """Answers when the test says so."""

    name = "a name"

    def __init__(self) -> None:
        self.receiver: IResolutionReceiver
        self.cancelled = False

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, *_: Any) -> IHostResolution:
        """Begins."""
        self.receiver = receiver
        receiver.resolutionBegan(self)
        return self

    def cancel(self) -> None:
        """Ends."""
        self.cancelled = True

    def answer(self, *addresses: IAddress) -> None:
        """Tells the addresses."""
        for address in addresses:
            self.receiver.addressResolved(address)
        self.receiver.resolutionComplete()


class NameTests(SynchronousTestCase):
    """Resolving before connecting."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.resolver = self.poller.clock.nameResolver = Resolver()  # type: ignore[attr-defined]  # as a reactor has it

    def test_no_address(self) -> None:
        """A name without addresses is a failed connection that names it."""
        dialling = dial(self.poller, "nowhere.example", 22)
        self.assertNoResult(dialling)
        self.resolver.answer()
        failure = self.failureResultOf(dialling, ConnectionFailed)
        self.assertIn("nowhere.example:22", str(failure.value))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_impossible_name(self) -> None:
        """What cannot be a name fails at once with the name in the text; no resolver is asked."""
        for name in ("a..b", "a" * 64, "host:7000", "[::1]", " host ", "nul\0"):
            failure = self.failureResultOf(dial(self.poller, name, 22), ConnectionFailed)
            self.assertIn(f'cannot connect to {name}:22: "{name}" is not', str(failure.value))
        self.assertFalse(hasattr(self.resolver, "receiver"))

    def test_impossible_target(self) -> None:
        """A source, a scope or a path that makes no sense is a failed connection, too."""
        for failed in (
            dial(self.poller, "192.0.2.1", 22, source="a..b"),
            dial(self.poller, "192.0.2.1", 22, source="not an address"),
            dial(self.poller, "fe80::1%nowhere", 22),
            dial_endpoint(self.poller, "unix:/nul\0"),
            dial_endpoint(self.poller, f"unix:/{'a' * 200}"),
        ):
            text = str(self.failureResultOf(failed, ConnectionFailed).value)
            self.assertNotIn("unknown error", text)
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_foreign_name(self) -> None:
        """The parser of other endpoint strings may raise when it connects: that is a failed connection."""
        failure = self.failureResultOf(dial_endpoint(self.poller, "tls:a..b:443"), ConnectionFailed)
        self.assertIn("a..b", str(failure.value))

    def test_slow_resolver(self) -> None:
        """The deadline counts the resolver's time; its late answer is ignored."""
        dialling = dial(self.poller, "slow.example", 22)
        self.poller.clock.advance(DIAL_TIMEOUT_S)
        failure = self.failureResultOf(dialling, ConnectionFailed)
        self.assertIn("10 seconds", str(failure.value))
        self.assertTrue(self.resolver.cancelled)
        self.resolver.answer(IPv4Address("TCP", "127.0.0.1", 22))

    def test_cancelled(self) -> None:
        """Cancelling ends the resolution and leaves no timer."""
        dialling = dial(self.poller, "slow.example", 22)
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.assertEqual((self.resolver.cancelled, self.poller.clock.getDelayedCalls()), (True, []))

    def test_both_versions(self) -> None:
        """IPv6 addresses keep their scope; addresses of other kinds are left out."""
        tried: list[Any] = []

        def refuse(*arguments: Any) -> None:
            tried.append(arguments[-1])
            raise OSError(97, "no such family")

        self.patch(socket, "socket", refuse)
        dialling = dial(self.poller, "both.example", 22)
        self.resolver.answer(
            IPv6Address("TCP", "fe80::1", 22, 0, 3),
            HostnameAddress(b"x", 1),
            IPv4Address("TCP", "192.0.2.1", 22),
        )
        self.failureResultOf(dialling, ConnectionFailed)
        self.assertEqual(len(tried), 2)

    def tried(self, dialling: Callable[[], Deferred[Any]], *addresses: IAddress) -> tuple[list[int], str]:
        """Of which versions of IP sockets are made, and what becomes of it when there are none."""
        tried: list[int] = []

        def refuse(family: int, kind: int) -> None:
            tried.append(family)
            raise OSError(97, "no such family")

        self.patch(socket, "socket", refuse)
        dialled = dialling()
        if addresses:
            self.resolver.answer(*addresses)
        return tried, str(self.failureResultOf(dialled, ConnectionFailed).value)

    def test_many_addresses(self) -> None:
        """However many addresses of one version there are, those of the other have their turn."""
        six = [IPv6Address("TCP", f"2001:db8::{number}", 22) for number in range(9)]
        tried, _ = self.tried(
            lambda: dial(self.poller, "many.example", 22), *six, IPv4Address("TCP", "192.0.2.1", 22)
        )
        self.assertEqual(len(tried), MOST_ADDRESSES)
        self.assertEqual(tried[:3], [socket.AF_INET6, socket.AF_INET, socket.AF_INET6])

    def test_head_start(self) -> None:
        """Each address has a head start before the next one is tried beside it; the first answer counts."""
        made: list[Connecting] = []

        def make(family: int, kind: int) -> Connecting:
            made.append(Connecting(family))
            return made[-1]

        self.patch(socket, "socket", make)
        dialling = dial(self.poller, "both.example", 22)
        self.resolver.answer(
            IPv6Address("TCP", "2001:db8::1", 22),
            IPv6Address("TCP", "2001:db8::2", 22),
            IPv4Address("TCP", "192.0.2.1", 22),
        )
        self.assertEqual([each.target[0] for each in made], ["2001:db8::1"])
        self.poller.clock.advance(NEXT_ADDRESS_S / 2)
        self.assertEqual(len(made), 1)
        self.poller.clock.advance(NEXT_ADDRESS_S / 2)
        self.assertEqual([each.target[0] for each in made], ["2001:db8::1", "192.0.2.1"])
        self.poller.clock.advance(NEXT_ADDRESS_S)
        self.assertEqual(made[2].target[0], "2001:db8::2")
        self.attempt(dialling, made[1]).ready(WRITE)
        leg = self.successResultOf(dialling)
        self.assertEqual(leg.peer, Address("192.0.2.1", 22))
        self.assertEqual([each.closed for each in made], [True, False, True])
        leg.abort()

    def attempt(self, dialling: Deferred[Any], plain: Connecting) -> Any:
        """The attempt of a dial that has this socket."""
        dialed: Any = dialling._canceller.__self__  # type: ignore[union-attr]  # what makes it
        return next(each for each in dialed._attempts if each._socket is plain)

    def test_source(self) -> None:
        """From an address of this machine only those of its version can be reached."""
        both = IPv6Address("TCP", "2001:db8::1", 22), IPv4Address("TCP", "192.0.2.1", 22)
        tried, _ = self.tried(lambda: dial(self.poller, "both.example", 22, source="192.0.2.9"), *both)
        self.assertEqual(tried, [socket.AF_INET])
        tried, why = self.tried(lambda: dial(self.poller, "six.example", 22, source="192.0.2.9"), both[0])
        self.assertEqual(
            (tried, why),
            (
                [],
                "cannot connect to six.example:22: it has no address of the version of IP that 192.0.2.9 has",
            ),
        )

    def test_name_server(self) -> None:
        """Where there is a name server, it is asked in place of the reactor's resolver."""
        names: Any = Names("2001:db8::1", "192.0.2.1")
        self.poller.name_server = names
        tried, _ = self.tried(lambda: dial(self.poller, "both.example", 22))
        self.assertEqual(tried, [socket.AF_INET6, socket.AF_INET])
        nothing: Any = Names()
        self.poller.name_server = nothing
        tried, why = self.tried(lambda: dial(self.poller, "a.example", 22))
        self.assertEqual(why, "cannot connect to a.example:22: a.example is not known")
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])
        self.assertFalse(hasattr(self.resolver, "receiver"))

    def test_name_server_too_late(self) -> None:
        """The deadline of a connection is that of the question, too."""
        given_up: list[Deferred[Any]] = []
        silent: Any = Names()
        silent.addresses = lambda name: Deferred(given_up.append)
        self.poller.name_server = silent
        dialling = dial(self.poller, "a.example", 22)
        self.poller.clock.advance(DIAL_TIMEOUT_S)
        self.failureResultOf(dialling, ConnectionFailed)
        self.assertEqual((len(given_up), self.poller.clock.getDelayedCalls()), (1, []))

    def test_exhaustion(self) -> None:
        """A lack of descriptors is told of once, however many connections fail, and is an own failure."""

        def refuse(*arguments: Any) -> None:
            raise os_error(errno.EMFILE)

        with capturedLogs() as logged:
            self.patch(socket, "socket", refuse)
            for _ in range(3):
                self.failureResultOf(dial(self.poller, "192.0.2.1", 22), OutOfDescriptors)
        (told,) = logged
        self.assertEqual((told["log_level"], told["what"]), (LogLevel.error, "made"))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_last_descriptors(self) -> None:
        """Datagrams of many sources get none of the last descriptors, which is told as a lack of them."""
        sockets: list[FakeDatagramSocket] = []

        def make(*arguments: Any) -> FakeDatagramSocket:
            sockets.append(FakeDatagramSocket())
            return sockets[-1]

        self.patch(socket, "socket", make)
        self.patch(dialing, "highest_for_users", lambda: FakeDatagramSocket().fileno() - 1)
        with capturedLogs() as logged:
            self.failureResultOf(dial_datagrams(self.poller, "192.0.2.1", 53), OutOfDescriptors)
        self.assertEqual([event["what"] for event in logged], ["made"])
        self.assertEqual([each.closed for each in sockets], [True])
