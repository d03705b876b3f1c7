"""What holds for both roles, and for both ends together."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.control.events import (
    LoggedIn,
    MessageReceived,
    PeerPinged,
    ProxyRefused,
    ProxyRegistered,
    ProxyWithdrawn,
    RegistrationRequested,
    SessionEnded,
    SignalReceived,
    WorkRequested,
)
from relaykit.sansio.control.server_control import ServerControl
from relaykit.sansio.control.server_opening import FirstMessage
from relaykit.sansio.control.session import (
    ACTORS,
    MOST_MESSAGES,
    TRANSITIONS,
    ControlRole,
    ControlSession,
    ControlState,
    ControlStep,
    Heartbeat,
)
from relaykit.sansio.nathole.messages import NAT_HOLE_MESSAGES, NatHoleClient, NatHoleResp
from relaykit.sansio.wire.framing import V1, V2, Framing
from relaykit.sansio.wire.messages import FREE_NUMBERS, Message
from relaykit.testing.pair import byte_by_byte, whole
from relaykit.values import Ended
from tests.sansio.control.ends import (
    BOTH,
    ServerEnd,
    client,
    established,
    opened,
    sent,
    server,
)

HEARTBEAT = Heartbeat(interval_s=30.0, timeout_s=90.0)


class TableTests(SynchronousTestCase):
    """The table of transitions is whole."""

    def test_every_state_is_reached(self) -> None:
        """Each state is where a role begins or some step leads, and each but the last can be left."""
        self.assertEqual(
            set(TRANSITIONS.values()) | {ControlState.HELLO_SENT, ControlState.VERIFYING}, set(ControlState)
        )
        self.assertEqual({state for state, _ in TRANSITIONS}, set(ControlState) - {ControlState.ENDED})

    def test_every_step_has_an_actor(self) -> None:
        """It is known of each step whose it is, and each is possible somewhere."""
        self.assertEqual(set(ACTORS), set(ControlStep))
        self.assertEqual({step for _, step in TRANSITIONS}, set(ControlStep))

    def test_every_state_can_end(self) -> None:
        """Whatever state a session is in, either side can end it."""
        for state in set(ControlState) - {ControlState.ENDED}:
            self.assertEqual(TRANSITIONS[state, ControlStep.END], ControlState.ENDED)
        self.assertIsNone(ACTORS[ControlStep.END])

    def test_roles(self) -> None:
        """The two ends are the two roles."""
        self.assertEqual((ClientControl.role, ServerControl.role), (ControlRole.CLIENT, ControlRole.SERVER))
        self.assertTrue(issubclass(ClientControl, ControlSession))


class Wave(Message, frozen=True, kw_only=True):
    """A message of a foreign proxy type."""

    type_byte = None
    number = FREE_NUMBERS.start

    text: str = ""


class TypeMessagesTests(SynchronousTestCase):
    """Messages of proxy types, which pass a session unread."""

    def test_both_ways(self) -> None:
        """Each end is told those that it understands, from then on and before there is a session."""
        for framing in BOTH:
            pair = established(framing)
            near, far = pair.near.core, pair.far.core.session
            assert far is not None
            for core in (near, far):
                core.understand(NAT_HOLE_MESSAGES)
            near.send(NatHoleClient(sid="1"))
            far.send(NatHoleResp(sid="2"))
            pair.settle()
            self.assertEqual(pair.far.events, [MessageReceived(NatHoleClient(sid="1"))])
            self.assertEqual(pair.near.events, [MessageReceived(NatHoleResp(sid="2"))])
            self.assertEqual((near.state, far.state), (ControlState.ESTABLISHED,) * 2)

    def test_early(self) -> None:
        """What a client says before its login is answered is told, too, if it was to be understood before."""
        core = client(V2)
        far = server(opened(sent(core), frozenset()))
        far.understand([Wave])
        core.understand([Wave])
        far.accept("0123456789abcdef", 0.0)
        core.receive(sent(far), 0.0)
        core.send(Wave(text="hello"))
        far.events()
        far.receive(sent(core), 0.0)
        self.assertEqual(far.events(), [MessageReceived(Wave(text="hello"))])

    def test_not_understood(self) -> None:
        """Those of frp's and of other packages that an end does not know are skipped."""
        pair = established(V2)
        pair.near.core.send(NatHoleClient(sid="1"))
        pair.near.core.send(Wave(text="hello"))
        pair.near.core.register("p", "tcp", {})
        pair.settle()
        self.assertEqual(pair.far.events, [RegistrationRequested("p", "tcp", {})])

    def test_old_wire(self) -> None:
        """The first version of the wire has no messages but frp's; the session goes on."""
        pair = established(V1)
        self.assertRaises(LocalProtocolError, pair.near.core.send, Wave())
        self.assertIs(pair.near.core.state, ControlState.ESTABLISHED)

    def test_when(self) -> None:
        """They are of an established session; one that has ended says nothing."""
        core = client(V2)
        self.assertRaises(LocalProtocolError, core.send, Wave())
        core.close()
        sent(core)
        core.send(Wave())
        self.assertEqual(sent(core), b"")


class BothEndsTests(SynchronousTestCase):
    """Both ends, wired to each other in memory."""

    def test_login(self) -> None:
        """A login succeeds over a slow network, whole and byte by byte."""
        for framing in BOTH:
            for deliver in (whole, byte_by_byte):
                pair = established(framing, deliver=deliver, latency=0.2)
                self.assertEqual(pair.near.core.state, ControlState.ESTABLISHED)
                assert pair.far.core.session is not None
                self.assertEqual(pair.far.core.session.state, ControlState.ESTABLISHED)
                self.assertEqual(pair.near.core.extensions, pair.far.core.session.extensions)

    def test_heartbeats(self) -> None:
        """Heartbeats keep both ends alive for hours, authenticated or not."""
        scopes: tuple[Scope, ...]
        for framing in BOTH:
            for scopes in ((), (Scope.HEARTBEATS,)):
                pair = established(
                    framing,
                    near=partial(client, heartbeat=HEARTBEAT, scopes=scopes),
                    far=partial(server, heartbeat=HEARTBEAT, scopes=scopes),
                    latency=0.5,
                )
                pair.advance(7200.0)
                self.assertEqual(pair.near.events, [])
                self.assertEqual(pair.far.events, [PeerPinged()] * 240)

    def test_dead_server(self) -> None:
        """A server that reads no more is noticed within the timeout."""
        pair = established(V2, near=partial(client, heartbeat=HEARTBEAT))
        begin = pair.now
        core = pair.near.core
        while core.state is ControlState.ESTABLISHED:
            wakeup = core.next_wakeup()
            assert wakeup is not None
            core.wake(wakeup)
        self.assertEqual(wakeup, begin + 90.0)

    def test_portions(self) -> None:
        """So many messages are dealt with at once; the others wait, and are told in order."""
        for framing in BOTH:
            pair = established(framing)
            near, far = pair.near.core, pair.far.core
            names = [f"proxy {number}" for number in range(5 * MOST_MESSAGES)]
            for name in names:
                near.register(name, "tcp", {})
            far.receive(b"".join(map(bytes, near.to_send(0.0))), 0.0)
            events = list(far.events())
            self.assertEqual(len(events), MOST_MESSAGES)
            while far.has_input:
                far.receive(b"", 0.0)
                more = far.events()
                self.assertLessEqual(len(more), MOST_MESSAGES)
                events += more
            self.assertEqual([event.name for event in events], names)

    def test_portions_end(self) -> None:
        """Nothing waits of a session that has ended."""
        pair = established(V2)
        for _ in range(2 * MOST_MESSAGES):
            pair.near.core.register("a", "tcp", {})
        far = pair.far.core
        far.receive(b"".join(map(bytes, pair.near.core.to_send(0.0))), 0.0)
        self.assertTrue(far.has_input)
        assert far.session is not None
        far.session.close()
        self.assertFalse(far.has_input)

    def test_close(self) -> None:
        """When one end closes, the other learns it from the end of the connection."""
        pair = established(V1)
        pair.near.core.close(Ended.STOPPED)
        pair.end_near()
        pair.settle()
        self.assertEqual(pair.near.events, [SessionEnded(Ended.STOPPED)])
        self.assertEqual(pair.far.events, [SessionEnded(Ended.FINISHED, "the peer closed the connection")])


class SessionModel(RuleBasedStateMachine):
    """Both ends and two queues of what each must yet tell; bytes travel in any portions."""

    def __init__(self) -> None:
        super().__init__()
        self.near: ClientControl
        self.far: ServerEnd
        self.to_far = bytearray()
        self.to_near = bytearray()
        self.near_will_tell: deque[Any] = deque()
        self.far_will_tell: deque[Any] = deque()
        self.accepted = False
        self.number = 0

    @initialize(framing=st.sampled_from([V1, V2]))
    def begin(self, framing: Framing) -> None:
        """A connection is made."""
        self.near = client(framing)
        self.far = ServerEnd(self.make)
        self.collect()

    def make(self, first: FirstMessage) -> ServerControl:
        """The server takes the login, whose event is taken here."""
        session = server(first)
        session.events()
        return session

    def collect(self) -> None:
        """Takes output and events of both ends, and compares the events."""
        self.to_far += sent(self.near)
        self.to_near += b"".join(bytes(piece) for piece in self.far.to_send(0.0))
        for event in self.near.events():
            assert event == self.near_will_tell.popleft()
        for event in self.far.events():
            assert event == self.far_will_tell.popleft()

    @property
    def session(self) -> ServerControl | None:
        """The server's session, once there is one."""
        return self.far.session

    @precondition(lambda self: self.to_far)
    @rule(data=st.data())
    def travel_to_far(self, data: st.DataObject) -> None:
        """Some bytes reach the server."""
        length = data.draw(st.integers(1, len(self.to_far)))
        portion = bytes(self.to_far[:length])
        del self.to_far[:length]
        self.far.receive(portion, 0.0)
        self.collect()

    @precondition(lambda self: self.to_near)
    @rule(data=st.data())
    def travel_to_near(self, data: st.DataObject) -> None:
        """Some bytes reach the client."""
        length = data.draw(st.integers(1, len(self.to_near)))
        portion = bytes(self.to_near[:length])
        del self.to_near[:length]
        self.near.receive(portion, 0.0)
        self.collect()

    @precondition(lambda self: self.session is not None and not self.accepted)
    @rule()
    def accept(self) -> None:
        """The server lets the client in."""
        assert self.session is not None
        self.accepted = True
        self.session.accept("run", 0.0)
        self.near_will_tell.append(LoggedIn("run", "0.70.1"))
        self.collect()

    @precondition(lambda self: self.near.state is ControlState.ESTABLISHED)
    @rule(options=st.dictionaries(st.sampled_from("abc"), st.text(max_size=3), max_size=2))
    def register(self, options: dict[str, str]) -> None:
        """The client registers a proxy."""
        self.number += 1
        name = f"proxy {self.number}"
        self.near.register(name, "tcp", options)
        self.far_will_tell.append(RegistrationRequested(name, "tcp", options))
        self.collect()

    @precondition(lambda self: self.near.state is ControlState.ESTABLISHED)
    @rule()
    def withdraw(self) -> None:
        """The client takes a proxy back."""
        self.near.withdraw("proxy 1")
        self.far_will_tell.append(ProxyWithdrawn("proxy 1"))
        self.collect()

    @precondition(lambda self: self.accepted)
    @rule(fine=st.booleans())
    def answer(self, fine: bool) -> None:
        """The server answers for a proxy."""
        assert self.session is not None
        if fine:
            self.session.registered("proxy", ":80")
            self.near_will_tell.append(ProxyRegistered("proxy", ":80"))
        else:
            self.session.refuse_proxy("proxy", "no")
            self.near_will_tell.append(ProxyRefused("proxy", "no"))
        self.collect()

    @precondition(lambda self: self.accepted)
    @rule(count=st.integers(0, 3))
    def request(self, count: int) -> None:
        """The server asks for work connections."""
        assert self.session is not None
        self.session.request_work(count)
        self.near_will_tell.extend([WorkRequested()] * count)
        self.collect()

    @precondition(
        lambda self: self.near.state is ControlState.ESTABLISHED and "signal" in self.near.extensions
    )
    @rule(body=st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2))
    def signal(self, body: dict[str, int]) -> None:
        """A proxy's client sends a signal."""
        self.near.signal("proxy", "", body)
        self.far_will_tell.append(SignalReceived("proxy", "", body))
        self.collect()

    @invariant()
    def nothing_is_lost(self) -> None:
        """When nothing is on its way, everything was told, in order."""
        if self.number and not self.to_far:
            assert not self.far_will_tell
        if self.accepted and not self.to_near:
            assert not self.near_will_tell


class SessionModelTests(SynchronousTestCase):
    """Both ends agree with two queues."""

    def test_model(self) -> None:
        """Whatever is said in whatever portions is told at the other end, once, in order."""
        run_state_machine_as_test(
            SessionModel, settings=settings(max_examples=40, stateful_step_count=40, deadline=None)
        )


class OpenedTests(SynchronousTestCase):
    """What the two ends of these tests are made of."""

    def test_one_hello_for_both(self) -> None:
        """Client and server come to the same transcript."""
        near = client(V2)
        first = opened(sent(near))
        near.receive(first.unsent, 0.0)
        self.assertIsNotNone(first.hello)
        self.assertEqual(near._agreed, first.hello)
