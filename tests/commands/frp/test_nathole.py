"""Tests of ``relaykit frpc nathole discover``: frp's lines, and its exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.frp import nathole
from relaykit.nat.frp_discovery import DiscoveryFailed
from relaykit.sansio.nat.candidates import Interface
from relaykit.values import Address
from tests.commands.terminal import Printed, run_printed
from tests.commands.test_nat import Life

A, B = Address("198.51.100.7", 5000), Address("198.51.100.7", 5003)
LOCAL = Address("0.0.0.0", 40000)


class _Network:
    def __init__(self, reactor: Any) -> None:
        """Needs no reactor."""

    def interfaces(self) -> list[Interface]:
        """One address."""
        return [Interface("eth0", "198.51.100.7", 24)]


class NatholeTests(SynchronousTestCase):
    """From the command line to the lines."""

    def run_command(self, *words: str, found: Any = (A, B)) -> tuple[Printed, list[str]]:
        """Runs the command over a discovery of the test's own."""
        asked: list[str] = []

        async def discover(reactor: Any, network: Any, server: str, local: str) -> Any:
            asked.extend([server, local])
            if isinstance(found, Exception):
                raise found
            return found, LOCAL

        with (
            mock.patch.object(nathole, "discover", discover),
            mock.patch.object(nathole, "ProcessRunner", Life),
            mock.patch.object(nathole, "HostNetwork", _Network),
        ):
            printed = run_printed(["frpc", "nathole", "discover", *words], {}, lambda: None)
        return printed, asked

    def test_lines(self) -> None:
        """Six lines and status 0."""
        printed, _ = self.run_command("--nat-hole-stun-server", "stun.example:3478")
        lines = (
            "STUN server: stun.example:3478",
            "Your NAT type is: HardNAT",
            "Behavior is: BehaviorPortChanged",
            "External address is: [198.51.100.7:5000 198.51.100.7:5003]",
            "Local address is: 0.0.0.0:40000",
            "Public Network: true",
        )
        self.assertEqual(printed, Printed(0, "\n".join(lines) + "\n"))

    def test_failures(self) -> None:
        """Too few answers, and none, have frp's words and status 1."""
        for found, text in (
            ((A,), "discover error: can not get enough addresses, need 2, got: [198.51.100.7:5000]"),
            (DiscoveryFailed("no external address found"), "discover error: no external address found"),
        ):
            printed, _ = self.run_command("--nat-hole-stun-server", "a:1", found=found)
            self.assertEqual(printed, Printed(1, text + "\n"))

    def test_defect(self) -> None:
        """Anything else is complained of."""
        printed, _ = self.run_command("--nat-hole-stun-server", "a:1", found=OSError("no network"))
        self.assertEqual(printed, Printed(1, "", "no network\n"))

    def test_which_server(self) -> None:
        """The flag counts before the file, the file before frp's default."""
        path = Path(self.mktemp())
        path.write_text('natHoleStunServer = "stun.example:9"\n')
        self.assertEqual(self.run_command("-c", str(path))[1], ["stun.example:9", ""])
        self.assertEqual(self.run_command("-c", "no such file")[1], ["stun.easyvoip.com:3478", ""])
        asked = self.run_command("-c", str(path), "--nat_hole_stun_server", "b:2", "-l", ":5")[1]
        self.assertEqual(asked, ["b:2", ":5"])
        path.write_text('natHoleStunServer = ""\n')
        printed, asked = self.run_command("-c", str(path))
        self.assertEqual((printed.status, asked[:1]), (0, ["stun.easyvoip.com:3478"]))
