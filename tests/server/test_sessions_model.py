"""Registry, takeover and liveness against a simple model: who holds which name, whatever happens."""

from __future__ import annotations

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control import events
from relaykit.sansio.control.login_proofs import NOTHING_PROVEN, ClientProofs
from relaykit.sansio.control.session import ControlState, Heartbeat
from relaykit.server.liveness import PROBE_TIMEOUT_S
from relaykit.testing.memory import MemoryLeg
from relaykit.values import Ended
from tests.server.scene import Client, Key, Scene

TIMEOUT_S = 90.0
"""Silence after which the server gives a client up."""

PING_EVERY_S = 20.0

NAMES = {"ann": 6000, "bob": 6001, "eve": 6002}
"""Proxies, and the port that each wants."""

PLACES = st.integers(0, 1 << 20)


@define(eq=False)
class Holder:
    """A client that is logged in, as the model sees it."""

    client: Client
    leg: MemoryLeg
    identity: int
    """0 for none."""
    heard_at: float
    stalled: bool = field(default=False, init=False)


class SessionsModel(RuleBasedStateMachine):
    """Everything that clients and the network may do to a server's sessions."""

    @initialize()
    def begin(self) -> None:
        """Starts a server."""
        self.scene = Scene(heartbeat=Heartbeat(timeout_s=TIMEOUT_S))
        self.holders: list[Holder] = []
        self.names: dict[str, Holder] = {}

    @property
    def now(self) -> float:
        """The time, on the clock that all have."""
        return self.scene.clock.seconds()

    @precondition(lambda self: len(self.holders) < 5)
    @rule(identity=st.integers(0, 3))
    def log_in(self, identity: int) -> None:
        """A client logs in; another one with the same identity makes way, silent or not."""
        former = next((each for each in self.holders if identity and each.identity == identity), None)
        leg = self.scene.open()
        proofs = ClientProofs(signer=Key(identity)) if identity else NOTHING_PROVEN
        client = Client(self.scene, leg=leg, proofs=proofs, alive=True)
        if former is not None:
            self.forget(former)
            assert client.run_id == former.client.run_id
            if not former.stalled:
                assert [each.why for each in former.client.of(events.SessionEnded)] == [Ended.REPLACED]
        assert client.of(events.LoggedIn)
        self.holders.append(Holder(client, leg, identity, self.now))

    @precondition(lambda self: self.live())
    @rule(place=PLACES, name=st.sampled_from(sorted(NAMES)))
    def register(self, place: int, name: str) -> None:
        """A client asks for a name: it gets it unless somebody has it who is alive."""
        asking = self.pick(place)
        present = self.names.get(name)
        before = len(asking.client.of(events.ProxyRegistered))
        asking.client.register(name, remote_port=NAMES[name])
        asking.heard_at = self.now
        if present is not None and present.stalled:
            assert len(asking.client.of(events.ProxyRegistered)) == before, "a holder had no time to answer"
            self.wait(PROBE_TIMEOUT_S + 0.5)
            self.forget(present)
            present = None
        if present is None:
            assert asking.client.of(events.ProxyRegistered)[before:], "a free name was refused"
            self.names[name] = asking
        else:
            assert asking.client.of(events.ProxyRefused)[-1].text == f"proxy [{name}] already exists"

    @precondition(lambda self: any(not each.stalled for each in self.names.values()))
    @rule(place=PLACES)
    def withdraw(self, place: int) -> None:
        """A client takes a proxy back."""
        names = [name for name, holder in sorted(self.names.items()) if not holder.stalled]
        name = names[place % len(names)]
        holder = self.names.pop(name)
        holder.client.withdraw(name)
        holder.heard_at = self.now

    @precondition(lambda self: self.holders)
    @rule(place=PLACES)
    def cut(self, place: int) -> None:
        """A connection breaks, and both ends know."""
        holder = self.holders[place % len(self.holders)]
        holder.leg.cut()
        if holder.stalled:
            holder.leg.stall(False)
        self.scene.flush()
        self.forget(holder)

    @precondition(lambda self: self.live())
    @rule(place=PLACES)
    def stall(self, place: int) -> None:
        """Nothing comes through any more, and nobody knows."""
        holder = self.pick(place)
        holder.leg.stall()
        holder.stalled = True

    @rule(seconds=st.sampled_from([1.0, 15.0, 50.0, TIMEOUT_S]))
    def wait(self, seconds: float) -> None:
        """Time passes; who is alive pings, who was silent for too long is given up."""
        end = self.now + seconds
        while self.now < end:
            for holder in self.live():
                holder.client.core.probe(self.now)
                holder.client.driver.step()
                holder.heard_at = self.now
            self.scene.advance(min(PING_EVERY_S, end - self.now))
        for holder in list(self.holders):
            if self.now - holder.heard_at >= TIMEOUT_S:
                self.forget(holder)

    @invariant()
    def names_are_held(self) -> None:
        """The server has exactly the proxies, the ports and the sessions that the model has."""
        assert {each.name for each in self.scene.registry} == set(self.names)
        assert set(self.scene.ports) == {NAMES[name] for name in self.names}
        assert len(self.scene.sessions) == len(self.holders)
        for holder in self.live():
            assert holder.client.core.state is ControlState.ESTABLISHED
        for name, holder in self.names.items():
            owners = [each.identity.run_id for each in self.scene.registry if each.name == name]
            assert owners == [holder.client.run_id]

    def live(self) -> list[Holder]:
        """The clients that can be heard."""
        return [each for each in self.holders if not each.stalled]

    def pick(self, place: int) -> Holder:
        """One of them."""
        live = self.live()
        return live[place % len(live)]

    def forget(self, holder: Holder) -> None:
        """A session is over, and all that it held is free."""
        if holder in self.holders:
            self.holders.remove(holder)
        for name in [name for name, each in self.names.items() if each is holder]:
            del self.names[name]


class SessionsModelTests(SynchronousTestCase):
    """Runs the model."""

    def test_model(self) -> None:
        """A name has one holder: who proves the same identity, or else who is alive."""
        machine = SessionsModel.TestCase
        machine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
        machine("runTest").debug()
