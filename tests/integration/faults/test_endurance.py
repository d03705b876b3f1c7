"""Much of the same for long: reconnections, connections, and twenty minutes of faults by chance."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence

from tests.integration.faults.case import FaultTestCase, WireTestCase, why_short
from tests.integration.faults.cutter import Cutter
from tests.integration.faults.impatient import impatient_command
from tests.integration.programs import PATIENCE_S, Program, free_port
from tests.integration.relays import Table
from tests.integration.traffic import LOOPBACK

SEED = "RELAYKIT_FAULT_SEED"
"""The environment variable with which the faults of an earlier run come again."""

MINUTES = "RELAYKIT_FAULT_MINUTES"
"""The environment variable that says how long there are faults by chance."""

FLAT = 1.10
"""How much more memory a program may have at the end than when it was warm."""

DIRECT: Table = {"transport.tcpMux": False}


class FlatTests(FaultTestCase):
    """Memory does not grow with what is over."""

    skip = why_short()

    reconnections = 1000
    connections = 100_000
    at_once = 50

    def check_flat(self, programs: Mapping[str, Program], warm: Mapping[str, int]) -> None:
        """No program has more memory than when it was warm, or hardly more."""
        for name, program in programs.items():
            now = program.resident_bytes()
            self.figure(f"memory of the {name} when it was warm", warm[name] / 2**20, "MiB")
            self.figure(f"memory of the {name} at the end", now / 2**20, "MiB")
            self.figure(f"ratio of the {name}", now / warm[name], "")
            self.assertLess(now, warm[name] * FLAT)

    def check_reconnections(self, table: Table) -> None:
        """A client whose connection is cut again and again leaves nothing behind, at either end."""
        server = self.start_server()
        cutter = Cutter(self.bind_port)
        self.addCleanup(cutter.stop)
        service = self.start_service()
        client = self.start_client(
            {"serverPort": cutter.port, "log.level": "warn", **table},
            [{"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port}],
            command=impatient_command("client"),
        )
        programs = {"server": server, "client": client}
        warm: dict[str, int] = {}
        began = time.monotonic()
        for number in range(1, self.reconnections + 1):
            self.until_served()
            cutter.cut()
            client.wait_for("the session ended", number)
            if number == self.reconnections // 4:
                warm = {name: program.resident_bytes() for name, program in programs.items()}
        self.until_served()
        self.figure(f"{self.reconnections} reconnections in", time.monotonic() - began)
        self.check_flat(programs, warm)
        for name, program in programs.items():
            # Called at once, so each means its own.
            self.until(f"the {name} has few descriptors", lambda: program.descriptors() < 40)  # noqa: B023
            self.figure(f"descriptors of the {name} at the end", program.descriptors(), "")

    def check_connections(self, table: Table) -> None:
        """So many users come, are served, and go."""
        server = self.start_server()
        client = self.publish_echo(table)
        programs = {"server": server, "client": client}
        quarter = self.connections // 4
        began = time.monotonic()
        come_and_go(self.port, quarter, self.at_once)
        warm = {name: program.resident_bytes() for name, program in programs.items()}
        come_and_go(self.port, self.connections - quarter, self.at_once)
        took_s = time.monotonic() - began
        self.figure(f"{self.connections} users in", took_s)
        self.check_flat(programs, warm)
        for name, program in programs.items():
            self.figure(f"descriptors of the {name} at the end", program.descriptors(), "")
            self.assertLess(program.descriptors(), 40 + self.at_once)

    def test_reconnections(self) -> None:
        """A thousand reconnections, with mux."""
        self.check_reconnections({})

    def test_reconnections_direct(self) -> None:
        """A thousand reconnections, without mux."""
        self.check_reconnections(DIRECT)

    def test_connections(self) -> None:
        """A hundred thousand users, with mux."""
        self.check_connections({})

    def test_connections_direct(self) -> None:
        """A hundred thousand users, without mux."""
        self.check_connections(DIRECT)


def come_and_go(port: int, users: int, at_once: int) -> None:
    """So many users, each with a word of its own that must come back."""

    async def come(first: int) -> None:
        for number in range(first, users, at_once):
            # Many addresses, for there are fewer ports than users in a minute.
            host = f"127.{1 + number % 200}.{1 + number // 200 % 200}.1"
            reader, writer = await asyncio.open_connection(LOOPBACK, port, local_addr=(host, 0))
            word = f"user {number:09}\n".encode()
            writer.write(word)
            heard = await asyncio.wait_for(reader.readexactly(len(word)), 60)
            if heard != word:
                raise AssertionError(f"{word!r} was answered with {heard!r}")
            writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(come(first) for first in range(at_once)))

    asyncio.run(all_of_them())


class ChanceTests(WireTestCase):
    """Faults of all kinds, one after the other, by chance."""

    skip = WireTestCase.skip or why_short()

    users = 24
    shortest_s, longest_s = 0.5, 12.0
    deadline_s = 150.0

    def test_faults(self) -> None:
        """No byte is lost, doubled or anybody else's; all get what is theirs, or the end, in time."""
        seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 30))
        minutes = float(os.environ.get(MINUTES) or 20)
        print(f"\n    SEED {seed}; the same faults come again with {SEED}={seed}", flush=True)
        chance = random.Random(seed)
        self.begin()
        crowd = self.crowd(self.users, list(self.ports), seed=seed, deadline_s=self.deadline_s)
        crowd.wait_served()
        faults: Sequence[Callable[[random.Random], str]] = (
            self.kill_server,
            self.kill_client,
            self.freeze_server,
            self.freeze_client,
            self.drop_packets,
            self.restart_service,
            self.take_address,
        )
        done: dict[str, int] = {}
        worst_s = 0.0
        ends = time.monotonic() + minutes * 60
        while time.monotonic() < ends:
            what = chance.choice(faults)(chance)
            done[what] = done.get(what, 0) + 1
            if chance.random() < 0.5:
                # Sometimes there is time to recover, sometimes the next fault is there before.
                took_s = crowd.wait_served(self.deadline_s + PATIENCE_S)
                worst_s = max(worst_s, took_s)
            self.rest(chance.uniform(0.0, 3.0))
        crowd.wait_served(self.deadline_s + PATIENCE_S)
        crowd.stop()
        for what, times in sorted(done.items()):
            self.figure(what, times, "times")
        self.figure("bytes checked", crowd.content, "bytes")
        self.figure("connections of users", crowd.connections, "connections")
        self.figure("longest time until all were served again", worst_s)

    # --- what there is ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Starts a server, two clients and a service."""
        self.ports = {free_port(): "mux", free_port(): "direct"}
        self.tables: dict[str, Table] = {
            "mux": {"user": "mux", "transport.tcpMuxKeepaliveInterval": 3},
            "direct": {
                "user": "direct",
                **DIRECT,
                "transport.heartbeatInterval": 3,
                "transport.poolCount": 2,
            },
        }
        self.service = self.start_service()
        self.server = self.new_server()
        self.clients = {name: self.new_client(name) for name in self.tables}

    def new_server(self) -> Program:
        """Starts the server."""
        return self.start_server(
            {"transport.tcpMuxKeepaliveInterval": 3, "transport.heartbeatTimeout": 8, "userConnTimeout": 5}
        )

    def new_client(self, name: str) -> Program:
        """Starts a client."""
        (port,) = (port for port, of in self.ports.items() if of == name)
        return self.start_client(
            self.tables[name],
            [{"name": "echo", "type": "tcp", "localPort": self.service.port, "remotePort": port}],
        )

    def last(self, chance: random.Random) -> None:
        """Lets a fault last."""
        self.rest(chance.uniform(self.shortest_s, self.longest_s))

    # --- faults -----------------------------------------------------------------------------------

    def kill_server(self, chance: random.Random) -> str:
        """The server dies and is started again."""
        self.server.kill()
        if chance.random() < 0.5:
            self.last(chance)
        self.server = self.new_server()
        return "the server was killed"

    def kill_client(self, chance: random.Random) -> str:
        """A client dies and is started again."""
        name = chance.choice(sorted(self.clients))
        self.clients[name].kill()
        if chance.random() < 0.5:
            self.last(chance)
        self.clients[name] = self.new_client(name)
        return "a client was killed"

    def freeze_server(self, chance: random.Random) -> str:
        """The server stands still."""
        self.server.freeze()
        self.last(chance)
        self.server.thaw()
        return "the server stood still"

    def freeze_client(self, chance: random.Random) -> str:
        """A client stands still."""
        client = self.clients[chance.choice(sorted(self.clients))]
        client.freeze()
        self.last(chance)
        client.thaw()
        return "a client stood still"

    def drop_packets(self, chance: random.Random) -> str:
        """Packets are dropped in one direction, or in both, all or some."""
        rules = [f"sent tcp dport {self.bind_port}", f"received tcp sport {self.bind_port}"]
        part = chance.choice(("", " numgen random mod 100 < 30"))
        self.wire.drop(*(rule + part for rule in chance.sample(rules, chance.randint(1, 2))))
        self.last(chance)
        self.wire.heal()
        return "some packets were dropped" if part else "packets were dropped"

    def restart_service(self, chance: random.Random) -> str:
        """Every connection to the local service is cut."""
        self.service.cut()
        return "the local service cut its connections"

    def take_address(self, chance: random.Random) -> str:
        """The client's machine has no network for a while."""
        self.wire.ip(f"link set {self.wire.link} down")
        self.last(chance)
        self.wire.ip(f"link set {self.wire.link} up")
        return "the client's network was gone"
