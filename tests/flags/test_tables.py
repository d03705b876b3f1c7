"""Tests for the tables that flags set."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.flags.flag_types import BOOLEAN, INTEGER, LIST, TEXT
from relaykit.flags.grammar import Call, Command, Flag, parse
from relaykit.flags.tables import table_of

FLAGS = (
    Flag("name", TEXT, "", "x", "name"),
    Flag("remote_port", INTEGER, "", 0, "remotePort"),
    Flag("domains", LIST, "", (), "customDomains"),
    Flag("secret", TEXT, "", "", "auth.token"),
    Flag("tls", BOOLEAN, "", True, "transport.tls.enable"),
    Flag("without_key", TEXT, ""),
)


class TableTests(SynchronousTestCase):
    """Tests for :func:`table_of`."""

    def table(self, *words: str) -> dict[str, object]:
        """What these words set."""
        call = parse(Command("tool", "", action="m:f", flags=FLAGS), words)
        assert isinstance(call, Call)
        return table_of(call, FLAGS)

    def test_keys(self) -> None:
        """Each flag sets its key, in its table; lists are lists, and no is as good a value as yes."""
        words = [
            "--remote-port",
            "5",
            "--domains",
            "a,b",
            "--secret",
            "s",
            "--tls=false",
            "--without-key",
            "z",
        ]
        self.assertEqual(
            self.table(*words),
            {
                "remotePort": 5,
                "customDomains": ["a", "b"],
                "auth": {"token": "s"},
                "transport": {"tls": {"enable": False}},
            },
        )

    def test_left_out(self) -> None:
        """What was not given, or is empty, sets nothing."""
        self.assertEqual(self.table(), {})
        self.assertEqual(self.table("--name", "", "--remote-port", "0"), {})

    def test_always(self) -> None:
        """A flag that always counts sets its default."""
        call = parse(Command("tool", "", action="m:f", flags=FLAGS), [])
        assert isinstance(call, Call)
        self.assertEqual(table_of(call, FLAGS, always=("name",)), {"name": "x"})
