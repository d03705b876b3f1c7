"""Tests for :mod:`benchmarks.punched`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import punched
from benchmarks.programs import ProgramFailed
from benchmarks.subjects import Stage, available_subjects


class PunchedTests(SynchronousTestCase):
    """Tests for clients that meet in a laboratory."""

    def test_no_laboratory(self) -> None:
        """Where there can be no laboratory that is the failure, in words, and nothing is started."""
        self.patch(punched, "why_not", lambda: "the program nft is not installed")
        directory = Path(self.mktemp())
        error = self.assertRaises(
            ProgramFailed, punched.meet, punched.Meeting(["server"], ["client"]), "token", directory
        )
        self.assertEqual(str(error), "the program nft is not installed")
        self.assertFalse(directory.exists())

    def test_subjects(self) -> None:
        """Our own clients can meet without any peer, and such subjects are started for nothing else."""
        subjects = {each.name: each for each in available_subjects() if Stage.PUNCHED in each.stages}
        self.assertIn("relaykit-punched", subjects)
        for each in subjects.values():
            self.assertEqual(each.stages, {Stage.PUNCHED})
