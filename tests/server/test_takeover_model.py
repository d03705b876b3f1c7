"""Who has what, against a model: clients with identities and without, alive and dead, in any order."""

from __future__ import annotations

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control import events
from relaykit.sansio.control.login_proofs import ClientProofs
from relaykit.server.liveness import PROBE_TIMEOUT_S
from tests.server.scene import Client, Key, Scene

NAMES = ("a", "b", "c")
IDENTITIES = st.sampled_from([None, 1, 2])


@define(eq=False)
class Modeled:
    """One client, as the model has it."""

    client: Client
    identity: int | None
    names: set[str] = field(factory=set)


class TakeoverModel(RuleBasedStateMachine):
    """The model: a name belongs to one client, until that is gone, replaced, or dead and asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.present: list[Modeled] = []

    def pick(self, number: int) -> Modeled | None:
        """One of the clients that are there."""
        return self.present[number % len(self.present)] if self.present else None

    @rule(identity=IDENTITIES)
    def log_in(self, identity: int | None) -> None:
        """A client logs in; the same identity makes way for it."""
        proofs = ClientProofs() if identity is None else ClientProofs(signer=Key(identity))
        client = Client(self.scene, proofs=proofs, alive=True)
        self.present = [each for each in self.present if identity is None or each.identity != identity]
        self.present.append(Modeled(client, identity))

    @rule(number=st.integers(0, 9))
    def die(self, number: int) -> None:
        """A client stops answering; its connection stays."""
        if (chosen := self.pick(number)) is not None:
            chosen.client.alive = False

    @rule(number=st.integers(0, 9))
    def leave(self, number: int) -> None:
        """A client closes its connection."""
        if (chosen := self.pick(number)) is not None:
            chosen.client.leg.abort()
            self.scene.flush()
            self.present.remove(chosen)

    @rule(number=st.integers(0, 9), name=st.sampled_from(NAMES))
    def claim(self, number: int, name: str) -> None:
        """A client that is alive asks for a name."""
        asking = self.pick(number)
        if asking is None or not asking.client.alive:
            return
        holder = next((each for each in self.present if name in each.names), None)
        before = len(asking.client.told)
        asking.client.register(name, remote_port=6000 + NAMES.index(name))
        self.scene.advance(PROBE_TIMEOUT_S)
        (answer,) = [
            each
            for each in asking.client.told[before:]
            if isinstance(each, events.ProxyRefused | events.ProxyRegistered)
        ]
        if holder is not None and (holder is asking or holder.client.alive):
            assert isinstance(answer, events.ProxyRefused), "a live holder lost its name"
            return
        assert isinstance(answer, events.ProxyRegistered), "a free name was not to be had"
        asking.names.add(name)
        if holder is not None:
            self.present.remove(holder)

    @invariant()
    def same_as_the_model(self) -> None:
        """The server has those sessions, names and ports that the model has, and no others."""
        names = {name for each in self.present for name in each.names}
        assert len(self.scene.sessions) == len(self.present)
        assert {proxy.name for proxy in self.scene.registry} == names
        assert set(self.scene.ports) == {6000 + NAMES.index(name) for name in names}

    def teardown(self) -> None:
        """Whatever happened, stopping leaves nothing behind."""
        self.scene.sessions.end_all()
        self.scene.flush()
        assert len(self.scene.sessions) == 0
        assert self.scene.ports == {}


class TakeoverModelTests(SynchronousTestCase):
    """Runs the model."""

    def test_model(self) -> None:
        """In whatever order clients come, die, leave and ask, the server has what the model has."""
        run_state_machine_as_test(
            TakeoverModel, settings=settings(max_examples=50, stateful_step_count=20, deadline=None)
        )
