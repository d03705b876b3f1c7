"""Tests for the tables of frp's commands and flags."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.frp.flags import (
    FRPC,
    FRPS,
    PROXY_TYPES,
    VISITOR_TYPES,
)
from relaykit.flags.flag_types import LARGEST_INTEGER
from relaykit.flags.grammar import Call, Command, CommandLineError, Path, flags_of, parse


def paths(path: Path) -> Iterator[Path]:
    """A command and all below it."""
    yield path
    for child in path[-1].children:
        yield from paths((*path, child))


class TablesTests(SynchronousTestCase):
    """Tests for the tables as such."""

    def test_no_letter_twice(self) -> None:
        """No command has two flags of one name or letter."""
        for root in (FRPS, FRPC):
            for path in paths((root,)):
                own, inherited = flags_of(path)
                letters = [flag.short for flag in (*own, *inherited) if flag.short]
                self.assertEqual(len(letters), len(set(letters)), path[-1].name)

    def test_actions_exist(self) -> None:
        """Every command that runs has its function."""
        for root in (FRPS, FRPC):
            for path in paths((root,)):
                module, _, name = path[-1].action.partition(":")
                if module:
                    self.assertTrue(callable(getattr(importlib.import_module(module), name)))

    def test_defaults_are_readable(self) -> None:
        """A default is what its own text would be read as."""
        for root in (FRPS, FRPC):
            for path in paths((root,)):
                for flag in (*path[-1].flags, *path[-1].persistent):
                    if isinstance(flag.default, (int, str)) and not isinstance(flag.default, bool):
                        self.assertEqual(flag.type.read(str(flag.default)) or flag.default, flag.default)

    def test_types(self) -> None:
        """Every type has a command; the secret ones have one for visitors."""
        commands = {child.name: child for child in FRPC.children}
        for name in PROXY_TYPES:
            self.assertEqual(bool(commands[name].children), name in VISITOR_TYPES)


class PortRangesTests(SynchronousTestCase):
    """Tests for ``--allow_ports``."""

    def ports(self, text: str) -> tuple[Any, ...]:
        """What a value means."""
        call = parse(FRPS, ["--allow_ports", text])
        assert isinstance(call, Call)
        ranges: tuple[Any, ...] = call["allow-ports"]
        return ranges

    def test_ranges(self) -> None:
        """Numbers and ranges are separated by commas; white space does not matter."""
        self.assertEqual(
            self.ports(" 1 - 2 ,3,+4,5-5"),
            ({"start": 1, "end": 2}, {"single": 3}, {"single": 4}, {"single": 5}),
        )

    def test_refused(self) -> None:
        """What is no number, and a range that runs backwards, is refused."""
        for text in ("abc", "1-", "5-1", "1-2-3", "1,,2", str(LARGEST_INTEGER + 1)):
            with self.assertRaises(CommandLineError) as caught:
                self.ports(text)
            self.assertTrue(str(caught.exception).endswith('" flag: range number is invalid'), text)


class BandwidthTests(SynchronousTestCase):
    """Tests for ``--bandwidth_limit``."""

    def test_units(self) -> None:
        """A limit has a unit, of which there are two; it may be empty."""
        for text, limit in (("1MB", "1MB"), (" 1.5KB ", "1.5KB"), ("", "")):
            call = parse(FRPC, ["tcp", "--bandwidth_limit", text])
            assert isinstance(call, Call)
            self.assertEqual(call["bandwidth-limit"], limit)

    def test_refused(self) -> None:
        """Another unit, or no number, is refused."""
        for text in ("1GB", "1", "MB", "xKB"):
            with self.assertRaises(CommandLineError) as caught:
                parse(FRPC, ["tcp", "--bandwidth_limit", text])
            self.assertIn('for "--bandwidth-limit" flag: it is not an amount', str(caught.exception))


class CommandTests(SynchronousTestCase):
    """Tests for single commands."""

    def test_visitors_have_no_proxy_flags(self) -> None:
        """A visitor takes the client's flags and its own ones."""
        call = parse(FRPC, ["stcp", "visitor", "-s", "h", "--server-name", "n", "--bind_port", "9"])
        assert isinstance(call, Call)
        self.assertEqual((call["server-addr"], call["server-name"], call["bind-port"]), ("h", "n", 9))
        self.assertNotIn("local-port", call.values)

    def test_dashboard_mode_needs_a_word(self) -> None:
        """``--dashboard_tls_mode`` swallows the next word, as frp's does."""
        call = parse(FRPS, ["verify", "--dashboard_tls_mode", "-c"])
        assert isinstance(call, Call)
        self.assertEqual((call["dashboard-tls-mode"], call["config"]), ("-c", ""))

    def test_a_shell_takes_no_word(self) -> None:
        """The completion scripts take no arguments."""
        with self.assertRaisesRegex(CommandLineError, 'unknown command "x" for "frpc completion bash"'):
            parse(FRPC, ["completion", "bash", "x"])

    def test_roots(self) -> None:
        """The roots are called as frp's programs are."""
        self.assertIsInstance(FRPS, Command)
        self.assertEqual((FRPS.name, FRPC.name), ("frps", "frpc"))
