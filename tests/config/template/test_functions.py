from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.functions import FUNCTIONS, FunctionError
from relaykit.config.template.values import NumberPair, Value


def call(name: str, *arguments: Value) -> Value:
    """What a function answers."""
    return FUNCTIONS[name](*arguments)


class FunctionTests(SynchronousTestCase):
    """Tests for the functions of templates."""

    def test_answers(self) -> None:
        """Each function answers as Go's does."""
        cases: tuple[tuple[str, tuple[Value, ...], Value], ...] = (
            ("not", (0,), True),
            ("len", ("äö",), 4),
            ("len", ([1, 2],), 2),
            ("index", ([5, 6, 7], 2), 7),
            ("index", ({"a": "b"}, "x"), ""),
            ("eq", ("6000", "1", "6000"), True),
            ("eq", (None, ""), False),
            ("eq", (None, None), True),
            ("ne", (1, 2), True),
            ("lt", ("a", "b"), True),
            ("le", (2, 2), True),
            ("gt", (1, 2), False),
            ("ge", (2, 2), True),
            ("print", (1, 2, "a", "b", 3), "1 2ab3"),
            ("printf", ("%s-%s", "a", "b"), "a-b"),
            ("printf", ("%d-%05d-%x-%v%%", 5, 7, 255, [1]), "5-00007-ff-[1]%"),
            ("printf", ("%q|%-4s|%4s", 'a"b\n', "x", "y"), '"a\\"b\\n"|x   |   y'),
            ("parseNumberRange", ("1-3,7",), [1, 2, 3, 7]),
            ("parseNumberRangePair", ("1-2", "4-5"), [NumberPair(1, 4), NumberPair(2, 5)]),
        )
        for name, arguments, answer in cases:
            self.assertEqual(call(name, *arguments), answer, f"{name} {arguments}")

    def test_errors(self) -> None:
        """Each function says why it cannot."""
        cases: tuple[tuple[str, tuple[Value, ...], str], ...] = (
            ("len", (5,), "len of type int"),
            ("len", (None,), "len of type <nil>"),
            ("index", ([1], 20), "index out of range: 20"),
            ("index", ([1], -1), "index out of range: -1"),
            ("index", ([1], "x"), "with type string"),
            ("index", ([1], True), "with type bool"),
            ("index", ([1], None), "with type <nil>"),
            ("index", ({}, 5), "with type int"),
            ("index", (5, 1), "can't index item of type int"),
            ("index", (None, 1), "of type <nil>"),
            ("eq", ("6000", 6000), "incompatible types for comparison: string and int"),
            ("eq", ([1], [1]), "incompatible types"),
            ("lt", ("a", 1), "incompatible types for comparison: string and int"),
            ("lt", (True, False), "invalid type for comparison"),
            ("lt", ([1], 1), "incompatible types"),
            ("printf", ("%d", "x"), "cannot write a value of type string"),
            ("printf", ("%s", None), "cannot write a value of type <nil>"),
            ("printf", ("%U", 5), "%U cannot write"),
            ("printf", ("%d",), "no value for %d"),
            ("printf", ("%d", 1, 2), "no verb for 2"),
            ("printf", (5,), "expected string"),
            ("parseNumberRange", ("3-1",), "range number is invalid"),
            ("parseNumberRangePair", ("1-3", "4-5"), "first and second range numbers are not in pairs"),
        )
        for name, arguments, words in cases:
            error = self.assertRaises(FunctionError, call, name, *arguments)
            self.assertIn(words, str(error), f"{name} {arguments}")
