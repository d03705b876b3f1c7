"""Tests for :mod:`relaykit.history.subjects`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.history.subjects import Subject, SubjectKind


class SubjectTests(SynchronousTestCase):
    """Tests for whose something is."""

    def test_same(self) -> None:
        """A proxy is the same one under another owner, and another one than a client of its name."""
        self.assertEqual(Subject(SubjectKind.PROXY, "a", "ann"), Subject(SubjectKind.PROXY, "a", "bob"))
        self.assertEqual(len({Subject(each, "a") for each in SubjectKind}), len(SubjectKind))
