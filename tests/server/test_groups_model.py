"""Whatever befalls the other members of a group, every user is served once as long as one member lives."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.interfaces import ILegReceiver
from relaykit.options import LoadBalancer
from relaykit.proxies import tcp
from relaykit.server.groups import MEMBER_WAIT_S, MOVES_FOR_S
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published
from relaykit.values import Address, Balance, Ended

PORT = 6000

MOST_MEMBERS = 4

WORD = b"word"


@implementer(ILegReceiver)
class Answering:
    """A service that answers the word of its user, and counts it."""

    def __init__(self, machine: GroupMachine, leg: MemoryLeg) -> None:
        self._machine = machine
        self._leg = leg

    def data_received(self, data: Any) -> None:
        self._machine.words += 1
        self._leg.write(bytes(data))

    def end_received(self) -> None:
        self._leg.close()

    def leg_lost(self, reason: Ended) -> None:
        """Nothing."""


class GroupMachine(RuleBasedStateMachine):
    """One member that lives, and others that join, leave, lose their connections and hang while users come.

    The server hears nothing of a member that hangs.  Clients come back by themselves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.relay = MemoryRelay()
        self.balance = Balance.ROUND_ROBIN
        self.members: list[Published] = []
        self.users: list[RecordingReceiver] = []
        self.names = 0
        self.words = 0
        """What services heard, of all users together."""

    @initialize(balance=st.sampled_from(Balance))
    def open(self, balance: Balance) -> None:
        """The member that lives opens the group."""
        self.balance = balance
        self.publish()

    def publish(self) -> Published:
        """One more member."""
        self.names += 1
        return self.relay.publish(
            tcp.proxy_type,
            tcp.TcpOptions(remote_port=PORT),
            name=f"member-{self.names}",
            local=lambda leg: leg.attach(Answering(self, leg)),
            load_balancer=LoadBalancer(group="web", balance=self.balance.value),
        )

    @precondition(lambda self: len(self.members) < MOST_MEMBERS)
    @rule()
    def join(self) -> None:
        """A member joins."""
        self.members.append(self.publish())

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A client takes its member back, if it can."""
        member = data.draw(st.sampled_from(self.members))
        self.members.remove(member)
        member.withdraw()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """A client loses its connections."""
        for connection in data.draw(st.sampled_from(self.members)).connections:
            connection.stall(False)
            connection.cut()
        self.relay.settle()

    @precondition(lambda self: self.members)
    @rule(data=st.data(), hangs=st.booleans())
    def hang(self, data: st.DataObject, hangs: bool) -> None:
        """A client hangs, or goes on."""
        for connection in data.draw(st.sampled_from(self.members)).connections:
            connection.stall(hangs)
        self.relay.settle()

    @rule(count=st.integers(1, 4))
    def dial(self, count: int) -> None:
        """Users come, and speak at once."""
        for _ in range(count):
            leg = self.relay.ports.dial(PORT, Address(f"192.0.2.{len(self.users) % 250}", 1))
            self.users.append(RecordingReceiver(leg))
            leg.write(WORD)
        self.relay.settle()

    @rule(seconds=st.floats(0.1, 8.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.relay.advance(seconds)

    def teardown(self) -> None:
        """All users have been served, each of them once."""
        self.relay.advance(MOST_MEMBERS * MEMBER_WAIT_S + MOVES_FOR_S)
        assert [user.data for user in self.users] == [WORD] * len(self.users)
        assert self.words == len(self.users)


class GroupModelTests(SynchronousTestCase):
    """Runs the model."""

    def test_model(self) -> None:
        """Every user is served by one member, and what it says reaches no other."""
        machine = GroupMachine.TestCase
        machine.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
        machine("runTest").debug()
