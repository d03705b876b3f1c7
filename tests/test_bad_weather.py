"""A server, clients and users in one process, over a network in memory that is as bad as chance makes it.

Each run has a seed, which a failure names.
"""

from __future__ import annotations

import random
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.config.load import ConfiguredProxy
from relaykit.interfaces import ILegReceiver, IStreamLeg
from relaykit.options import ProxyCommon
from relaykit.proxies.tcp import TcpOptions
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.session import Heartbeat
from relaykit.testing.memory import MemoryLeg, RecordingReceiver, Weather
from relaykit.values import Ended
from tests.client.scene import SERVICE, Machine, started
from tests.server.scene import Scene

SEEDS = range(12)

STEPS = 60

PORTS = (6000, 6001)

LONGEST_STALL_S = 200.0
"""No wire is silent for longer: then it is heard again, or the kernels at its ends give up."""

DEADLINE_S = 120.0
"""Seconds of good weather within which every user has what is its, or the end."""


@implementer(ILegReceiver)
@define(eq=False)
class Echo:
    """A local service that sends everything back."""

    leg: IStreamLeg

    def data_received(self, data: Buffer) -> None:
        self.leg.write(bytes(data))

    def end_received(self) -> None:
        self.leg.close()

    def leg_lost(self, reason: Ended) -> None:
        """Nothing is left to do."""


@define(eq=False)
class User:
    """Somebody who sends bytes that nobody else sends."""

    number: int
    leg: MemoryLeg
    heard: RecordingReceiver
    said: bytes = b""

    def say(self, count: int) -> None:
        """Sends so many more."""
        more = b"".join(
            b"%06d:%08d " % (self.number, place) for place in range(len(self.said), len(self.said) + count)
        )
        self.said += more
        self.leg.write(more)

    def check(self) -> None:
        """What came back is what was said, from the beginning."""
        assert self.said.startswith(self.heard.data), f"user {self.number} heard what it had not said"

    @property
    def is_gone(self) -> bool:
        """Whether its connection has ended."""
        return self.heard.ended or self.heard.lost is not None


@define(eq=False)
class Run:
    """One run: chance decides, and the same seed decides the same."""

    seed: int
    chance: random.Random = field(init=False)
    scene: Scene = field(init=False)
    machines: list[Machine] = field(init=False)
    users: list[User] = field(factory=list, init=False)
    stalled: dict[MemoryLeg, float] = field(factory=dict, init=False)
    served: set[MemoryLeg] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        # The rests of clients are by chance, too.
        random.seed(self.seed)
        weather = Weather(self.seed, delay_s=(0.0, self.chance.choice((0.0, 0.02, 0.3))), most_bytes=5000)
        muxed = self.seed % 2 == 0
        self.scene = Scene(weather=weather, heartbeat=Heartbeat(timeout_s=None if muxed else 90.0))
        self.machines = [Machine(self.scene, muxed) for _ in PORTS]
        for machine, port in zip(self.machines, PORTS, strict=True):
            proxy = ConfiguredProxy(
                ProxyCommon(name=f"p{port}", type="tcp", local=SERVICE), TcpOptions(remote_port=port), "tcp"
            )
            started(machine, proxy, pool_count=self.chance.randint(0, 2))
        self.pass_time(5.0)

    def pass_time(self, seconds: float) -> None:
        """Lets time pass; local services answer, silent wires do not stay so for ever."""
        end = self.scene.clock.seconds() + seconds
        while (now := self.scene.clock.seconds()) < end:
            for leg, since in list(self.stalled.items()):
                if now - since >= LONGEST_STALL_S:
                    self.hear_again(leg)
            for machine in self.machines:
                for leg in machine.services[SERVICE]:
                    if leg not in self.served:
                        self.served.add(leg)
                        leg.attach(Echo(leg))
            self.scene.advance(min(0.25, end - now))
            for user in self.users:
                user.check()

    def step(self) -> None:
        """Something happens."""
        whats = (self.come, self.talk, self.leave, self.cut, self.stall, self.rest)
        self.chance.choices(whats, (3, 4, 1, 1, 1, 1))[0]()
        self.pass_time(self.chance.choice((0.0, 0.1, 1.0, 5.0)))

    def come(self) -> None:
        """A user comes, if there is a port to come to."""
        port = self.chance.choice(PORTS)
        if port in self.scene.ports and len(self.users) < 60:
            leg, heard = self.scene.dial(port)
            self.users.append(User(len(self.users), leg, heard))
            self.users[-1].say(self.chance.randrange(50))

    def talk(self) -> None:
        """Users say more."""
        for user in self.users:
            if not user.is_gone and self.chance.random() < 0.5:
                user.say(self.chance.choice((1, 100, 3000)))

    def leave(self) -> None:
        """A user leaves, politely or not."""
        here = [user for user in self.users if not user.is_gone]
        if here:
            leg = self.chance.choice(here).leg
            self.chance.choice((leg.close, leg.abort))()

    def wires(self) -> list[MemoryLeg]:
        """The connections between clients and the server that are open."""
        wires = (leg for machine in self.machines for leg in machine.connections)
        return [leg for leg in wires if not leg.settled and leg not in self.stalled]

    def cut(self) -> None:
        """A wire breaks."""
        if wires := self.wires():
            self.chance.choice(wires).cut()

    def stall(self) -> None:
        """A wire falls silent, in one direction or in both."""
        if wires := self.wires():
            leg = self.chance.choice(wires)
            how: Any = self.chance.choice(("both", "here", "there"))
            leg.stalled = how != "there"
            leg.other.stalled = how != "here"
            self.stalled[leg] = self.scene.clock.seconds()

    def rest(self) -> None:
        """Nothing happens for a while."""
        self.pass_time(self.chance.choice((10.0, 100.0)))

    def hear_again(self, leg: MemoryLeg) -> None:
        """A wire that was silent breaks, or comes back."""
        del self.stalled[leg]
        leg.stall(False)
        if self.chance.random() < 0.5:
            leg.cut()

    def conclude(self) -> None:
        """The weather becomes good; everybody gets what is left."""
        for leg in list(self.stalled):
            self.hear_again(leg)
        self.pass_time(DEADLINE_S)
        for user in self.users:
            assert user.is_gone or user.heard.data == user.said, f"user {user.number} waits for ever"
        for port in PORTS:
            assert port in self.scene.ports, f"port {port} was not published again"
            leg, heard = self.scene.dial(port)
            leg.write(b"hello")
            self.pass_time(5.0)
            assert heard.data == b"hello", f"nobody is served at port {port}"


class BadWeatherTests(SynchronousTestCase):
    """Whole runs."""

    def test_runs(self) -> None:
        """No byte is lost, doubled or anybody else's, and nobody waits for ever, whatever the weather."""
        content = 0
        for seed in SEEDS:
            try:
                run = Run(seed)
                for _ in range(STEPS):
                    run.step()
                run.conclude()
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise
            content += sum(len(user.heard.data) for user in run.users)
        self.assertGreater(content, 1_000_000)
