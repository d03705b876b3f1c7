"""Tests for :mod:`relaykit.commands.status.server`."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status.server import MOST_ROWS, SHARE, ClientRow, FollowedServer, ProxyRow
from relaykit.dataplane.plane import FlowCounts
from relaykit.sansio.control.server_life import DRAIN_S, ServerState
from relaykit.server.status import ClientStatus, ProxyStatus, ServerStatus
from relaykit.values import Address
from tests.commands.status.snapshots import problem

READY = ServerStatus(state=ServerState.READY, since=90.0, port=7000, fingerprint="sha256:ab")
CLIENT = ClientStatus(
    user="alice",
    client_id="laptop",
    run_id="0123",
    version="0.1.0",
    wire=2,
    bound=True,
    hostname="vm",
    os="linux",
    arch="amd64",
    address=Address("203.0.113.9", 40000),
    first_connected_at=400.0,
    last_connected_at=940.0,
    disconnected_at=None,
)
PROXY = ProxyStatus(
    name="alice.ssh",
    type="tcp",
    user="alice",
    client_id="laptop",
    is_open=True,
    address=":6000",
    current=1,
    connections=3,
    traffic_in=100,
    traffic_out=900,
    last_start_at=940.0,
    last_close_at=None,
    common=None,
    options=None,
)


class FollowedServerTests(SynchronousTestCase):
    """Tests for :class:`FollowedServer`."""

    def setUp(self) -> None:
        """Follows a server at 100 seconds; it is 1000 seconds after 1970."""
        self.clock = Clock()
        self.clock.advance(100.0)
        self.now = READY
        self.asked = 0
        self.takes_s = 0.0
        self.followed = FollowedServer(self, self.clock, lambda: 1000.0)
        self.followed.begin(lambda request: None, watched=True)

    def status(self) -> ServerStatus:
        """What a test says."""
        self.asked += 1
        self.clock.advance(self.takes_s)
        return self.now

    def test_rows(self) -> None:
        """Who is there is shown, the last first, and what is open, with who has it."""
        gone = evolve(CLIENT, client_id="gone", disconnected_at=950.0)
        old = evolve(
            CLIENT, user="", client_id="old", hostname="", last_connected_at=500.0, bound=False, address=None
        )
        closed = evolve(PROXY, name="closed", is_open=False)
        idle = evolve(PROXY, name="idle", current=0, user="", client_id="nobody", address="")
        self.now = evolve(READY, clients=(old, CLIENT, gone), proxies=(idle, PROXY, closed))
        snapshot = self.followed.snapshot((problem("x"),))
        self.assertEqual(
            snapshot.clients,
            (
                ClientRow(
                    name="alice.vm", address="203.0.113.9", version="0.1.0", is_bound=True, seconds=60.0
                ),
                ClientRow(name="old", address="", version="0.1.0", is_bound=False, seconds=500.0),
            ),
        )
        self.assertEqual(
            snapshot.proxies,
            (
                ProxyRow(
                    name="alice.ssh",
                    type="tcp",
                    address=":6000",
                    client="alice.vm",
                    users=1,
                    connections=3,
                    moved=1000,
                ),
                ProxyRow(
                    name="idle", type="tcp", address="", client="nobody", users=0, connections=3, moved=1000
                ),
            ),
        )
        self.assertEqual((snapshot.client_count, snapshot.proxy_count), (2, 2))
        self.assertEqual(snapshot.problems, (problem("x"),))

    def test_bounded(self) -> None:
        """Of many, some are shown; what clients say of themselves says nothing to a terminal."""
        many = tuple(evolve(CLIENT, client_id=str(number), hostname="\x1b[2J" * 200) for number in range(300))
        proxies = tuple(evolve(PROXY, name=f"\n{number}") for number in range(300))
        self.now = evolve(READY, clients=many, proxies=proxies)
        snapshot = self.followed.snapshot(())
        self.assertEqual((len(snapshot.clients), len(snapshot.proxies)), (MOST_ROWS, MOST_ROWS))
        self.assertEqual((snapshot.client_count, snapshot.proxy_count), (300, 300))
        for name in (*(each.name for each in snapshot.clients), *(each.name for each in snapshot.proxies)):
            self.assertTrue(name.isprintable())
            self.assertLess(len(name), 400)

    def test_states(self) -> None:
        """Each state has its words, and its time."""
        for state, words, seconds in (
            (ServerState.STARTING, "starting", 10.0),
            (ServerState.READY, "ready: clients dial port 7000", 10.0),
            (ServerState.FAILED, "not running", 10.0),
        ):
            self.now = evolve(READY, state=state)
            snapshot = self.followed.snapshot(())
            self.assertEqual((snapshot.state_text, snapshot.seconds), (words, seconds))
        self.now = evolve(READY, state=ServerState.DRAINING, since=99.0, flows=FlowCounts(present=1))
        self.assertEqual(
            self.followed.snapshot(()).state_text,
            f"1 user may finish, {DRAIN_S - 1.0:.0f} s left; Ctrl-C again ends at once",
        )

    def test_end(self) -> None:
        """What it has done is told at the end, when the server knows nothing of it any more."""
        self.now = evolve(READY, flows=FlowCounts(total=3, near_to_far=234, far_to_near=1600))
        self.followed.snapshot(())
        self.now = ServerStatus(state=ServerState.STOPPED)
        for ended in (False, True):
            snapshot = self.followed.snapshot((), ended=ended)
        self.assertEqual(snapshot.state_text, "ended: 3 users, 234 bytes down, 1.6 kB up")
        self.followed.end()

    def test_never_ran(self) -> None:
        """Who could not start has nothing to tell of an end."""
        self.now = ServerStatus(state=ServerState.STOPPED)
        self.assertEqual(self.followed.snapshot((), ended=True).state_text, "not running")

    def test_large(self) -> None:
        """A status that takes long is not asked for at every look."""
        self.takes_s = 0.2
        for _ in range(10):
            self.followed.snapshot(())
            self.clock.advance(0.5)
        self.assertEqual(self.asked, 2)
        self.assertLessEqual(self.takes_s * SHARE, 5.0)

    def test_note(self) -> None:
        """What people have to know is in whatever comes; no key is its own."""
        self.followed.note = "call this"
        self.followed.key("r")
        self.assertEqual(self.followed.snapshot(()).note, "call this")
