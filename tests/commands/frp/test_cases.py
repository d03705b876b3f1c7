"""Tests that run the recorded command lines that start no role, in this process."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.commands.frp.cases import DEVIATIONS, PROCESS_GROUPS, Case, differences, read_cases
from tests.commands.terminal import run_printed


class RecordedCommandLinesTests(SynchronousTestCase):
    """Tests for frp's command lines against what frp did."""

    def differs(self, case: Case) -> list[str]:
        """What is different when a case is run in an empty folder."""
        folder = Path(self.mktemp())
        folder.mkdir()
        case.write_files(folder)
        former = Path.cwd()
        os.chdir(folder)
        try:
            printed = run_printed([case.role, *case.args], case.environ)
        finally:
            os.chdir(former)
        return list(differences(case, printed))

    def check_group(self, *groups: str) -> None:
        """Runs all cases of some groups, and fails with every difference."""
        cases = [case for case in read_cases() if case.group in groups]
        self.assertTrue(cases)
        wrong = []
        for case in cases:
            found = self.differs(case)
            if bool(found) != (case.id in DEVIATIONS):
                wrong.append(
                    f"{case.id} {case.role} {' '.join(case.args)}: {found or 'no deviation any more'}"
                )
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_version(self) -> None:
        """The version is printed where frp prints its own."""
        self.check_group("version")

    def test_flag_grammar(self) -> None:
        """Flags are read, and refused, as frp does."""
        self.check_group("flag-grammar")

    def test_verify(self) -> None:
        """Files are verified, with frp's exit status."""
        self.check_group("verify")

    def test_server_flags(self) -> None:
        """The flags of the server are checked as frp's."""
        self.check_group("frps-flags")

    def test_client_flags(self) -> None:
        """The flags of single proxies and visitors are checked as frp's."""
        self.check_group("frpc-proxy", "frpc-visitor")

    def test_folders(self) -> None:
        """A folder of files is run file by file."""
        self.check_group("config-dir")

    def test_administration(self) -> None:
        """The commands for a running client fail as frp's do."""
        self.check_group("admin")

    def test_help(self) -> None:
        """Help texts have frp's flags in frp's order."""
        self.check_group("help")

    def test_every_group_is_run(self) -> None:
        """No group of cases is left out, and every deviation is that of a case."""
        cases = read_cases()
        self.assertEqual(len(cases), 327)
        self.assertEqual(
            {case.group for case in cases} - PROCESS_GROUPS,
            {"version", "flag-grammar", "verify", "frps-flags", "frpc-proxy", "frpc-visitor"}
            | {"config-dir", "admin", "help"},
        )
        self.assertEqual(set(DEVIATIONS) - {case.id for case in cases}, set())
