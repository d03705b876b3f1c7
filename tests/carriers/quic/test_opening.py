"""Tests of who comes to have streams over QUIC, and who does not."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.carriers.proving import PROOF_S
from relaykit.carriers.quic import opening
from relaykit.carriers.quic.adapter import Settings
from relaykit.carriers.quic.opening import (
    FRP_PROTOCOL,
    HANDSHAKE_S,
    IDLE_S,
    KEEPALIVE_S,
    PROTOCOL,
    RELAY_PROTOCOL,
    FrpQuicStreams,
    QuicStreams,
)
from relaykit.carriers.quic.path import MOST_UNPROVEN_BYTES, QuicPath
from relaykit.certificates.own import self_signed
from relaykit.errors import ConnectionFailed, PeerUnprovenError
from relaykit.interfaces import IDatagramStreams, ILegReceiver, IStreamLeg
from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.checks import PeerRole
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.values import Ended, Secret
from tests.carriers.quic.lines import SECRET, Accepting, Ends, Line, libraries, missing
from tests.certificates.test_own import NOW


class QuicStreamsTests(SynchronousTestCase):
    """Between two ends of relaykit."""

    skip = missing()

    def test_streams(self) -> None:
        """Both ends open streams to each other, whichever library each has, also over a bad line."""
        for one in libraries():
            for two in libraries():
                for loss, jitter_s in ((0.0, 0.0), (0.05, 0.01)):
                    ends = Ends(one, two, loss=loss, jitter_s=jitter_s).open()
                    for near, far in ((0, 1), (1, 0)):
                        ends.leg(near).write(b"hello")
                        ends.until(lambda ends=ends, far=far: ends.acceptors[far].legs)  # type: ignore[misc]
                        received = RecordingReceiver(ends.acceptors[far].legs[0])
                        ends.until(lambda received=received: received.data == b"hello")  # type: ignore[misc]
                    ends.close()
                    self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_provides(self) -> None:
        """Both kinds of streams are what a path asks for."""
        ends = Ends(libraries()[0])
        for kind in (QuicStreams, FrpQuicStreams):
            verifyObject(IDatagramStreams, kind(ends.network, ends.network.clock))
        ends.open().close()

    def test_loaded_ahead(self) -> None:
        """Both ends can have loaded what they need."""
        asked: list[None] = []
        self.patch(opening, "load_ahead", lambda: asked.append(None))
        network = MemoryNetwork()
        for kind in (QuicStreams, FrpQuicStreams):
            for role in PeerRole:
                kind(network, network.clock).prepare(role)
        self.assertEqual(len(asked), 4)

    def test_another_secret(self) -> None:
        """Ends with different secrets both learn that, and nothing stays open."""
        ends = Ends(libraries()[0], secrets=(SECRET, Secret("another")))
        failures = [each.addErrback(lambda failure: failure.type) for each in ends.opening]
        ends.rest(10.0)
        self.assertEqual([self.successResultOf(each) for each in failures], [PeerUnprovenError] * 2)
        self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_man_in_the_middle(self) -> None:
        """Who stands between with a certificate of its own is found out, though it passes all bytes on."""
        library = libraries()[0]
        ends = Ends(library)
        network, clock = ends.network, ends.network.clock
        # The middle: a server for the initiator, and a client of the responder, with the first stream joined.
        for unused in ends.line.legs:
            unused.close()
        lines = Line(network), Line(network)
        opening = [
            streams.open_path(leg, role, SECRET, Accepting())
            for streams, leg, role in zip(
                ends.streams, (lines[0].legs[0], lines[1].legs[1]), PeerRole, strict=True
            )
        ]
        pair = self_signed(NOW)
        settings = (
            Settings(protocols=(PROTOCOL,), idle_s=IDLE_S, key_pair=pair),
            Settings(protocols=(PROTOCOL,), idle_s=IDLE_S, is_client=True),
        )
        middle = [
            QuicPath(
                library.connection(each), library, leg, network, clock, KEEPALIVE_S, PROTOCOL, proving=True
            )
            for each, leg in zip(settings, (lines[0].legs[1], lines[1].legs[0]), strict=True)
        ]
        for each in middle:
            each.start()
        middle[1].handshaken.addCallback(lambda _: middle[1].open_control())
        ends.until(lambda: all(each.control.called for each in middle))
        legs = [self.successResultOf(each.control) for each in middle]
        for leg, other in (legs, reversed(legs)):
            leg.attach(_PassingOn(other))
        failures = [each.addErrback(lambda failure: failure.type) for each in opening]
        ends.rest(40.0)
        self.assertEqual([self.successResultOf(each) for each in failures], [PeerUnprovenError] * 2)
        for failed in ends.opening:
            failed.addErrback(lambda _: None)

    def test_silence(self) -> None:
        """A peer that says nothing is waited for so long, and the path is closed then."""
        for role in PeerRole:
            ends = Ends(libraries()[0])
            ends.line.cut = True
            opened = ends.opening[list(PeerRole).index(role)]
            failed = opened.addErrback(lambda failure: failure.type)
            ends.opening[list(PeerRole.__members__.values()).index(role.other)].addErrback(lambda _: None)
            ends.rest(HANDSHAKE_S - 0.5)
            self.assertNoResult(failed)
            ends.rest(PROOF_S)
            self.assertIs(self.successResultOf(failed), ConnectionFailed)
            self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Whoever gives up leaves nothing open."""
        ends = Ends(libraries()[0])
        ends.opening[1].addErrback(lambda _: None)
        ends.rest(0.005)
        ends.opening[0].cancel()
        self.failureResultOf(ends.opening[0], CancelledError)
        ends.rest(HANDSHAKE_S + PROOF_S)
        self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_another_protocol(self) -> None:
        """An end of frp and one of relaykit do not come together."""
        ends = Ends(libraries()[0])
        ends.opening[0].addErrback(lambda _: None)
        ends.opening[0].cancel()
        line = Line(ends.network)
        frp = FrpQuicStreams(ends.network, ends.network.clock)
        opening = [
            frp.open_path(line.legs[0], PeerRole.INITIATOR, SECRET, Accepting()),
            ends.streams[1].open_path(line.legs[1], PeerRole.RESPONDER, SECRET, Accepting()),
        ]
        failures = [each.addErrback(lambda failure: failure.type) for each in opening]
        ends.opening[1].addErrback(lambda _: None)
        ends.rest(HANDSHAKE_S + PROOF_S)
        self.assertEqual([self.successResultOf(each) for each in failures], [ConnectionFailed] * 2)

    def test_unproven_streams(self) -> None:
        """A client that opens streams before it has proven anything is let go."""
        ends = Ends(libraries()[0])
        for each in ends.opening:
            each.addErrback(lambda _: None)
        library, line = libraries()[0], Line(ends.network)
        opened = ends.streams[1].open_path(line.legs[1], PeerRole.RESPONDER, SECRET, Accepting())
        client = QuicPath(
            library.connection(Settings(protocols=(PROTOCOL,), idle_s=IDLE_S, is_client=True)),
            library,
            line.legs[0],
            ends.network,
            ends.network.clock,
            KEEPALIVE_S,
        )
        client.start()
        ends.until(lambda: client.handshaken.called)
        legs = [self.successResultOf(client.open_leg()) for _ in range(2)]
        legs[1].write(b"first")
        ends.rest(1.0)
        self.failureResultOf(opened, ConnectionFailed)
        ends.close()

    def test_much_before_a_proof(self) -> None:
        """Who sends much and proves nothing is let go: what a library keeps of it has no other bound."""
        ends = Ends(libraries()[0])
        for each in ends.opening:
            each.addErrback(lambda failure: failure.type)
        for _ in range(MOST_UNPROVEN_BYTES // 1000 + 1):
            ends.line.legs[1].arrive(bytes(1000))
        self.assertIs(self.successResultOf(ends.opening[1]), ConnectionFailed)
        ends.rest(PROOF_S)
        ends.close()


@implementer(ILegReceiver)
class _PassingOn:
    """Writes to another leg what arrives on one."""

    def __init__(self, other: IStreamLeg) -> None:
        self._other = other

    def data_received(self, data: Buffer) -> None:
        """Passes it on."""
        self._other.write(data)

    def end_received(self) -> None:
        """Nothing."""

    def leg_lost(self, reason: Ended) -> None:
        """Nothing."""


class FrpQuicStreamsTests(SynchronousTestCase):
    """As frp has them."""

    skip = missing()

    def test_nothing_but_payload(self) -> None:
        """A stream carries its payload and nothing else, from its first byte; no secret is needed."""
        ends = Ends(libraries()[0], frp=True, secrets=(Secret(""), Secret("other"))).open()
        ends.leg().write(b"payload")
        ends.until(lambda: ends.acceptors[1].legs)
        received = RecordingReceiver(ends.acceptors[1].legs[0])
        ends.until(lambda: received.data)
        self.assertEqual(received.data, b"payload")
        ends.close()

    def test_silence(self) -> None:
        """A peer that says nothing, or nothing that begins a connection, is waited for so long."""
        for role in PeerRole:
            ends = Ends(libraries()[0], frp=True)
            ends.line.cut = True
            place = list(PeerRole).index(role)
            failed = ends.opening[place].addErrback(lambda failure: failure.type)
            ends.opening[1 - place].addErrback(lambda _: None)
            for junk in (b"", b"junk", bytes(1300)):
                ends.line.legs[place].arrive(junk)
            ends.rest(HANDSHAKE_S - 0.5)
            self.assertNoResult(failed)
            ends.rest(1.0)
            self.assertIs(self.successResultOf(failed), ConnectionFailed)
            self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_lost_before(self) -> None:
        """A way that is lost before the client has said anything fails at once."""
        ends = Ends(libraries()[0], frp=True)
        ends.line.cut = True
        ends.opening[0].addErrback(lambda _: None)
        ends.line.legs[1].close()
        ends.network.flush()
        self.failureResultOf(ends.opening[1], ConnectionFailed)
        ends.rest(HANDSHAKE_S)
        self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Whoever gives up leaves nothing open, whether the peer was heard or not."""
        for seconds in (0.0, 0.015):
            ends = Ends(libraries()[0], frp=True)
            ends.rest(seconds)
            for place in (1, 0):
                receiver = RecordingDatagrams(ends.line.legs[place])
                ends.opening[place].cancel()
                self.failureResultOf(ends.opening[place], CancelledError)
                ends.network.flush()
                self.assertIs(receiver.lost, Ended.FINISHED)
            ends.rest(HANDSHAKE_S)
            self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_kept_alive(self) -> None:
        """A path that nobody uses lives on; one whose peer is gone is lost after a while."""
        ends = Ends(libraries()[0], frp=True).open()
        lost = ends.paths[0].when_lost()
        ends.rest(3 * IDLE_S)
        self.assertNoResult(lost)
        ends.line.cut = True
        ends.rest(IDLE_S + 2 * KEEPALIVE_S)
        self.assertIs(self.successResultOf(lost), Ended.TIMEOUT)
        self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_names(self) -> None:
        """The protocols cannot be mistaken for each other."""
        self.assertEqual((FRP_PROTOCOL, PROTOCOL, RELAY_PROTOCOL), ("frp", "relaykit", "relaykit-relay"))
