"""Looking names up at one name server: what comes first, what is waited for, what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import Clock
from twisted.names.dns import Message, Record_A, Record_AAAA, Record_CNAME, Record_SRV, RRHeader
from twisted.names.error import DNSNameError, DNSQueryRefusedError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.name_server import MOST_RECORDS, OTHER_VERSION_S, NameServer
from relaykit.errors import ConnectionFailed
from relaykit.sansio.service_records import ServiceRecord
from relaykit.values import Address


class Questions:
    """What is asked; the test answers it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.six: Deferred[Any] = Deferred()
        self.four: Deferred[Any] = Deferred()
        self.service: Deferred[Any] = Deferred()

    def lookupIPV6Address(self, name: bytes) -> Deferred[Any]:
        """Asks for addresses of IPv6."""
        self.asked.append(name)
        return self.six

    def lookupAddress(self, name: bytes) -> Deferred[Any]:
        """Asks for addresses of IPv4."""
        self.asked.append(name)
        return self.four

    def lookupService(self, name: bytes) -> Deferred[Any]:
        """Asks for services."""
        self.asked.append(name)
        return self.service


def answer(*payloads: Any) -> tuple[list[RRHeader], list[RRHeader], list[RRHeader]]:
    """What the library makes of an answer."""
    return [RRHeader(b"a.example", each.TYPE, payload=each) for each in payloads], [], []


class NameServerTests(SynchronousTestCase):
    """One name that is looked up."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.hosts = Path(self.mktemp())
        self.hosts.write_text("127.0.0.1 localhost\n192.0.2.9 fixed.example\n::1 localhost\n")
        self.server = NameServer(self.clock, [Address("192.0.2.53", 53)], str(self.hosts))
        self.questions = Questions()
        self.server._resolver = self.questions  # type: ignore[assignment]  # as much of it as is used

    def failed(self, asking: Deferred[Any]) -> str:
        """Why there is no answer."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return str(self.failureResultOf(asking, ConnectionFailed).value)

    def test_both_versions(self) -> None:
        """Addresses of both versions of IP are the answer; aliases on the way to them are none."""
        asking = self.server.addresses("bücher.example")
        self.assertEqual(self.questions.asked, [b"xn--bcher-kva.example"] * 2)
        self.questions.four.callback(
            answer(Record_CNAME(b"b.example"), Record_A("192.0.2.1"), Record_A("192.0.2.2"))
        )
        self.assertNoResult(asking)
        self.questions.six.callback(answer(Record_AAAA("2001:db8::1")))
        self.assertEqual(self.successResultOf(asking), ["2001:db8::1", "192.0.2.1", "192.0.2.2"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_is_silent(self) -> None:
        """Who has addresses of one version does not wait for those of the other; what comes late is lost."""
        asking = self.server.addresses("a.example")
        self.questions.four.callback(answer(Record_A("192.0.2.1")))
        self.clock.advance(OTHER_VERSION_S)
        self.assertEqual(self.successResultOf(asking), ["192.0.2.1"])
        self.questions.six.callback(answer(Record_AAAA("2001:db8::1")))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_fails(self) -> None:
        """One version is enough, whatever the server says to the other question."""
        asking = self.server.addresses("a.example")
        self.questions.six.errback(DNSServerError(Message()))
        self.questions.four.callback(answer(Record_A("192.0.2.1")))
        self.assertEqual(self.successResultOf(asking), ["192.0.2.1"])

    def test_hosts_file(self) -> None:
        """What the machine itself says of a name counts; nobody is asked."""
        self.assertEqual(self.successResultOf(self.server.addresses("localhost")), ["127.0.0.1", "::1"])
        self.assertEqual(self.successResultOf(self.server.addresses("fixed.example.")), ["192.0.2.9"])
        self.assertEqual(self.questions.asked, [])

    def test_no_address(self) -> None:
        """A name that stands for no address."""
        asking = self.server.addresses("a.example")
        self.questions.six.callback(answer())
        self.questions.four.callback(answer())
        self.assertEqual(self.failed(asking), "it has no address")

    def test_reasons(self) -> None:
        """What went wrong is said in words, with the name server in them."""
        for error, text in (
            (DNSNameError(Message()), "the name server 192.0.2.53:53 knows no such name"),
            (
                TimeoutError("x"),
                "the name server 192.0.2.53:53 does not answer: look at dnsServer",
            ),
            (DNSServerError(Message()), "the name server 192.0.2.53:53 failed to find the name out"),
            (DNSQueryRefusedError(Message()), "the name server 192.0.2.53:53 refused to answer"),
            (OSError("no way"), "the name server 192.0.2.53:53 cannot be asked: no way"),
        ):
            self.questions.six, self.questions.four = Deferred(), Deferred()
            asking = self.server.addresses("a.example")
            self.questions.six.errback(error)
            self.questions.four.errback(error)
            self.assertEqual(self.failed(asking), text)

    def test_services(self) -> None:
        """Records of services, with what they name; what else comes with them is none."""
        asking = self.server.services("_relaykit._tcp.example")
        self.questions.service.callback(
            answer(
                Record_SRV(1, 2, 7000, b"relay.example."),
                Record_CNAME(b"b.example"),
                Record_SRV(0, 0, 0, b""),
                Record_SRV(0, 0, 443, b"a HTTP/1.1\r\n\r\nGET /"),
                Record_SRV(0, 0, 443, b"\xff"),
                *[Record_SRV(9, 9, 9, b"x")] * MOST_RECORDS,
            )
        )
        found = self.successResultOf(asking)
        self.assertEqual(found[0], ServiceRecord(1, 2, Address("relay.example", 7000)))
        self.assertEqual(len(found), MOST_RECORDS - 4)
        self.assertEqual(self.questions.asked, [b"_relaykit._tcp.example"])

    def test_no_service(self) -> None:
        """No record, one that says that there is none, and no answer."""
        for records in ((), (Record_SRV(0, 0, 0, b""),)):
            self.questions.service = Deferred()
            asking = self.server.services("_relaykit._tcp.example")
            self.questions.service.callback(answer(*records))
            self.assertEqual(
                self.failed(asking), "_relaykit._tcp.example has no SRV record that names a server"
            )
        self.questions.service = Deferred()
        asking = self.server.services("_relaykit._tcp.example")
        self.questions.service.errback(DNSNameError(Message()))
        self.assertEqual(self.failed(asking), "the name server 192.0.2.53:53 knows no such name")

    def test_of_system(self) -> None:
        """The system's own are those of its file, three at most; where it names none, this machine's."""
        for text, servers in (
            ("# x\nsearch example\nnameserver 192.0.2.1\nnameserver\n", "192.0.2.1:53"),
            ("nameserver fe80::1%eth0\nnameserver 192.0.2.1\n", "[fe80::1]:53, 192.0.2.1:53"),
            ("nameserver 192.0.2.1\n" * 4, ", ".join(["192.0.2.1:53"] * 3)),
            ("", "127.0.0.1:53"),
        ):
            file = Path(self.mktemp())
            file.write_text(text)
            self.assertEqual(str(NameServer.of_system(self.clock, str(file))), servers)
        self.assertRaises(ConnectionFailed, NameServer.of_system, self.clock, self.mktemp())

    def test_cancelled(self) -> None:
        """Who gives up gets no answer, and leaves no timer."""
        asking = self.server.addresses("a.example")
        self.questions.four.callback(answer(Record_A("192.0.2.1")))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.questions.six.errback(TimeoutError("x"))
