"""UDP ports behind load balancers, with datagrams in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane import sources
from relaykit.dataplane.load_balancers import TOLD_AGAIN_S, LoadBalancers
from relaykit.dataplane.sources import SOURCE_IDLE_S
from relaykit.interfaces import IDatagramAcceptor, IDatagramLeg, IListeningPort
from relaykit.sansio.parsers.proxy_protocol import make_proxy_header
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import MemoryPorts
from relaykit.values import Address, Ended, Origin
from tests.dataplane.fakes import AcceptingDatagrams
from tests.dataplane.test_load_balancers import BALANCER, STRANGER, TRUSTED

PORT = 5353
HERE = Address("198.51.100.1", 53)
ALICE, BOB = (Origin(Address("192.0.2.7", port), HERE) for port in (1, 2))
NOBODY = Origin()


def announced(origin: Origin, data: bytes) -> bytes:
    """A datagram of this user, as a load balancer sends it."""
    return make_proxy_header("v2", origin, datagrams=True) + data


class BalancedDatagramPortTests(SynchronousTestCase):
    """Whose datagrams come from load balancers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.ports = MemoryPorts(self.network)
        self.balancers = LoadBalancers(TRUSTED, self.clock)
        self.accepting = AcceptingDatagrams()
        self.port = self.balancers.listen_datagrams(
            self.network, self.ports.listen_datagrams, "", PORT, self.accepting
        )
        self.balancer, self.answers = self.dial(BALANCER)

    def dial(self, source: Address) -> tuple[IDatagramLeg, RecordingDatagrams]:
        """Somebody who sends from there, and what comes back."""
        leg = self.ports.dial_datagrams(PORT, source)
        return leg, RecordingDatagrams(leg)

    def say(self, *datagrams: bytes, by: IDatagramLeg | None = None) -> None:
        """A load balancer sends these."""
        for each in datagrams:
            (by or self.balancer).send(each)
        self.network.flush()

    def got(self) -> list[list[bytes]]:
        """What has come from each user, in their order, since the last look."""
        return [RecordingDatagrams(leg).got for leg in self.accepting.legs]

    def test_interfaces(self) -> None:
        """The port is like any other: it has its address, and closing it closes it."""
        verifyObject(IListeningPort, self.port)
        verifyObject(IDatagramAcceptor, self.port)
        self.assertEqual(self.port.address.port, PORT)

    def test_users(self) -> None:
        """Each user is one, over the one socket, and gets its answers over it; headers are taken off."""
        self.say(
            announced(ALICE, b"a1"), announced(BOB, b"b1"), announced(ALICE, b"a2"), announced(ALICE, b"")
        )
        self.assertEqual(self.accepting.origins, [ALICE, BOB])
        self.assertEqual(
            [(leg.peer, leg.host) for leg in self.accepting.legs], [(ALICE.source, HERE), (BOB.source, HERE)]
        )
        self.assertEqual(self.got(), [[b"a1", b"a2", b""], [b"b1"]])
        for leg in self.accepting.legs:
            leg.send(b"for %d" % leg.peer.port)
        self.network.flush()
        self.assertEqual(self.answers.got, [b"for 1", b"for 2"])

    def test_sockets(self) -> None:
        """A user who comes over another socket is another one: that is where the answers are waited for."""
        other, answers = self.dial(Address(BALANCER.host, BALANCER.port + 1))
        self.say(announced(ALICE, b"x"))
        self.say(announced(ALICE, b"y"), by=other)
        self.assertEqual(self.got(), [[b"x"], [b"y"]])
        self.accepting.legs[1].send(b"back")
        self.network.flush()
        self.assertEqual((self.answers.got, answers.got), ([], [b"back"]))

    def test_own(self) -> None:
        """What a load balancer says for itself comes from there."""
        self.say(announced(NOBODY, b"ping"))
        self.assertEqual([each.source for each in self.accepting.origins], [BALANCER])
        self.assertEqual(self.got(), [[b"ping"]])

    def test_strangers(self) -> None:
        """A header of anybody else is what a user says."""
        stranger, _ = self.dial(STRANGER)
        self.say(announced(ALICE, b"x"), by=stranger)
        self.assertEqual([each.source for each in self.accepting.origins], [STRANGER])
        self.assertEqual(self.got(), [[announced(ALICE, b"x")]])

    def test_dropped(self) -> None:
        """A datagram without a header is dropped, also behind one with one; that is told once in a while."""
        with capturedLogs() as logged:
            self.say(
                announced(ALICE, b"x"), b"hello", announced(ALICE, b"")[:-1], make_proxy_header("v2", ALICE)
            )
            self.assertEqual((self.got(), self.balancers.dropped), ([[b"x"]], 3))
            self.clock.advance(TOLD_AGAIN_S)
            self.say(b"again")
        self.assertEqual(
            [(each["log_level"], each["problem"], each["peer"], each["count"]) for each in logged],
            [(LogLevel.warn, "proxy-header", BALANCER, count) for count in (1, 4)],
        )

    def test_left(self) -> None:
        """A user whose leg was closed, or who was silent for long, is new when it comes again."""
        self.say(announced(ALICE, b"1"), announced(BOB, b"1"))
        self.accepting.legs[0].close()
        self.say(announced(ALICE, b"2"))
        self.assertEqual(self.accepting.origins, [ALICE, BOB, ALICE])
        self.assertEqual(self.got()[1:], [[b"1"], [b"2"]])
        lost = RecordingDatagrams(self.accepting.legs[1])
        self.network.advance(2 * SOURCE_IDLE_S)
        self.assertEqual(lost.lost, Ended.TIMEOUT)
        self.say(announced(BOB, b"3"))
        self.assertEqual(self.got()[3:], [[b"3"]])

    def test_bound(self) -> None:
        """There are so many users, and no more: the longest silent make room."""
        self.patch(sources, "MOST_SOURCES", 1)
        with capturedLogs():
            self.say(announced(ALICE, b"1"), announced(BOB, b"1"))
        self.assertEqual([RecordingDatagrams(leg).lost for leg in self.accepting.legs], [Ended.REFUSED, None])

    def test_refused(self) -> None:
        """A user whom nobody takes can try again; a defect costs this one, and is logged."""
        self.accepting.broken = True
        self.say(announced(ALICE, b"1"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.accepting.broken = False
        self.say(announced(ALICE, b"2"))
        self.assertEqual(self.got(), [[b"2"]])

    def test_lost(self) -> None:
        """Users go with the socket of their load balancer, and all with the port."""
        other, _ = self.dial(Address(BALANCER.host, BALANCER.port + 1))
        self.say(announced(ALICE, b"1"), announced(BOB, b"1"))
        self.say(announced(ALICE, b"1"), by=other)
        users = [RecordingDatagrams(leg) for leg in self.accepting.legs]
        self.balancer.close()
        self.network.flush()
        self.assertEqual([each.lost for each in users], [Ended.FINISHED, Ended.FINISHED, None])
        self.port.close()
        self.network.flush()
        self.assertEqual([each.lost for each in users], [Ended.FINISHED, Ended.FINISHED, Ended.STOPPED])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(
        st.lists(
            st.binary(max_size=80) | st.binary(max_size=40).map(lambda each: announced(ALICE, each)),
            max_size=9,
        )
    )
    def test_junk(self, datagrams: list[bytes]) -> None:
        """Whatever comes is of the user that it says, or dropped."""
        self.setUp()
        with capturedLogs():
            self.say(*datagrams)
        delivered = sum(map(len, self.got()))
        self.assertEqual(delivered + self.balancers.dropped, len(datagrams))
        self.port.close()
        self.network.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])
