from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.functions import FUNCTIONS, FunctionError
from relaykit.config.template.values import NumberPair, Value


def call(name: str, *arguments: Value) -> Value:
    """What a function answers."""
    return FUNCTIONS[name].call(*arguments)


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
            ("index", ("abc", 1), 98),
            ("index", ([1],), [1]),
            ("slice", ("6000", 1, 3), "00"),
            ("slice", ("äö", 0, 2), "ä"),
            ("slice", ([1, 2, 3], 1), [2, 3]),
            ("slice", ([1, 2, 3], 0, 1, 2), [1]),
            ("eq", ("6000", "1", "6000"), True),
            ("eq", (None, ""), False),
            ("eq", (None, None), True),
            ("eq", (NumberPair(1, 2), NumberPair(1, 2)), True),
            ("ne", (1, 2), True),
            ("lt", ("a", "b"), True),
            ("le", (2, 2), True),
            ("gt", (1, 2), False),
            ("ge", (1.5, 1.5), True),
            ("print", (1, 2, "a", "b", 3), "1 2ab3"),
            ("println", (1, "a"), "1 a\n"),
            ("printf", ("%s-%s", "a", "b"), "a-b"),
            ("html", ("<a href='x'>\"&\0",), "&lt;a href=&#39;x&#39;&gt;&#34;&amp;\ufffd"),
            ("html", (None,), "&lt;no value&gt;"),
            ("js", ("a'\"\\<>&=\n\u20ac",), "a\\'\\\"\\\\\\u003C\\u003E\\u0026\\u003D\\u000A\u20ac"),
            ("urlquery", ("a b&c~ä",), "a+b%26c~%C3%A4"),
            ("parseNumberRange", ("1-3,7",), [1, 2, 3, 7]),
            ("parseNumberRangePair", ("1-2", "4-5"), [NumberPair(1, 4), NumberPair(2, 5)]),
        )
        for name, arguments, answer in cases:
            self.assertEqual(call(name, *arguments), answer, f"{name} {arguments}")

    def test_errors(self) -> None:
        """Each function says why it cannot."""
        cases: tuple[tuple[str, tuple[Value, ...], str], ...] = (
            ("len", (5,), "len of type int"),
            ("len", (None,), "nil"),
            ("index", ([1], 20), "index out of range: 20"),
            ("index", ([1], -1), "index out of range: -1"),
            ("index", ([1], "x"), "cannot index slice/array with type string"),
            ("index", ([1], True), "with type bool"),
            ("index", ([1], None), "with nil"),
            ("index", ({}, 5), "value has type int; should be string"),
            ("index", (5, 1), "can't index item of type int"),
            ("index", (None, 1), "index of untyped nil"),
            ("slice", ("abc", 9), "index out of range: 9"),
            ("slice", ("abc", 2, 1), "invalid slice index: 2 > 1"),
            ("slice", ("abc", 0, 1, 2), "cannot 3-index slice a string"),
            ("slice", ("abc", 0, 1, 2, 3), "too many slice indexes: 4"),
            ("slice", (5, 1), "can't slice item of type int"),
            ("slice", (None, 1), "slice of untyped nil"),
            ("eq", ("6000", 6000), "incompatible types for comparison: string and int"),
            ("eq", (1, 1.0), "incompatible types for comparison: int and float64"),
            ("eq", (1,), "missing argument for comparison"),
            ("eq", ([1], [1]), "non-comparable"),
            ("lt", ("a", 1), "incompatible types for comparison: string and int"),
            ("lt", (True, False), "invalid type for comparison"),
            ("lt", ([1], 1), "invalid type for comparison"),
            ("call", ("x",), "non-function of type string"),
            ("call", (None,), "call of nil"),
            ("parseNumberRange", ("3-1",), "range number is invalid"),
            ("parseNumberRangePair", ("1-3", "4-5"), "first and second range numbers are not in pairs"),
        )
        for name, arguments, words in cases:
            error = self.assertRaises(FunctionError, call, name, *arguments)
            self.assertIn(words, str(error), f"{name} {arguments}")
