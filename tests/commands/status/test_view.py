"""Tests for :mod:`relaykit.commands.status.view`."""

from __future__ import annotations

from typing import Any

from attrs import evolve, fields, has
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.status import (
    ClientStatus,
    PeerProof,
    ProxyStatus,
    RegistrationState,
    VisitorStatus,
)
from relaykit.commands.status import server, view
from relaykit.commands.status.view import (
    MOST_ADDRESSES,
    MOST_LETTERS,
    ConnectionState,
    EntryPoint,
    LastProblem,
    Snapshot,
    StatusView,
    UserRequest,
    is_solved,
)
from relaykit.commands.tunnels.logins import ServerName
from relaykit.dataplane.plane import FlowCounts
from relaykit.escaping import printable, printable_lines
from relaykit.values import Address, Exchange

RELAY = ServerName("relay.example")


def proxy(address: str = "", running: bool = True, name: str = "ssh") -> ProxyStatus:
    """A proxy as a client tells of it."""
    state = RegistrationState.RUNNING if running else RegistrationState.WAITING
    return ProxyStatus(name=name, type="tcp", state=state, address=address)


class StatusViewTests(SynchronousTestCase):
    """Tests for :class:`StatusView`."""

    def seen(self, status: ClientStatus, **known: Any) -> Snapshot:
        """The snapshot of a status, at 100 seconds."""
        return StatusView(**{"server": RELAY, **known}).snapshot(status, 100.0, None)

    def entry_point(self, status: ClientStatus, **known: Any) -> EntryPoint:
        """The only entry_point of it."""
        (entry_point,) = self.seen(status, **known).entry_points
        return entry_point

    def test_state(self) -> None:
        """A client is connected, connects, or waits; each for some time."""
        for status, state, seconds in (
            (ClientStatus(), ConnectionState.CONNECTING, 0.0),
            (ClientStatus(since=90.0), ConnectionState.CONNECTING, 10.0),
            (ClientStatus(connected=True, since=40.0), ConnectionState.CONNECTED, 60.0),
            (ClientStatus(since=90.0, next_try=103.0), ConnectionState.WAITING, 3.0),
            (ClientStatus(since=90.0, next_try=99.0), ConnectionState.WAITING, 0.0),
            (ClientStatus(connected=True, since=40.0, stopping=True), ConnectionState.STOPPING, 0.0),
        ):
            snapshot = self.seen(status)
            self.assertEqual((snapshot.state, snapshot.seconds), (state, seconds))

    def test_words(self) -> None:
        """Each has its words; who stops says whom it waits for."""
        for status, words in (
            (ClientStatus(), "connecting to relay.example:7000"),
            (ClientStatus(connected=True), "connected to relay.example:7000"),
            (
                ClientStatus(connected=True, server_proof=PeerProof.CERTIFICATE),
                "connected to relay.example:7000",
            ),
            (
                ClientStatus(connected=True, server_proof=PeerProof.NONE),
                "connected to relay.example:7000, which did not prove itself",
            ),
            (
                ClientStatus(connected=True, way="wss at port 443"),
                "connected to relay.example:7000 by wss at port 443",
            ),
            (
                ClientStatus(since=0.0, next_try=102.6),
                "not connected to relay.example:7000, next attempt in 3 s",
            ),
            (ClientStatus(stopping=True), "stopping"),
            (
                ClientStatus(stopping=True, cut_at=108.0, flows=FlowCounts(present=2)),
                "2 users may finish, 8 s left; Ctrl-C again ends at once",
            ),
            (
                ClientStatus(stopping=True, cut_at=108.0, flows=FlowCounts(present=1)),
                "1 user may finish, 8 s left; Ctrl-C again ends at once",
            ),
        ):
            self.assertEqual(self.seen(status).state_text, words)

    def test_public_address(self) -> None:
        """The server tells a port; users need the name that it was dialed by."""
        status = ClientStatus(proxies=(proxy(":6000"),))
        self.assertEqual(self.entry_point(status).where, "relay.example:6000")
        self.assertEqual(self.entry_point(status, server=ServerName("::1")).where, "[::1]:6000")
        told = ClientStatus(proxies=(proxy("192.0.2.1:6000"),))
        self.assertEqual(self.entry_point(told).where, "192.0.2.1:6000")

    def test_url(self) -> None:
        """What is for browsers has a URL: told by the server, or known to whoever typed the line."""
        status = ClientStatus(proxies=(proxy(":6000"),))
        self.assertEqual(self.entry_point(status).url, "")
        self.assertEqual(self.entry_point(status, schemes={"ssh": "http"}).url, "http://relay.example:6000/")
        named = self.entry_point(
            ClientStatus(proxies=(proxy("a.example:8443,b.example:8443"),)), schemes={"ssh": "https"}
        )
        self.assertEqual(named.url, "https://a.example:8443/")
        self.assertEqual(named.where, "https://a.example:8443/, https://b.example:8443/")
        told = ClientStatus(proxies=(proxy("https://app.relay.example"),))
        self.assertEqual(self.entry_point(told).url, "https://app.relay.example")

    def test_web_urls(self) -> None:
        """A site has a URL for each domain and path, without a port that all know; a wildcard has none."""
        for address, scheme, paths, where in (
            ("a.example", "http", (), "http://a.example/"),
            ("a.example:80", "http", (), "http://a.example/"),
            ("a.example:443", "https", (), "https://a.example/"),
            ("a.example:443", "http", (), "http://a.example:443/"),
            ("a.example:8080", "http", (), "http://a.example:8080/"),
            ("[::1]:80", "http", (), "http://[::1]/"),
            (
                "a.example,a.example,b.example,b.example",
                "http",
                ("/a", "/b c/"),
                "http://a.example/a, http://a.example/b%20c/, http://b.example/a, http://b.example/b%20c/",
            ),
            ("*.example:8080,b.example:8080", "http", (), "*.example:8080, http://b.example:8080/"),
            ("https://*.example,b.example", "http", (), "*.example, http://b.example/"),
            ("https://a.example", "http", ("/a",), "https://a.example/a"),
            ("https://a.example:443,b.example", "http", (), "https://a.example/, http://b.example/"),
            ("https://a.example/b", "http", (), "https://a.example/b"),
        ):
            status = ClientStatus(proxies=(proxy(address),))
            seen = self.entry_point(status, schemes={"ssh": scheme}, paths={"ssh": paths})
            self.assertEqual(seen.where, where)
            self.assertEqual(seen.url, next(each for each in where.split(", ") if "*" not in each))
        every = self.entry_point(ClientStatus(proxies=(proxy("*:8080"),)), schemes={"ssh": "http"})
        self.assertEqual((every.where, every.url), ("*:8080", ""))

    def test_visitor(self) -> None:
        """A visitor is open once it listens."""
        closed = self.entry_point(ClientStatus(visitors=(VisitorStatus(name="v"),)), leads_to={"v": "db"})
        self.assertEqual(closed, EntryPoint(name="v", leads_to="db"))
        for users in (0, 1):
            standing = VisitorStatus(name="v", local="virtual_net:", users=users)
            point = self.entry_point(ClientStatus(visitors=(standing,)))
            self.assertEqual((point.open, point.where), (bool(users), "virtual_net:"))
        listening = VisitorStatus(name="v", listening=Address("127.0.0.1", 5432), way="a direct path")
        opened = self.entry_point(ClientStatus(visitors=(listening,)))
        self.assertEqual((opened.open, opened.where, opened.way), (True, "127.0.0.1:5432", "a direct path"))

    def test_reason(self) -> None:
        """A proxy that is not open says why."""
        status = ClientStatus(proxies=(evolve(proxy(running=False), reason="check failed: refused"),))
        self.assertEqual(self.entry_point(status).reason, "check failed: refused")

    def test_asks_again(self) -> None:
        """What was refused is asked for again, and it is known when; a connection for nothing is told."""
        refused = evolve(proxy(running=False), reason="port already used", next_try=127.4)
        status = ClientStatus(connected=True, since=0.0, proxies=(refused,))
        self.assertEqual(self.entry_point(status).why_not, "not open: port already used; asks again in 27 s")
        self.assertEqual(self.seen(status).state_text, "connected to relay.example:7000, but nothing is open")
        for other in (
            ClientStatus(connected=True, proxies=(refused, proxy(name="other"))),
            ClientStatus(connected=True, proxies=(proxy(running=False),)),
            ClientStatus(connected=True),
            ClientStatus(proxies=(refused,)),
        ):
            self.assertFalse(self.seen(other).nothing_open)

    def test_nobody_offers(self) -> None:
        """A visitor whose service nobody has is open in vain."""
        reason = "register visitor conn error: custom listener for [db] doesn't exist"
        visitor = VisitorStatus(name="v", listening=Address("127.0.0.1", 5432), reason=reason)
        seen = self.entry_point(ClientStatus(visitors=(visitor,)))
        self.assertEqual((seen.open, seen.reason), (True, "nobody offers it now"))

    def test_hostile_server(self) -> None:
        """Nothing of what a server says speaks to the terminal, and it is cut where it is long."""
        told = evolve(proxy(":6000\x1b[2J\n"), reason="no\x1b]0;title\x07" + 5000 * "x")
        seen = self.entry_point(ClientStatus(proxies=(told,)), schemes={"ssh": "http"})
        for text in (seen.where, seen.url, seen.reason):
            self.assertTrue(text.isprintable(), text)
        self.assertLess(len(seen.reason), MOST_LETTERS + 10)
        many = ",".join(f"{number}.example" for number in range(100))
        where = self.entry_point(ClientStatus(proxies=(proxy(many),))).where
        self.assertEqual(len(where.split(", ")), MOST_ADDRESSES + 1)
        self.assertTrue(where.endswith(", 92 more"), where)

    def test_solved(self) -> None:
        """The loss of a session is solved by the next one, and a closed proxy by its opening."""
        lost = LastProblem(text="lost", known=None, at=1.0, closes=True)
        closed = evolve(lost, proxy="ssh")
        for problem, status, solved in (
            (lost, ClientStatus(connected=True, since=2.0), True),
            (lost, ClientStatus(connected=True, since=0.5), False),
            (lost, ClientStatus(since=2.0), False),
            (evolve(lost, closes=False), ClientStatus(connected=True, since=2.0), False),
            (closed, ClientStatus(connected=True, since=2.0, proxies=(proxy(running=False),)), False),
            (closed, ClientStatus(connected=True, since=0.0, proxies=(proxy(),)), True),
            (closed, ClientStatus(connected=True, since=0.0, proxies=(proxy(name="other"),)), False),
            (closed, ClientStatus(visitors=(VisitorStatus(name="ssh", listening=Address("::1", 1)),)), True),
            (closed, ClientStatus(visitors=(VisitorStatus(name="ssh"),)), False),
        ):
            self.assertEqual(is_solved(problem, status), solved, (problem, status))

    def test_ended(self) -> None:
        """At the end it is told what it was all in all."""
        status = ClientStatus(stopping=True, flows=FlowCounts(total=3, near_to_far=234, far_to_near=1600))
        ended = StatusView(server=RELAY).snapshot(status, 100.0, None, ended=True)
        self.assertEqual(ended.state_text, "ended: 3 users, 234 bytes down, 1.6 kB up")

    def test_all_the_rest(self) -> None:
        """Traffic and round trip are passed on; a proxy without an address has its line."""
        flows = FlowCounts(present=1, total=2, near_to_far=3, far_to_near=4)
        status = ClientStatus(proxies=(proxy(),), flows=flows, round_trip_s=0.02)
        snapshot = self.seen(
            status, leads_to={"ssh": "127.0.0.1:22"}, hints={"ssh": "for some"}, lines={"ssh": "how to"}
        )
        self.assertEqual((snapshot.flows, snapshot.round_trip_s), (flows, 0.02))
        self.assertEqual(
            snapshot.entry_points,
            (EntryPoint(name="ssh", leads_to="127.0.0.1:22", open=True, where="for some", line="how to"),),
        )


class PrintableTests(SynchronousTestCase):
    """Whatever shows a snapshot may write all of it to a terminal."""

    def test_every_text(self) -> None:
        """Every text of every class that is shown can be printed, whoever makes it, and of what."""
        found = set()
        for module in (view, server):
            for cls in filter(has, vars(module).values()):
                for each in fields(cls):
                    if cls.__module__ == module.__name__ and str(each.type) == "str":
                        self.assertIn(each.converter, (printable, printable_lines), f"{cls}: {each.name}")
                        found.add(cls.__name__)
        self.assertGreaterEqual(
            found,
            {
                "EntryPoint",
                "LastProblem",
                "UserRequest",
                "Snapshot",
                "ClientRow",
                "ProxyRow",
                "ServerSnapshot",
            },
        )
        problem = LastProblem(text="\x1b[2J\n", known=None, at=0.0)
        self.assertEqual(problem.text, "\\x1b[2J\\n")


class UserRequestTests(SynchronousTestCase):
    """Tests for :class:`UserRequest`."""

    def shown(self, target: str = "/", status: int | None = 200, seconds: float = 0.0) -> UserRequest:
        """A request as it is shown."""
        return UserRequest.of(
            "web", Exchange(method="GET", target=target, status=status, seconds=seconds, sent=1234)
        )

    def test_shown(self) -> None:
        """An exchange is shown by what was asked and how it was answered."""
        seen = self.shown("/a?b=c")
        self.assertEqual((seen.proxy, seen.method, seen.target), ("web", "GET", "/a?b=c"))
        self.assertEqual((seen.answer, seen.size), ("200", "1.2 kB"))
        self.assertEqual(self.shown(status=None).answer, "no answer")

    def test_time(self) -> None:
        """Its time is told in milliseconds, or in seconds where it took long."""
        for seconds, took in ((0.0, "0 ms"), (0.0124, "12 ms"), (0.999, "999 ms"), (61.25, "61.2 s")):
            self.assertEqual(self.shown(seconds=seconds).took, took)

    def test_one_line(self) -> None:
        """Nothing in it speaks to a terminal, and it is cut where it is long."""
        self.assertEqual(self.shown("/\x1b[2J\n").target, "/\\x1b[2J\\n")
        target = self.shown("/" + 5000 * "x").target
        self.assertEqual((len(target), target[-4:]), (MOST_LETTERS, "x..."))
