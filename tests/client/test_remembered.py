"""Tests of what is remembered of servers."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client import remembered
from relaykit.client.remembered import FILE_NAME, Remembered, RememberedServers
from relaykit.sansio.control.ways import Silence, WayMemory
from relaykit.state import StateDirectory, StateUnavailable

SERVER = "relay.example:7000"
PROVEN = Remembered(speaks_v2=True, bound=True, certificate="sha256:01")


class RememberedServersTests(SynchronousTestCase):
    """Learning and forgetting."""

    def setUp(self) -> None:
        self.state = StateDirectory(Path(self.mktemp()))
        self.servers = RememberedServers(self.state)

    def test_unknown(self) -> None:
        """Of a server that was never seen nothing is known."""
        self.assertEqual(self.servers.get(SERVER), Remembered())
        self.assertFalse(self.state.path.exists())

    def test_kept(self) -> None:
        """What was learned is known to the next program."""
        self.servers.learn(SERVER, PROVEN)
        self.assertEqual(RememberedServers(self.state).get(SERVER), PROVEN)
        self.assertEqual(RememberedServers(self.state).get("relay.example:7001"), Remembered())

    def test_nothing_gets_lost(self) -> None:
        """What was proven once stays, whatever is seen later; a newer certificate takes the place."""
        self.servers.learn(SERVER, PROVEN)
        self.servers.learn(SERVER, Remembered())
        self.assertEqual(self.servers.get(SERVER), PROVEN)
        self.servers.learn(SERVER, Remembered(certificate="sha256:02"))
        self.assertEqual(self.servers.get(SERVER).certificate, "sha256:02")

    def test_others_learn_too(self) -> None:
        """Two programs with one directory do not take from each other what they learned."""
        other = RememberedServers(self.state)
        self.servers.learn(SERVER, PROVEN)
        other.learn("b.example:7000", PROVEN)
        self.servers.learn("c.example:7000", PROVEN)
        self.assertEqual(len(self.state.read_json(FILE_NAME)), 3)

    def test_written_once(self) -> None:
        """What is known already is not written again."""
        written: list[str] = []
        keep = StateDirectory.write_json

        def write_json(state: StateDirectory, name: str, value: object) -> None:
            written.append(name)
            keep(state, name, value)

        self.patch(StateDirectory, "write_json", write_json)
        for _ in range(2):
            self.servers.learn(SERVER, PROVEN)
        self.assertEqual(written, [FILE_NAME])

    def test_forgotten_by_another_program(self) -> None:
        """What another program has forgotten is not known any more, and can be learned again."""
        self.servers.learn(SERVER, PROVEN)
        RememberedServers(self.state).forget(SERVER.partition(":")[0])
        self.assertEqual(self.servers.get(SERVER), Remembered())
        self.servers.learn(SERVER, PROVEN)
        self.assertEqual(RememberedServers(self.state).get(SERVER), PROVEN)

    def test_unreadable_is_not_forgotten(self) -> None:
        """What was read stays known while the file cannot be read: nobody has said to forget it."""
        RememberedServers(self.state).learn(SERVER, PROVEN)
        self.assertEqual(self.servers.get(SERVER), PROVEN)
        self.state.write(FILE_NAME, b"no JSON")
        with capturedLogs() as logged:
            self.assertEqual(self.servers.get(SERVER), PROVEN)
        self.assertEqual(len(logged), 1)

    def test_forgotten(self) -> None:
        """A server is forgotten by host and port, or all of a host at once."""
        for server in (SERVER, "relay.example:7001", "other.example:7000", "[::1]:7000"):
            self.servers.learn(server, PROVEN)
        self.assertEqual(self.servers.forget("relay.example", 7001), ["relay.example:7001"])
        self.assertEqual(self.servers.forget("relay.example", 7001), [])
        self.assertEqual(self.servers.forget("::1"), ["[::1]:7000"])
        self.assertEqual(self.servers.forget("relay.example"), [SERVER])
        self.assertEqual(self.servers.get(SERVER), Remembered())
        self.assertEqual(list(self.state.read_json(FILE_NAME)), ["other.example:7000"])

    def test_no_directory(self) -> None:
        """Without a state directory things are known until the program ends."""
        servers = RememberedServers(None)
        servers.learn(SERVER, PROVEN)
        self.assertEqual(servers.get(SERVER), PROVEN)
        self.assertEqual(servers.forget(SERVER), [])

    def test_unavailable(self) -> None:
        """Where the file cannot be read or written, that is said once, and things are known all the same."""
        self.state.write(FILE_NAME, b"no JSON")
        with capturedLogs() as logged:
            self.assertEqual(self.servers.get(SERVER), Remembered())
            self.servers.get(SERVER)
        self.assertEqual(len(logged), 1)
        blocked = Path(self.mktemp())
        blocked.write_bytes(b"")
        servers = RememberedServers(StateDirectory(blocked))
        with capturedLogs() as logged:
            servers.learn(SERVER, PROVEN)
            servers.learn("b:1", PROVEN)
        self.assertEqual((len(logged), servers.get(SERVER)), (1, PROVEN))
        self.assertRaises(StateUnavailable, servers.forget, SERVER)

    def test_entries_that_make_no_sense(self) -> None:
        """What is no statement is none."""
        self.state.write_json(FILE_NAME, {SERVER: {"bound": 1, "speaks_v2": "yes"}, "b:1": 7})
        self.assertEqual(self.servers.get(SERVER), Remembered())
        self.state.write_json(FILE_NAME, [])
        self.assertEqual(self.servers.get(SERVER), Remembered())

    def test_ways(self) -> None:
        """What happened on networks is kept for each, and what makes no sense is left out."""
        at_home = WayMemory("tcp:7000", 100.0, {"quic:7001": Silence(2, 50.0)})
        first = Remembered(carriers={"quic": 7001}, host="192.0.2.1", networks={"home": at_home})
        self.servers.learn(SERVER, first)
        self.servers.learn(SERVER, Remembered(carriers={}, networks={"work": WayMemory("wss:443", 200.0)}))
        known = RememberedServers(self.state).get(SERVER)
        self.assertEqual(list(known.networks), ["home", "work"])
        self.assertEqual((known.networks["home"], known.carriers, known.host), (at_home, {}, "192.0.2.1"))
        silences = {"y": 7, "z": {"times": -(10**400), "at": 1.0}}
        wrong = {"a": 1, "b": {}, "c": {"worked": "x", "worked_at": 1, "silences": silences}}
        self.state.write_json(FILE_NAME, {SERVER: {"carriers": {"a": 0, "b": 1}, "networks": wrong}})
        known = self.servers.get(SERVER)
        self.assertEqual((known.carriers, known.networks), ({"b": 1}, {"c": WayMemory("x", 1)}))

    def test_many_networks(self) -> None:
        """Those that were left longest ago are forgotten."""
        self.patch(remembered, "MOST_NETWORKS", 2)
        for number in range(4):
            self.servers.learn(SERVER, Remembered(networks={str(number): WayMemory("a:1", float(number))}))
        self.assertEqual(list(self.servers.get(SERVER).networks), ["2", "3"])

    def test_bounded(self) -> None:
        """No more than so many servers are kept; the next one is known until the program ends."""
        self.patch(remembered, "MOST_SERVERS", 1)
        self.servers.learn(SERVER, PROVEN)
        with capturedLogs() as logged:
            self.servers.learn("b:1", PROVEN)
        self.assertEqual(len(logged), 1)
        self.assertEqual(self.servers.get("b:1"), PROVEN)
        self.assertEqual(list(self.state.read_json(FILE_NAME)), [SERVER])
