"""Ports that several share, with connections in memory."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane import shared_ports
from relaykit.dataplane.listening import ListenFailed, PortInUse
from relaykit.dataplane.shared_ports import FIRST_BYTES_TIMEOUT_S, SharedPorts
from relaykit.interfaces import ILegAcceptor, IListeningPort, IStreamLeg
from relaykit.sansio.contract import Recognizer
from relaykit.sansio.parsers.recognizing import Opening, Rank
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Ended, Origin

HTTP, TLS = Opening(b"GET ", b"POST "), Opening(b"\x16")


@implementer(ILegAcceptor)
class Taking:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.legs: list[IStreamLeg] = []
        self.broken = False

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        """Takes it."""
        if self.broken:
            raise ZeroDivisionError
        self.legs.append(leg)


@implementer(IListeningPort)
@define(eq=False)
class Listening:
    """An open port of the test."""

    address: Address
    acceptor: ILegAcceptor
    closed: bool = field(default=False, init=False)

    def close(self) -> None:
        self.closed = True


class SharedPortsTests(SynchronousTestCase):
    """Who gets which connection."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.opened: list[Listening] = []
        self.ports = SharedPorts(self.listen, self.network.clock)
        self.http, self.https, self.rest = Taking(), Taking(), Taking()

    def listen(self, host: str, port: int, acceptor: ILegAcceptor) -> Listening:
        """Opens a port, unless another program has it."""
        if port == 1:
            raise PortInUse(f"cannot listen on {host}:1: another program listens there")
        self.opened.append(Listening(Address(host, port or 4000), acceptor))
        return self.opened[-1]

    def claim(
        self,
        taking: Taking,
        recognizer: Recognizer | None = None,
        port: int = 80,
        *,
        takes_rest: bool = False,
    ) -> IListeningPort:
        """A part of a port."""
        return self.ports.claim("0.0.0.0", port, taking, "vhostHTTPPort", recognizer, takes_rest)

    def dial(self, data: bytes = b"", port: int = 0) -> tuple[MemoryLeg, RecordingReceiver]:
        """A user of a port, who says something."""
        user, leg = self.network.pair()
        self.opened[port].acceptor.leg_accepted(leg, Origin(leg.peer))
        user.write(data)
        self.network.flush()
        return user, RecordingReceiver(user)

    def test_alone(self) -> None:
        """Who takes all of a port gets connections unread and at once; the port is its own."""
        port = self.claim(self.rest)
        verifyObject(IListeningPort, port)
        self.dial()
        self.assertEqual((len(self.rest.legs), self.network.clock.getDelayedCalls()), (1, []))
        self.assertEqual(port.address, Address("0.0.0.0", 80))
        port.close()
        port.close()
        self.assertTrue(self.opened[0].closed)

    def test_told_apart(self) -> None:
        """Each gets what it recognizes, unread, in whatever portions it comes; somebody takes the rest."""
        self.claim(self.rest)
        self.claim(self.http, HTTP)
        self.claim(self.https, TLS)
        self.assertEqual(len(self.opened), 1)
        for data, taking in ((b"GET / ", self.http), (b"\x16\x03", self.https), (b"SSH-", self.rest)):
            user, _ = self.dial(data[:1])
            user.write(data[1:])
            self.network.flush()
            (leg,) = taking.legs
            received = RecordingReceiver(leg)
            self.network.flush()
            self.assertEqual(received.data, data)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_first_come(self) -> None:
        """Of two that recognize the same, the one that came first has it, however the bytes are cut."""
        self.claim(self.http, Opening(b"GET /a"))
        self.claim(self.https, Opening(b"GET "))
        user, _ = self.dial(b"GET ")
        self.assertEqual((self.http.legs, self.https.legs), ([], []))
        user.write(b"/a")
        self.network.flush()
        self.assertEqual((len(self.http.legs), len(self.https.legs)), (1, 0))

    def test_rank(self) -> None:
        """Who takes some names of a protocol is asked before who takes the protocol, whoever came first."""
        self.claim(self.https, Opening(b"GET "))
        self.ports.claim("", 80, self.http, "vhostHTTPSPort", Opening(b"GET /a"), rank=Rank.NAME)
        self.dial(b"GET /a")
        self.dial(b"GET /b")
        self.assertEqual((len(self.http.legs), len(self.https.legs)), (1, 1))

    def test_nobody(self) -> None:
        """A connection that nobody takes is closed and counted."""
        self.claim(self.http, HTTP)
        _, end = self.dial(b"SSH-")
        self.network.flush()
        self.assertTrue(end.ended)
        self.assertEqual(self.port.refused, 1)

    @property
    def port(self) -> Any:
        """The first port, with its figures."""
        return self.opened[0].acceptor

    def test_silent(self) -> None:
        """Who does not say in time what it is is closed; there is one timer for all, and none at the end."""
        self.claim(self.http, HTTP)
        _, first = self.dial()
        self.network.advance(FIRST_BYTES_TIMEOUT_S / 2)
        user, second = self.dial(b"GE")
        self.assertEqual(len(self.network.clock.getDelayedCalls()), 1)
        self.network.advance(FIRST_BYTES_TIMEOUT_S / 2)
        self.assertEqual((first.ended, second.ended, self.port.refused), (True, False, 1))
        user.write(b"T ")
        self.network.flush()
        self.assertEqual((len(self.http.legs), self.network.clock.getDelayedCalls()), (1, []))

    def test_gone(self) -> None:
        """Who leaves before it said anything is forgotten."""
        self.claim(self.http, HTTP)
        user, _ = self.dial()
        user.abort()
        self.network.flush()
        self.assertEqual((self.port.refused, self.network.clock.getDelayedCalls()), (1, []))

    def test_flood(self) -> None:
        """Only so many may be silent at the same time: who has been for longest makes room."""
        self.patch(shared_ports, "MOST_UNCLAIMED", 2)
        self.claim(self.http, HTTP)
        ends = [self.dial()[1] for _ in range(3)]
        self.network.flush()
        self.assertEqual([end.ended for end in ends], [True, False, False])

    def test_close(self) -> None:
        """A part that is closed gets no more; the port lives on with the others, and ends with the last."""
        http, https = self.claim(self.http, HTTP), self.claim(self.https, TLS)
        _, silent = self.dial()
        http.close()
        _, end = self.dial(b"GET / ")
        self.network.flush()
        self.assertEqual((self.http.legs, end.ended, self.opened[0].closed), ([], True, False))
        https.close()
        self.network.flush()
        self.assertEqual((silent.ended, self.opened[0].closed), (True, True))
        self.claim(self.http)
        self.assertEqual(len(self.opened), 2)

    def test_conflicts(self) -> None:
        """Two who want all of a port, or another program there: the text names key, address and port."""
        self.claim(self.rest)
        error = self.assertRaises(PortInUse, self.claim, self.http)
        self.assertEqual(str(error), "vhostHTTPPort: cannot listen on 0.0.0.0:80: vhostHTTPPort is the same")
        error = self.assertRaises(ListenFailed, self.claim, self.http, None, 1)
        self.assertEqual(
            str(error), "vhostHTTPPort: cannot listen on 0.0.0.0:1: another program listens there"
        )

    def test_takes_rest(self) -> None:
        """Who takes the rest, too, where nobody has it, gets what nobody else recognizes."""
        for first in (True, False):
            self.setUp()
            parts = [self.claim(self.http, HTTP, takes_rest=True)] if first else []
            parts.append(self.claim(self.https, TLS))
            if not first:
                parts.append(self.claim(self.http, HTTP, takes_rest=True))
            for data in (b"GET / ", b"SSH-", b"\x16\x03"):
                self.dial(data)
            self.assertEqual((len(self.http.legs), len(self.https.legs)), (2, 1))
            self.assertEqual(len(self.opened), 1)
            error = self.assertRaises(PortInUse, self.claim, self.rest)
            self.assertIn("vhostHTTPPort is the same", str(error))
            for part in parts:
                part.close()
            self.assertTrue(self.opened[0].closed)

    def test_rest_taken(self) -> None:
        """Where somebody has the rest already it gets what it recognizes, as on a port of somebody else."""
        self.claim(self.rest)
        part = self.claim(self.http, HTTP, takes_rest=True)
        for data in (b"GET / ", b"SSH-"):
            self.dial(data)
        self.assertEqual((len(self.http.legs), len(self.rest.legs)), (1, 1))
        part.close()
        self.dial(b"GET / ")
        self.assertEqual((len(self.http.legs), len(self.rest.legs)), (1, 2))

    def test_rest_free_again(self) -> None:
        """Once it is closed somebody else may have the rest."""
        self.claim(self.https, TLS)
        self.claim(self.http, HTTP, takes_rest=True).close()
        self.claim(self.rest)
        self.dial(b"GET / ")
        self.assertEqual((len(self.http.legs), len(self.rest.legs)), (0, 1))

    def test_same_address(self) -> None:
        """Every address has several names, a picked port is nobody else's."""
        self.claim(self.rest)
        self.ports.claim("::", 80, self.http, "vhostHTTPPort", HTTP)
        self.assertEqual(len(self.opened), 1)
        self.claim(self.rest, None, 0)
        self.claim(self.http, None, 0)
        self.assertEqual(len(self.opened), 3)

    def test_adopted(self) -> None:
        """A port that somebody else has opened is shared through it: it knows what comes first."""
        shared: list[Any] = []

        class Sharing:
            """A bind port."""

            def share(self, recognizer: Recognizer, acceptor: ILegAcceptor, rank: Rank) -> None:
                """Hands on."""
                shared.append((recognizer, acceptor))

            def ignore(self, recognizer: Recognizer) -> None:
                """Does no longer."""
                shared.remove((recognizer, http.http))

        http = self
        self.ports.adopt("", Listening(Address("0.0.0.0", 7000), self.rest), Sharing())
        for takes_rest in (False, True):
            part = self.claim(self.http, HTTP, 7000, takes_rest=takes_rest)
            self.assertEqual((shared, self.opened, part.address.port), ([(HTTP, self.http)], [], 7000))
            part.close()
            self.assertEqual(shared, [])
        error = self.assertRaises(PortInUse, self.claim, self.rest, None, 7000)
        self.assertIn("the port that clients dial", str(error))

    def test_defect(self) -> None:
        """A party that raises loses the connection, and the port goes on."""
        self.claim(self.http, HTTP)
        self.http.broken = True
        _, end = self.dial(b"GET / ")
        self.network.flush()
        self.assertIs(end.lost, Ended.RESET)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
