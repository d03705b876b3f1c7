"""Tests for :mod:`benchmarks.__main__`."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.__main__ import main


class MistakeTests(SynchronousTestCase):
    """Tests for command lines that name what is not there."""

    def test_unknown_load(self) -> None:
        """A load that does not exist is an error that lists those that do, and nothing is started."""
        said = io.StringIO()
        with redirect_stderr(said):
            error = self.assertRaises(SystemExit, main, ["--loads", "http-keep-alive,htpp-idle"])
        self.assertEqual(error.code, 2)
        self.assertIn("there is no load htpp-idle", said.getvalue())
        self.assertIn("http-idle", said.getvalue())

    def test_unknown_subject(self) -> None:
        """So is a subject that is not there."""
        said = io.StringIO()
        with redirect_stderr(said):
            self.assertEqual(main(["--only", "nobody"]), 2)
        self.assertIn("relaykit-default", said.getvalue())
