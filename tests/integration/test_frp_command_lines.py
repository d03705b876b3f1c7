"""Tests that run frp's recorded command lines that start a role: each in a process of its own.

Ports 29970 to 29999 of the loopback are closed, as when the command lines were recorded.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.commands.frp.cases import DEVIATIONS, PROCESS_GROUPS, STARTS, Case, differences, read_cases
from tests.commands.terminal import Printed
from tests.integration.programs import PATIENCE_S, alone_with
from tests.integration.template import fork
from tests.layering import ROOT

AT_ONCE = 2


class RecordedProcessesTests(SynchronousTestCase):
    """Tests for frp's command lines against what frp did."""

    def run_case(self, case: Case, folder: Path) -> str:
        """What is different when a case is run in a folder; empty if nothing is, or if that is meant so."""
        folder.mkdir(parents=True)
        case.write_files(folder)
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder.absolute()),
            "PYTHONPATH": str(ROOT),
            **case.environ,
        }
        printed = folder / "stdout", folder / "stderr"
        with printed[0].open("wb") as output, printed[1].open("wb") as errors:
            words = [case.role, *case.args]
            program = fork(words, folder.absolute(), environ, output.fileno(), errors.fileno())
        try:
            program.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            program.kill()
        status = program.wait(PATIENCE_S)
        stdout, stderr = (path.read_text() for path in printed)
        found = list(differences(case, Printed(status, stdout, stderr)))
        if bool(found) == (case.id in DEVIATIONS):
            return ""
        return (
            f"{case.id} {case.role} {' '.join(case.args)}: {found or 'no deviation any more'}\n"
            f"{stdout}{stderr}"
        )

    def check_group(self, group: str) -> None:
        """Runs all cases of a group, and fails with every difference."""
        self.assertIn(group, PROCESS_GROUPS)
        cases = [case for case in read_cases() if case.group == group and case.id not in STARTS]
        self.assertTrue(cases)
        folder = Path(self.mktemp())
        servers = [case for case in cases if case.role == "frps"]
        clients = [case for case in cases if case.role != "frps"]
        # Servers have one port between them, on which some listen for a while.
        with alone_with("the port of frp's recorded command lines"):
            answers = [self.run_case(case, folder / case.id) for case in servers]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers += pool.map(self.run_case, clients, [folder / case.id for case in clients])
        wrong = [text for text in answers if text]
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_first_login_fails(self) -> None:
        """A client whose first login fails says so in frp's lines, and ends."""
        self.check_group("login-fail")

    def test_nathole(self) -> None:
        """The discovery of NATs fails with frp's words and status."""
        self.check_group("nathole")

    def test_start_fails(self) -> None:
        """A role that cannot start says why, and ends."""
        self.check_group("run-errors")
