"""Users of a direct path between two clients of ours behind routers: programs, crowds, bad weather, moves."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.carriers.quic.lines import missing
from tests.integration.faults.case import takes_long
from tests.integration.programs import PATIENCE_S, Program
from tests.integration.relays import NOTHING, SECRET_KEY, Table
from tests.integration.ssh import Sshd
from tests.integration.traffic import (
    FROM_SERVICE,
    LOOPBACK,
    echo,
    end_of,
    order,
    receive,
    receive_exactly,
)
from tests.integration.walkthrough import HOST, need
from tests.natlab.namespaces import entered
from tests.natlab.programs import MADE, SECRET, SERVICE_PORT, STUN_ADDRS, LabProgramsCase

MANY_USERS = 100

MUCH_BYTES = 48 * 1024 * 1024
"""More than all windows and buffers of a path hold."""

PAGE = random.Random(1).randbytes(8 * 1024 * 1024)


class DirectUsersCase(LabProgramsCase):
    """Users on machine A."""

    skip = missing()

    def user_runs(self, *command: str) -> bytes:
        """What a user's program prints; it must succeed."""
        done = subprocess.run(
            self.at("ca", command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.assertEqual(done.returncode, 0, (command, done.stdout[-2000:], done.stderr))
        return done.stdout

    def converse_and_end(self, port: int, seeds: Sequence[int], size: int) -> None:
        """As many users at once, each with bytes of its own, which it is sent back to the end.

        All are connected before the first speaks, and have ended what they say before the first is heard.
        """
        with entered(self.lab.space("ca")):
            users = [order(port, "echo") for _ in seeds]
        words = [random.Random(seed).randbytes(size) for seed in seeds]

        def speak(place: int) -> None:
            users[place].sendall(words[place])
            users[place].shutdown(socket.SHUT_WR)

        with ThreadPoolExecutor(len(users)) as threads:
            list(threads.map(speak, range(len(users))))
            heard = list(threads.map(end_of, users))
        for user in users:
            user.close()
        self.assertEqual([place for place, said in enumerate(words) if heard[place] != said], [])

    def wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        """Waits until something holds that nobody tells of."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def check_one_path(self, visitor: Program) -> None:
        """The visitor has made one path, and has it still."""
        self.assertEqual(visitor.output.count(MADE), 1)
        self.assertNotIn("the direct path ended", visitor.output)


class ProgramTests(DirectUsersCase):
    """Programs that people use."""

    def test_programs(self) -> None:
        """Pages come as they were written, and transfers in all directions end well."""
        need("curl", "iperf3")
        web, bulk = 8080, 5201
        (self.folder / "page").write_bytes(PAGE)
        serving = [sys.executable, "-u", "-m", "http.server", "--bind", LOOPBACK, str(web)]
        self.run_at("cb", serving).wait_for("Serving HTTP")
        iperf = self.run_at("cb", ["iperf3", "-s", "--forceflush", "-p", str(bulk)])
        self.connect(web, bulk)
        url = f"http://{LOOPBACK}:{web}/page"
        self.assertEqual(self.user_runs("curl", "-sS", url, url), 2 * PAGE)
        for number, direction in enumerate(([], ["-R"], ["--bidir", "-P", "4"]), 1):
            # It serves one at a time, and refuses others.
            iperf.wait_for("Server listening", number)
            self.user_runs("iperf3", "-c", LOOPBACK, "-p", str(bulk), "-t", "1", *direction)

    def test_ssh(self) -> None:
        """A shell behind two routers."""
        sshd = Sshd(self.folder / "sshd", 2222, self.at("cb", ()))
        self.addCleanup(sshd.program.stop)
        sshd.wait()
        self.connect(sshd.port)
        ssh = (*sshd.client, "-p", str(sshd.port), HOST)
        self.assertEqual(self.user_runs(*ssh, "echo reached"), b"reached\n")
        sent = self.user_runs(*ssh, "head -c 5000000 /dev/zero")
        self.assertEqual(sent, bytes(5_000_000))


class CrowdTests(DirectUsersCase):
    """Many users of one path."""

    def test_crowd(self) -> None:
        """A hundred users share a path; one who does not read holds up nobody, and gets everything later."""
        self.service()
        both = self.connect(SERVICE_PORT)
        # Until then they look at their networks.
        self.wait_until("each has one socket", lambda: all(len(each.udp_ports()) == 1 for each in both))
        before = [each.udp_ports() for each in both]
        with entered(self.lab.space("ca")):
            slow = order(SERVICE_PORT, "download", MUCH_BYTES, buffers=16 * 1024)
        with slow:
            self.assertEqual(receive_exactly(slow, 1), FROM_SERVICE.at(0, 1))
            self.converse_and_end(SERVICE_PORT, range(MANY_USERS), 100_000)
            self.assertEqual([each.udp_ports() for each in both], before)
            receive(slow, FROM_SERVICE, MUCH_BYTES, begin=1)
        self.check_one_path(both[0])

    def test_bad_weather(self) -> None:
        """Where datagrams are late by 20 to 25 ms, and one in a hundred is lost, all users are served."""
        self.weather(0.02, loss=0.01, jitter_s=0.005)
        self.service()
        visitor, _ = self.connect(SERVICE_PORT)
        self.converse_and_end(SERVICE_PORT, range(20), 20_000)
        self.check_one_path(visitor)


class MeetingTests(DirectUsersCase):
    """Many paths."""

    def test_many_meetings(self) -> None:
        """Sixteen pairs meet at the same moment, and each has one socket afterwards."""
        ports = range(SERVICE_PORT, SERVICE_PORT + 16)
        for port in ports:
            self.service(echo, port)
        self.serve()
        owner = self.offer(*ports)
        parts = (("ca", ports[:8]), ("ca2", ports[8:]))
        visiting = [self.visit(*part, role=role) for role, part in parts]
        with ThreadPoolExecutor(len(ports)) as threads:
            users = [threads.submit(self.reach, port, role=role) for role, part in parts for port in part]
        for user in users:
            user.result()
        self.wait_until(
            "the others are closed",
            lambda: [len(each.udp_ports()) for each in (owner, *visiting)] == [16, 8, 8],
        )
        self.assertEqual([each.output.count(MADE) for each in visiting], [8, 8])


class EndingTests(DirectUsersCase):
    """The end of the services' client, and a new one."""

    def begin(self) -> tuple[Program, Program]:
        """Both clients, and a user who was served."""
        self.service(echo)
        both = self.connect(SERVICE_PORT)
        self.reach(SERVICE_PORT)
        return both

    def check_again(self) -> None:
        """A new client serves users."""
        self.offer(SERVICE_PORT)
        self.reach(SERVICE_PORT)

    def test_stopped(self) -> None:
        """One that is stopped is gone for its visitor, too, which need not find that out."""
        visitor, owner = self.begin()
        owner.stop()
        visitor.wait_for("the direct path ended: finished")
        self.check_again()
        self.assertNotIn("answers nothing any more", visitor.output)

    @takes_long
    def test_crashed(self) -> None:
        """One that crashes is missed."""
        visitor, owner = self.begin()
        owner.kill()
        visitor.wait_for("answers nothing any more")
        self.check_again()


class BlockedTests(DirectUsersCase):
    """Networks that let out less, with the server where web pages are."""

    skip = None
    routers = ("udpblock", "udpblock")

    def setUp(self) -> None:
        """Has the server at the port of web pages."""
        super().setUp()
        self.bind_port = 443

    def test_no_udp(self) -> None:
        """Without UDP the path is one of TCP, between the very ports that talk to the server's port 443."""
        self.service()
        visitor, _ = self.connect(SERVICE_PORT)
        self.converse_and_end(SERVICE_PORT, range(20), 10_000)
        self.check_one_path(visitor)

    def check_other_way(self, server: Table) -> None:
        """Users reach the service by the visitor that is named for this."""
        self.service()
        self.serve(server)
        other = {"type": "stcp", "secretKey": SECRET_KEY}
        proxies = [
            {"name": "direct", "localPort": SERVICE_PORT, **SECRET},
            {"name": "relayed", "localPort": SERVICE_PORT, **other},
        ]
        visitors = [
            {
                "name": "visitor",
                "serverName": "direct",
                "bindPort": SERVICE_PORT,
                "fallbackTo": "other",
                "fallbackTimeoutMs": 300,
                **SECRET,
            },
            {"name": "other", "serverName": "relayed", "bindPort": -1, **other},
        ]
        self.client("cb", proxies)
        visitor = self.client("ca", visitors=visitors)
        self.converse_and_end(SERVICE_PORT, range(3), 10_000)
        self.assertIn("goes by way of [other]", visitor.output)
        self.assertNotIn(MADE, visitor.output)

    def test_web_pages_only(self) -> None:
        """Who may reach web pages only gets no direct path."""
        self.lab.set_nat("a", "tcp443")
        self.check_other_way(STUN_ADDRS)

    def test_both_random(self) -> None:
        """Nor do two whose routers draw their ports, by a server with one address."""
        for side in "ab":
            self.lab.set_nat(side, "symrnd")
        self.check_other_way(NOTHING)


class MovingTests(DirectUsersCase):
    """What routers do under a path that is in use: the streams of users live on."""

    routers = ("full", "full")

    def check_moves(self, *moves: Callable[[], None]) -> None:
        """A user speaks before and after each of these moves."""
        # Without it the routers would forget nothing.
        need("conntrack")
        self.service()
        visitor, _ = self.connect(SERVICE_PORT)
        with entered(self.lab.space("ca")):
            user = order(SERVICE_PORT, "echo")
        with user:
            for place, move in enumerate((lambda: None, *moves)):
                move()
                said = random.Random(place).randbytes(50_000)
                user.sendall(said)
                self.assertEqual(receive_exactly(user, len(said)), said)
            self.converse_and_end(SERVICE_PORT, range(5), 10_000)
            user.shutdown(socket.SHUT_WR)
            self.assertEqual(end_of(user), b"")
        self.check_one_path(visitor)

    def test_users_side(self) -> None:
        """A router forgets all it knows, then gives other ports, then has another outer address."""
        self.check_moves(
            partial(self.lab.set_nat, "a", "full"),
            partial(self.lab.set_nat, "a", "fullshift"),
            partial(self.lab.move, "a", "192.0.1.9"),
        )

    def test_services_side(self) -> None:
        """The other side's router has another outer address: that end is found once it says something."""
        self.check_moves(partial(self.lab.move, "b", "192.175.48.9"))
