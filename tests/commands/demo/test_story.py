"""Tests for what the demonstration of a direct path tells."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.demo.laboratory import ROUTERS, Counted
from relaykit.commands.demo.story import (
    event_words,
    is_path_decided,
    is_ready,
    knows_nat,
    line,
    scene,
    times_words,
    total_words,
    went_direct,
)
from relaykit.commands.demo.user import Times

WIDTH = 79

PATH = {"message": "a direct path", "name": "direct", "peer": "192.0.1.20:5000", "protocol": "udp"}
NONE = {"message": "no", "problem": "hole-punching", "visitor": "direct", "reason": "they cannot be punched"}
NAT = {"message": "seen", "nat_type": "steady", "mapped": "192.0.1.10:5000", "words": "keeps its port"}


class EventTests(SynchronousTestCase):
    """Tests for what becomes of events of the programs' logs."""

    def test_server(self) -> None:
        """Of the server it is told that it listens, and nothing of what it says of clients."""
        self.assertIn("192.0.1.1:7000", event_words("server", {"message": "the server started successfully"}))
        self.assertEqual(event_words("server", {"message": "client login", "bound": True}), "")

    def test_clients(self) -> None:
        """Each step of a client is told in words; the rest of its log is not."""
        for event, words in (
            ({"message": "login", "bound": True}, "logs in"),
            (NAT, "others see it as 192.0.1.10:5000; its NAT keeps its port"),
            (PATH, "a direct path with 192.0.1.20:5000, made of UDP"),
            (NONE, "gets no direct path: they cannot be punched"),
            ({**PATH, "ended": "timeout"}, "loses the direct path: timeout"),
            ({"message": "by way of", "other": "relayed"}, "through the relay"),
        ):
            self.assertIn(words, event_words("visitor", event))
        self.assertEqual(event_words("visitor", {"message": "try to connect to server..."}), "")

    def test_without_quic(self) -> None:
        """A path that is made of TCP names what is missing for one of UDP."""
        words = event_words("owner", {**PATH, "protocol": "tcp"})
        self.assertIn("made of TCP", words)
        self.assertIn("relaykit[quic]", words)

    def test_waited_for(self) -> None:
        """The events that the story waits for are told from others."""
        self.assertTrue(is_ready({"message": "[1] [echo] start proxy success"}))
        self.assertFalse(is_ready({"message": "[1] [echo] start error: start proxy success is not near"}))
        self.assertTrue(knows_nat(NAT))
        self.assertFalse(knows_nat(PATH))
        self.assertEqual(list(map(is_path_decided, (PATH, NONE, NAT))), [True, True, False])


class VerdictTests(SynchronousTestCase):
    """Tests for what is counted."""

    def test_direct(self) -> None:
        """Bytes went directly if all of them did, and none by the server."""
        self.assertTrue(went_direct(Counted(direct=2100, by_server=40), 1000))
        self.assertFalse(went_direct(Counted(direct=0, by_server=4200), 1000))
        self.assertFalse(went_direct(Counted(direct=999, by_server=0), 1000))
        self.assertFalse(went_direct(Counted(direct=2100, by_server=1000), 1000))

    def test_words(self) -> None:
        """Bytes and times are told in the units of people."""
        self.assertEqual(
            total_words(Counted(direct=4_300_000, by_server=0)),
            "4.3 MB from home to home, 0 bytes by the server",
        )
        self.assertEqual(
            times_words(Times(0.5, 0.0012, 0.08), 2 << 20),
            "has a byte there and back in 1.2 ms, and 2 MiB in 80 ms",
        )


class WidthTests(SynchronousTestCase):
    """Tests for how it looks on a terminal of 80 columns."""

    def test_scene(self) -> None:
        """The scene names every address, for each kind of routers."""
        for routers in ROUTERS:
            told = scene(routers)
            self.assertLessEqual(max(map(len, told.splitlines())), WIDTH)
            for host in ("192.168.10.2", "192.0.1.10", "192.168.20.2", "192.0.1.20", "192.0.1.1"):
                self.assertIn(f" {host} ", told.replace("\n", " "))
            self.assertIn(routers, told)

    def test_line(self) -> None:
        """A long line goes on below its own words."""
        self.assertEqual(line("owner", "logs in"), "owner     logs in")
        first, second = line("owner", "word " * 20).splitlines()
        self.assertLessEqual(len(first), WIDTH)
        self.assertTrue(second.startswith(" " * 10 + "word"))
