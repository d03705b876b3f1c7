"""Groups of proxies: members of either kind at a server of either kind, and members that die under load."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from tests.integration.programs import (
    PATIENCE_S,
    Program,
    free_port,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.test_options import to_pick_from
from tests.integration.traffic import dial, receive_exactly

WORD_BYTES = 16
"""What a user says, and what the service answers."""

USERS_AT_ONCE = 8

ENOUGH_USERS = 150
"""Users who come after something has happened to a member: many times as many as there are members."""

OURS, FRPC = relaykit_command("frpc"), frp_command("frpc")


def _word(text: str) -> bytes:
    return text.ljust(WORD_BYTES).encode()


def ask(port: int) -> str:
    """The name of the service that a new user gets; the user speaks first."""
    with dial(port) as user:
        user.sendall(_word("who?"))
        return receive_exactly(user, WORD_BYTES).decode().strip()


@frozen
class Kind:
    """What a member is: a program, and a version of the wire."""

    name: str
    command: tuple[str, ...]
    wire: str

    @property
    def table(self) -> Table:
        """What it takes at the client."""
        return {"transport.wireProtocol": self.wire}


KINDS = (
    Kind("ours-v1", OURS, "v1"),
    Kind("ours-v2", OURS, "v2"),
    Kind("frpc-v1", FRPC, "v1"),
    Kind("frpc-v2", FRPC, "v2"),
)


class GroupTestCase(RelayTestCase):
    """Publishes services that say their names, as members of a group."""

    def setUp(self) -> None:
        """Chooses the group's port."""
        super().setUp()
        self.port = free_port()

    def start_named(self, name: str) -> int:
        """A local service that answers its name; its port."""

        def answer(connection: socket.socket) -> None:
            if receive_exactly(connection, WORD_BYTES):
                connection.sendall(_word(name))

        return self.start_service(answer).port

    def join(
        self,
        name: str,
        kind: Kind = KINDS[1],
        table: Table = NOTHING,
        service: int = 0,
        wait: str = "start proxy success",
        proxy: Table = NOTHING,
    ) -> Program:
        """A client that has a member of the group."""
        client = self.start_client(
            {**kind.table, **table},
            [
                {
                    "name": name,
                    "type": "tcp",
                    "localPort": service or self.start_named(name),
                    "remotePort": self.port,
                    "loadBalancer.group": "web",
                    "loadBalancer.groupKey": "a key of the group",
                    **proxy,
                }
            ],
            command=kind.command,
        )
        client.wait_for(wait)
        return client


class InteropTests(GroupTestCase):
    """Members of every kind in one group of our server."""

    skip = missing_frp()

    def test_turns(self) -> None:
        """All kinds of members share one port and take turns in the order in which they joined."""
        self.start_server()
        for kind in KINDS:
            self.join(kind.name, kind)
        names = [kind.name for kind in KINDS]
        self.assertEqual([ask(self.port) for _ in range(3 * len(names))], 3 * names)

    def test_refused(self) -> None:
        """Who does not fit is told so in the same words, whichever kind it is, and the others serve on."""
        self.start_server()
        self.join("first")
        for kind in (KINDS[0], KINDS[3]):
            self.join(
                f"{kind.name}-key", kind, wait="group auth failed", proxy={"loadBalancer.groupKey": "another"}
            )
            self.join(
                f"{kind.name}-port",
                kind,
                wait="group should have same remote port",
                proxy={"remotePort": free_port()},
            )
            self.join(f"{kind.name}-alone", kind, wait="port already used", proxy={"loadBalancer.group": ""})
        self.assertEqual(ask(self.port), "first")

    def test_picked_port(self) -> None:
        """Members of every kind share the port that the server picks, as long as there is one of them."""
        server = self.start_server(to_pick_from())
        before = server.listening_ports()
        clients = [self.join(kind.name, kind, proxy={"remotePort": 0}) for kind in KINDS]
        (port,) = server.listening_ports() - before
        self.assertEqual({ask(port) for _ in KINDS}, {kind.name for kind in KINDS})
        *others, last = clients
        for client in others:
            client.kill()
        server.wait_for("client exit success", len(others))
        self.assertEqual(ask(port), KINDS[-1].name)
        last.kill()
        server.wait_for("client exit success", len(clients))
        self.assertEqual(server.listening_ports(), before)


class FrpsTests(GroupTestCase):
    """Members of every kind at frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")

    def test_all_serve(self) -> None:
        """Our members share a port with frp's."""
        self.start_server()
        for kind in KINDS:
            self.join(kind.name, kind)
        names, seen = {kind.name for kind in KINDS}, set[str]()
        deadline = time.monotonic() + PATIENCE_S
        # Frp's server lets chance decide.
        while seen != names:
            self.assertLess(time.monotonic(), deadline, f"only {sorted(seen)} serve users")
            name = ask(self.port)
            self.assertIn(name, names)
            seen.add(name)

    def test_refused(self) -> None:
        """Our client says why frp's server refuses a member."""
        self.start_server()
        self.join("first")
        for kind in KINDS[:2]:
            self.join(
                f"{kind.name}-key", kind, wait="group auth failed", proxy={"loadBalancer.groupKey": "another"}
            )
            self.join(
                f"{kind.name}-port",
                kind,
                wait="group should have same remote port",
                proxy={"remotePort": free_port()},
            )


# --- under load ----------------------------------------------------------------------------------


@frozen
class Answer:
    """What a user got: the name of a service, or what went wrong."""

    dialed_at: float
    name: str
    failure: str = ""


@define
class Load:
    """Users who come all the time, several at once, until :meth:`stop`."""

    port: int
    answers: list[Answer] = field(factory=list)
    _stopping: bool = False
    _changed: threading.Condition = field(factory=threading.Condition)
    _threads: list[threading.Thread] = field(factory=list)

    def start(self) -> None:
        """Lets them come."""
        self._threads = [threading.Thread(target=self._come, daemon=True) for _ in range(USERS_AT_ONCE)]
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Lets none come any more, and waits for those who are there."""
        self._stopping = True
        for each in self._threads:
            each.join(2 * PATIENCE_S)

    def after(self, moment: float, enough: Callable[[Sequence[Answer]], bool]) -> list[Answer]:
        """What those got who dialed after a moment, once that is enough."""

        def answered() -> list[Answer]:
            return [each for each in self.answers if each.dialed_at > moment]

        with self._changed:
            if not self._changed.wait_for(lambda: enough(answered()), 2 * PATIENCE_S):
                raise AssertionError(f"only {len(answered())} users were answered: {answered()[-10:]}")
            return answered()

    def _come(self) -> None:
        while not self._stopping:
            dialed_at = time.monotonic()
            try:
                name, failure = ask(self.port), ""
            except OSError as error:
                name, failure = "", repr(error)
            with self._changed:
                self.answers.append(Answer(dialed_at, name, failure))
                self._changed.notify_all()


class LoadTests(GroupTestCase):
    """Members that die, are stopped, join and leave while users come."""

    kinds: tuple[Kind, ...] = (KINDS[1],)
    table: Table = NOTHING

    def setUp(self) -> None:
        """Starts a server with a group of three, and users."""
        super().setUp()
        self.start_server()
        self.names = ["a", "b", "c"]
        self.services = {name: self.start_named(name) for name in self.names}
        self.members = {
            name: self.member(name, kind)
            for name, kind in zip(self.names, itertools.cycle(self.kinds), strict=False)
        }
        self.load = Load(self.port)
        self.load.start()
        self.addCleanup(self.load.stop)
        self.all_serve(0.0, self.names)

    def member(self, name: str, kind: Kind) -> Program:
        """A member of the group."""
        return self.join(name, kind, self.table, self.services[name])

    def all_serve(self, moment: float, names: Sequence[str]) -> None:
        """Everybody who dials after a moment is served, each of these members serves, and no other."""
        answers = self.load.after(
            moment,
            lambda found: len(found) >= ENOUGH_USERS and {each.name for each in found} >= set(names),
        )
        unserved = [each for each in answers if each.name not in names]
        self.assertEqual(unserved, [])

    def all_serve_soon(self, names: Sequence[str]) -> None:
        """Each of these members serves somebody from now on."""
        self.load.after(time.monotonic(), lambda found: {each.name for each in found} >= set(names))

    def test_killed(self) -> None:
        """A member that is killed costs none of the users who come from then on."""
        self.members["b"].kill()
        self.all_serve(time.monotonic(), ["a", "c"])

    def test_rolling_restart(self) -> None:
        """Members that leave in order cost none of the users who come from then on, and serve again later."""
        for name, kind in zip(self.names, itertools.cycle(self.kinds), strict=False):
            self.members[name].terminate()
            self.members[name].wait_for_end()
            left = time.monotonic()
            self.all_serve(left, [each for each in self.names if each != name])
            self.members[name] = self.member(name, kind)
        self.all_serve(time.monotonic(), self.names)


class FrozenTests(LoadTests):
    """The same with frp's clients among them; and stopped members, which only a link that is asked shows."""

    skip = missing_frp()
    kinds = (KINDS[1], KINDS[3], KINDS[2])

    def test_frozen(self) -> None:
        """A member that hangs costs none of the users who come from then on, and serves again later."""
        for name in ("a", "b"):
            frozen_member = self.members[name]
            frozen_member.freeze()
            self.all_serve(time.monotonic(), [each for each in self.names if each != name])
            frozen_member.thaw()
            self.all_serve_soon(self.names)


class WithoutMuxTests(LoadTests):
    """The same without mux: each work connection is one of its own."""

    table = {"transport.tcpMux": False}

    def start_server(self, table: Table = NOTHING, command: Sequence[str] = ()) -> Program:
        """A server without mux, as its clients are."""
        return super().start_server({**table, **self.table}, command)
