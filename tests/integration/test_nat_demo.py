"""``relaykit demo --nat`` as a program: it makes a laboratory, and nothing is left of it.  Root only."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.commands.demo.laboratory import ROUTERS, SERVER, VISITOR, Laboratory, check_machine
from relaykit.commands.demo.namespaces import entered
from relaykit.errors import RelaykitError
from tests.integration.programs import PATIENCE_S, Program, relaykit_command
from tests.layering import ROOT

ATTEMPTS = 5
"""How often a demonstration is run: on a machine that stands still for seconds a path may come too late."""

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")

NO_QUIC = "import sys; sys.modules.update(qh3=None, aioquic=None)\n"
"""Has Python believe that these libraries are not installed."""


class LaboratoryTestCase(SynchronousTestCase):
    """Skipped where there can be no laboratory."""

    def setUp(self) -> None:
        """Looks whether there can be one."""
        try:
            check_machine()
        except RelaykitError as error:
            raise SkipTest(str(error)) from error


class NatDemoTests(LaboratoryTestCase):
    """Tests for the whole command."""

    def setUp(self) -> None:
        """Has it put its files into a folder of this test."""
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.temporary = self.folder / "temporary"
        self.temporary.mkdir(parents=True)
        self.forwarding = FORWARDING.read_text()

    def begin(
        self, *words: str, before: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> Program:
        """Starts it."""
        command = (*before, *relaykit_command("demo", "--nat", *words))
        demo = Program(command, self.folder, {"TMPDIR": str(self.temporary), **(environ or {})})
        self.addCleanup(demo.stop)
        return demo

    def until(self, status: int, *words: str, **environ: str) -> str:
        """What it told when it ended as it should."""
        for _ in range(ATTEMPTS):
            demo = self.begin(*words, environ=environ)
            ended = demo.wait_for_end()
            self.assertEqual(self.left(), [])
            if ended == status:
                break
        self.assertEqual(ended, status, demo.output)
        return demo.output

    def left(self) -> list[str]:
        """What there is of it: files, and programs that were started with them."""
        return [*map(str, self.temporary.iterdir()), *self.programs()]

    def programs(self) -> Iterator[str]:
        """The command lines of its programs: in their namespaces they are all that could be left."""
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has ended meanwhile
                continue
            if str(self.temporary) in command:
                yield command

    def test_direct(self) -> None:
        """Between cones bytes go directly: each step is told, the status is 0, and nothing is left."""
        told = " ".join(self.until(0, "--once").split())
        for words in (
            "server listens at 192.0.1.1:7000",
            "owner logs in to the server",
            "visitor logs in to the server",
            "owner learns by STUN: others see it as 192.0.1.20:",
            "its NAT keeps its port",
            "visitor learns by STUN: others see it as 192.0.1.10:",
            "visitor has a direct path with 192.0.1.20:",
            "owner has a direct path with 192.0.1.10:",
            "made of UDP, with QUIC on it",
            "has a byte there and back in",
            "counted meanwhile: 4.",
        ):
            self.assertIn(words, told)
        self.assertEqual(FORWARDING.read_text(), self.forwarding)

    def test_without_quic(self) -> None:
        """Without a library for QUIC the path is made of TCP, and the story names what is missing."""
        (self.folder / "sitecustomize.py").write_text(NO_QUIC)
        told = self.until(0, "--once", PYTHONPATH=f"{self.folder}:{ROOT}")
        self.assertIn("made of TCP", told)
        self.assertIn("relaykit[quic]", told)

    def test_relayed(self) -> None:
        """Between symmetric NATs nothing goes directly; that is told, and no success."""
        told = self.until(1, "--once", "--routers", "symmetric")
        self.assertIn("visitor   gets no direct path: these two NATs cannot be punched", told)
        self.assertIn("0 bytes from home to home", told)
        self.assertIn("the user's bytes went through the relay", told)
        self.assertNotIn("Traceback", told)

    def test_ended(self) -> None:
        """A signal ends it in order, at any time."""
        for text, number in (("server    listens", signal.SIGINT), ("round trip", signal.SIGTERM)):
            demo = self.begin()
            demo.wait_for(text)
            demo.signal(number)
            self.assertEqual(demo.wait_for_end(), 0, demo.output)
            self.assertEqual(self.left(), [])

    def test_killed(self) -> None:
        """If it is killed, its programs and their files go with it."""
        demo = self.begin()
        demo.wait_for("owner     logs in")
        self.assertEqual(len(list(self.temporary.iterdir())), 1)
        demo.kill()
        deadline = time.monotonic() + PATIENCE_S
        while self.left():
            self.assertLess(time.monotonic(), deadline, self.left())
            time.sleep(0.05)  # the kernel tells nobody when they are gone

    def test_may_not(self) -> None:
        """Root of a container that may make no namespaces, or nothing in them, is told so, and no more."""
        for capability in ("sys_admin", "net_admin"):
            without = f"-{capability}"
            before = ("setpriv", "--bounding-set", without, "--inh-caps", without)
            demo = self.begin("--once", before=before)
            self.assertEqual(demo.wait_for_end(), 1)
            self.assertTrue(demo.output.startswith("this machine lets nobody make "), demo.output)
            self.assertIn(f"the capability {capability.upper()}", demo.output)
            self.assertEqual(self.left(), [])


class LaboratoryTests(LaboratoryTestCase):
    """Tests with real namespaces."""

    def setUp(self) -> None:
        """Makes one, where there can be any."""
        super().setUp()
        self.laboratory = Laboratory(ROUTERS["cone"])
        self.addCleanup(self.laboratory.down)
        self.laboratory.up()

    def test_routers(self) -> None:
        """A datagram reaches the server from the router's address, and only an answer gets in."""
        homes = self.laboratory.machines
        with entered(self.laboratory.internet):
            server = socket.socket(type=socket.SOCK_DGRAM)
        with entered(homes[VISITOR.name]):
            visitor = socket.socket(type=socket.SOCK_DGRAM)
        with server, visitor:
            for each in (server, visitor):
                each.settimeout(30)
            server.bind((SERVER[0], 7000))
            visitor.sendto(b"hello", (SERVER[0], 7000))
            data, source = server.recvfrom(100)
            self.assertEqual((data, source[0]), (b"hello", VISITOR.wan))
            with entered(self.laboratory.internet), socket.socket(type=socket.SOCK_DGRAM) as stranger:
                stranger.sendto(b"unasked", source)
            server.sendto(b"answer", source)
            self.assertEqual(visitor.recv(100), b"answer")
        counted = self.laboratory.counted()
        self.assertEqual(counted.direct, 0)
        self.assertGreater(counted.by_server, 0)

    def test_gone(self) -> None:
        """It leaves no descriptors."""
        descriptors = set(os.listdir("/proc/self/fd"))
        other = Laboratory(ROUTERS["symmetric"])
        other.up()
        other.down()
        self.assertEqual(set(os.listdir("/proc/self/fd")), descriptors)
