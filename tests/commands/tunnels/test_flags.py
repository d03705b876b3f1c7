"""Tests for :mod:`relaykit.commands.tunnels.flags`."""

from __future__ import annotations

import click
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.tunnels.commands import TunnelCommand, find_tunnel
from tests.commands.tunnels.lines import BUILT_IN, TOKEN, Greeting, Odd, called


class FlagTests(SynchronousTestCase):
    """Tests for how options become flags."""

    def setUp(self) -> None:
        """Takes the odd type's form."""
        self.tunnel = TunnelCommand(Odd(), Odd.one_lines[0])

    def test_names(self) -> None:
        """Flags have the names of their keys, or those that the form gives them; tables are left out."""
        names = {name for each in self.tunnel.command().params for name in each.opts}
        wanted = {"--domain", "--strict", "--labels", "--pass-word-file", "--name", "--server"}
        self.assertLessEqual(wanted, names)
        self.assertEqual({"--domains", "--pass-word", "--inner"} & names, set())

    def test_meaningless(self) -> None:
        """What would mean nothing is no flag: checks and URLs of datagrams, groups of who has none."""
        everywhere = {"--bandwidth-limit", "--bandwidth-limit-mode", "--proxy-protocol"}
        checks, groups, web = {"--health-check", "--health-check-path"}, {"--group", "--balance"}, {"--web"}
        for command, wanted in {
            "tcp": everywhere | checks | groups | web,
            "udp": everywhere,
            "secret": everywhere | checks | web,
            "secret --udp": everywhere,
            "visit": web,
            "visit --udp": set(),
        }.items():
            tunnel = find_tunnel(BUILT_IN, command)
            assert tunnel is not None
            names = {name for each in tunnel.command().params for name in each.opts}
            self.assertEqual(names & (everywhere | checks | groups | web), wanted, command)

    def test_own_key_first(self) -> None:
        """A type whose own key has the name of a flag of every proxy keeps it, and there is no other."""
        tunnel = TunnelCommand(Greeting(), Greeting.one_lines[0])
        names = [name for each in tunnel.command().params for name in each.opts]
        self.assertEqual(names.count("--proxy-protocol"), 1)
        (entry,) = tunnel.table(called(tunnel, "80", "--name", "n", "--proxy-protocol", "g"), {}, TOKEN)[
            "proxies"
        ]
        self.assertEqual(entry, {"type": "odd", "name": "n", "localPort": 80, "proxyProtocol": "g"})

    def test_summaries(self) -> None:
        """What a flag says is what the key says; for a secret, also where else it may come from."""
        options = self.tunnel.command().params
        summaries = {each.opts[0]: each.help for each in options if isinstance(each, click.Option)}
        self.assertEqual(summaries["--domain"], "names that lead here")
        self.assertEqual(
            summaries["--pass-word-file"], "file with it: what users must know; else RELAYKIT_PASS_WORD"
        )
