"""Tests of frp's hole punching over sockets in memory."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.errors import HolePunchingError, UnsuitablePathError
from relaykit.interfaces import IBatchedDatagramLeg, IDatagramLeg, IHoles, IHoleSocket
from relaykit.nat import hole
from relaykit.nat.allowance import SocketAllowance
from relaykit.nat.hole import DISCOVERY_S, Holes
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.paths import EARLY_MAX
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nathole.messages import DetectBehavior, NatHoleResp
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.natlab import Lab
from relaykit.values import Address, Ended, Secret
from tests.nat.fakes import BatchedDatagrams
from tests.nat.memory import MemoryNetwork

SERVER = [Address("203.0.113.2", 3478), Address("203.0.113.2", 3479)]
SECRET = Secret("abc")


class _HoleTestCase(SynchronousTestCase):
    most_searching = 300
    """Sockets that a client may listen on besides."""

    def setUp(self) -> None:
        self.lab = Lab(1, delay_s=0.02)
        self.lab.stun_server(SERVER)
        self.made = mock.Mock()

    def holes(self, number: int = 1, server: str = str(SERVER[0]), most: int = 1000, **nat: Any) -> Holes:
        """Those of a client behind a NAT of its own."""
        behind = self.lab.nat(f"198.51.100.{number}", **nat)
        network = MemoryNetwork(self.lab.machine(f"192.168.{number}.100", behind=behind), most)
        self.networks = [*getattr(self, "networks", []), network]
        reactor: Any = self.lab.reactor
        self.allowance = SocketAllowance(self.most_searching)
        info = NetworkInfo(network=network, entropy=self.lab.chance.randbytes, allowance=self.allowance)
        return Holes(reactor, info, server, self.streams)

    def streams(self, protocol: str) -> Any:
        """What makes streams over them."""
        if protocol == "none":
            raise UnsuitablePathError("a library is missing")
        return self.made

    def opened(self, holes: Holes, offers_interfaces: bool = True) -> Any:
        """A socket that was asked about."""
        opening = holes.open_socket(offers_interfaces)
        self.lab.run(10.0, until=lambda: opening.called)
        return self.successResultOf(opening)

    def response(self, role: str, peer: Any, **behavior: Any) -> NatHoleResp:
        """What the server tells of this peer."""
        return NatHoleResp(
            sid="s1",
            candidate_addrs=(str(peer.mapped[0]),),
            detect_behavior=DetectBehavior(role=role, **behavior),
        )

    def pair(self) -> tuple[Any, Any]:
        """Two legs with a hole between them: the sender's and the receiver's."""
        here, there = self.opened(self.holes(1)), self.opened(self.holes(2))
        receiving = there.punch(self.response("receiver", here, ttl=2), SECRET)
        self.lab.run(0.5)
        sending = here.punch(self.response("sender", there), SECRET)
        self.lab.run(5.0, until=lambda: sending.called and receiving.called)
        return self.successResultOf(sending), self.successResultOf(receiving)

    @property
    def open_sockets(self) -> int:
        """How many there are on all machines."""
        return sum(each.open for each in self.networks)


class OpenTests(_HoleTestCase):
    """What the peer must be told."""

    def test_interfaces(self) -> None:
        """Both answers, and the interfaces if they are offered, with the port of the socket."""
        holes = self.holes()
        self.assertTrue(verifyObject(IHoles, holes))
        opened = self.opened(holes)
        self.assertTrue(verifyObject(IHoleSocket, opened))
        self.assertEqual([each.host for each in opened.mapped], ["198.51.100.1"] * 2)
        self.assertEqual([each.host for each in opened.interfaces], ["192.168.1.100"])
        self.assertEqual(opened.interfaces[0].port, opened.mapped[0].port)
        self.assertEqual(self.opened(holes, offers_interfaces=False).interfaces, ())

    def test_prepared(self) -> None:
        """What streams need is loaded; that it cannot be is told to who wants a hole."""
        holes = self.holes()
        holes.prepare("quic", PeerRole.RESPONDER)
        self.made.prepare.assert_called_once_with(PeerRole.RESPONDER)
        holes.prepare("none", PeerRole.RESPONDER)

    def refused(self, holes: Holes) -> str:
        """Why there is no socket; none is left open."""
        opening = holes.open_socket(True)
        self.lab.run(30.0, until=lambda: opening.called)
        self.assertEqual(self.open_sockets, 0)
        return str(self.failureResultOf(opening, HolePunchingError).value)

    def test_silent_server(self) -> None:
        """A server that does not answer is named."""
        self.assertIn("203.0.113.9:3478: wait response", self.refused(self.holes(server="203.0.113.9:3478")))

    def test_one_address(self) -> None:
        """With a server that has no second address the NAT is taken for one that keeps its ports."""
        holes, seen = self.holes(), Address("198.51.100.1", 5)
        with mock.patch.object(hole, "ask", mock.AsyncMock(return_value=(seen,))):
            self.assertEqual(self.opened(holes).mapped, (seen, seen))

    def test_no_socket(self) -> None:
        """Without a descriptor there is none."""
        self.assertIn("too many open files", self.refused(self.holes(most=0)))

    def test_name_that_takes_long(self) -> None:
        """A name that is looked up for ever ends in time."""
        holes = self.holes(server="stun.example:3478")
        with mock.patch.object(self.networks[0], "call_in_thread", lambda function: Deferred()):
            self.assertIn(f"no answer within {DISCOVERY_S:g} s", self.refused(holes))

    def test_cancelled(self) -> None:
        """Who does not want it any more leaves nothing open."""
        opening = self.holes().open_socket(True)
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(self.open_sockets, 0)

    def test_closed(self) -> None:
        """A socket that is not used can be closed, twice."""
        opened = self.opened(self.holes())
        opened.close()
        opened.close()
        self.assertEqual(self.open_sockets, 0)


class PunchTests(_HoleTestCase):
    """From what the server has told to a leg, or not."""

    def test_punched(self) -> None:
        """Datagrams go both ways, and no probe is seen."""
        pair = self.pair()
        for near, far in (pair, pair[::-1]):
            self.assertTrue(verifyObject(IDatagramLeg, near))
            received = RecordingDatagrams(far)
            self.assertTrue(near.send(b"hello"))
            self.lab.run(1.0)
            self.assertEqual(received.got, [b"hello"])

    def test_many_sockets(self) -> None:
        """Of many sockets one is left; where not so many may be open, fewer do it."""
        here, there = self.opened(self.holes(1)), self.opened(self.holes(2, most=20))
        receiving = there.punch(self.response("receiver", here, listen_random_ports=256), SECRET)
        self.assertEqual(self.networks[1].open, 20)
        sending = here.punch(self.response("sender", there), SECRET)
        self.lab.run(5.0, until=lambda: sending.called and receiving.called)
        self.successResultOf(sending)
        self.assertEqual(self.successResultOf(receiving).peer, here.mapped[0])
        self.assertEqual(self.allowance.take(1000), self.most_searching)
        self.assertEqual(self.open_sockets, 2)

    def test_allowance(self) -> None:
        """Attempts of one client share the sockets that there may be, and give them back."""
        here, there = self.opened(self.holes(1)), self.opened(holes := self.holes(2))
        told = self.response("receiver", here, listen_random_ports=200)
        one, other = there.punch(told, SECRET), self.opened(holes).punch(told, SECRET)
        self.assertEqual(self.networks[1].open, 2 + self.most_searching)
        for each in (one, other):
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual(self.networks[1].open, 0)
        self.assertEqual(self.allowance.take(1000), self.most_searching)

    def test_silence(self) -> None:
        """A peer that is not there is told of, and nothing is left open."""
        here, there = self.opened(self.holes(1)), self.opened(self.holes(2))
        there.close()
        sending = here.punch(self.response("sender", there, read_timeout_ms=2000), SECRET)
        self.lab.run(30.0, until=lambda: sending.called)
        error = self.failureResultOf(sending, HolePunchingError).value
        self.assertEqual(str(error), "the other end was not heard within 2 s")
        self.assertEqual(self.open_sockets, 0)

    def test_other_secret(self) -> None:
        """A peer with another secret is not heard."""
        here, there = self.opened(self.holes(1)), self.opened(self.holes(2))
        receiving = there.punch(self.response("receiver", here), Secret("other"))
        sending = here.punch(self.response("sender", there), SECRET)
        self.lab.run(30.0, until=lambda: sending.called and receiving.called)
        self.failureResultOf(sending, HolePunchingError)
        self.failureResultOf(receiving, HolePunchingError)

    def test_refused(self) -> None:
        """What the server may not tell ends the attempt."""
        here = self.opened(self.holes(1))
        self.failureResultOf(here.punch(NatHoleResp(error="no"), SECRET), HolePunchingError)
        self.assertEqual(self.open_sockets, 0)

    def test_cancelled(self) -> None:
        """Cancelling closes all sockets."""
        here, there = self.opened(self.holes(1)), self.opened(self.holes(2))
        sending = here.punch(self.response("sender", there), SECRET)
        sending.cancel()
        self.failureResultOf(sending, CancelledError)
        there.close()
        self.assertEqual(self.open_sockets, 0)


class HoleLegTests(_HoleTestCase):
    """Datagrams through a hole."""

    def test_held(self) -> None:
        """Until somebody takes them, and while the leg is paused, the newest datagrams are kept."""
        near, far = self.pair()
        for number in range(EARLY_MAX + 3):
            near.send(b"%d" % number)
        self.lab.run(1.0)
        received = RecordingDatagrams(far)
        self.assertEqual(received.got, [b"%d" % number for number in range(3, EARLY_MAX + 3)])
        self.assertEqual(far.dropped, 3)
        far.pause()
        near.send(b"late")
        self.lab.run(1.0)
        self.assertEqual(received.got[-1], b"%d" % (EARLY_MAX + 2))
        far.resume()
        self.assertEqual(received.got[-1], b"late")

    def test_strangers(self) -> None:
        """Nobody else is heard."""
        _, far = self.pair()
        received = RecordingDatagrams(far)
        far._socket.receiver(b"junk", Address("198.51.100.9", 9), "")
        self.assertEqual(received.got, [])

    def test_answers_end(self) -> None:
        """Probes are answered until the peer speaks of something else; then they are its datagrams."""
        near, far = self.pair()
        received = RecordingDatagrams(far)
        probe = near._codec.encode(near._codec.decode(self.sniffed(far)))
        far._socket.receiver(probe, far.peer, "")
        self.assertEqual(received.got, [])
        for data in (b"other", probe):
            far._socket.receiver(data, far.peer, "")
        self.assertEqual(received.got, [b"other", probe])

    def test_together(self) -> None:
        """Datagrams are sent together, and those of the peer handed on together once its probes are over."""
        near, far = self.pair()
        self.assertTrue(verifyObject(IBatchedDatagramLeg, far))
        received = BatchedDatagrams()
        far.attach(received)
        probe = near._codec.encode(near._codec.decode(self.sniffed(far)))
        take = far._socket.batch_receiver
        take([probe, b"a", b"b"], far.peer, "")
        self.assertEqual((received.heard, received.batches), ([b"a", b"b"], []))
        take([b"c", probe], far.peer, "")
        take([b"junk", b"junk"], Address("198.51.100.9", 9), "")
        self.assertEqual((received.heard, received.batches), ([b"a", b"b"], [[b"c", probe]]))
        self.assertEqual(near.send_many([b"d", b"e"]), 2)
        self.lab.run(1.0)
        self.assertEqual(received.heard[2:], [b"d", b"e"])

    def sniffed(self, leg: Any) -> bytes:
        """A probe that the peer of a leg would send."""
        probe = leg._driver._core._answer
        return bytes(leg._codec.encode(type(probe)(transaction_id=probe.transaction_id, sid=probe.sid)))

    def test_closed(self) -> None:
        """Closing tells the receiver, once, closes the socket, and leaves no timer."""
        near, far = self.pair()
        received = RecordingDatagrams(far)
        far.close()
        far.close()
        self.assertEqual(received.lost, Ended.FINISHED)
        self.assertFalse(far.send(b"x"))
        self.assertEqual(far.dropped, 1)
        near.close()
        self.assertEqual(self.open_sockets, 0)
        self.lab.run(60.0)
