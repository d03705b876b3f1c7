"""Tests for the rules of annotations."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import ProxyCommon
from relaykit.options.annotations import MOST_BYTES, annotation_problems


class AnnotationTests(SynchronousTestCase):
    """Tests for the rules of annotations."""

    def test_allowed(self) -> None:
        """Names, with or without a DNS subdomain before them, are allowed, and any value."""
        keys = ("a", "A.b/c", "example.com/My-Name_1", "x" * 63, "a.b-c.d/e")
        self.assertEqual(list(annotation_problems(dict.fromkeys(keys, "any thing"))), [])

    def test_refused(self) -> None:
        """A key that breaks a rule is named with the rule."""
        for key, words in (
            ("", "the name must not be empty"),
            ("a/", "the name must not be empty"),
            ("/b", "before the slash must not be empty"),
            ("a/b/c", "a slash and a name"),
            ("-a/c", "must be a DNS subdomain"),
            ("a..b/c", "must be a DNS subdomain"),
            ("a" * 254 + "/c", "no more than 253"),
            ("x" * 64, "no more than 63"),
            ("-x", "begin and end"),
            ("a b", "must consist of"),
            ("ÄB", "must consist of"),
            ("a\n", "must consist of"),
        ):
            (problem,) = annotation_problems({key: "x"})
            self.assertIn(f'key "{key}" is invalid', problem)
            self.assertIn(words, problem)

    def test_size(self) -> None:
        """All keys and values together have a limit, in bytes."""
        self.assertEqual(list(annotation_problems({"a": "x" * (MOST_BYTES - 1)})), [])
        (problem,) = annotation_problems({"a": "ä" * (MOST_BYTES // 2)})
        self.assertIn(f"{MOST_BYTES + 1} bytes", problem)

    def test_proxies(self) -> None:
        """What is wrong with them is wrong with the proxy."""
        (problem,) = ProxyCommon(annotations={"-x": "y"}).problems()
        self.assertEqual(problem.key, "annotations")
        self.assertEqual(list(ProxyCommon(annotations={"x": "y"}).problems()), [])
