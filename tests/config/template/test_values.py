from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.values import (
    NumberPair,
    Root,
    decode_bytes,
    encode_text,
    is_true,
    quote,
    type_name,
    write_float,
    write_value,
)


class ValueTests(SynchronousTestCase):
    """Tests for the values of templates."""

    def test_written(self) -> None:
        """Values are written as Go writes them."""
        for value, text in (
            (None, "<nil>"),
            (True, "true"),
            (7, "7"),
            ("a b", "a b"),
            ([1, 2], "[1 2]"),
            ([NumberPair(1, 4)], "[{1 4}]"),
            ({"B": "2", "A": "1"}, "map[A:1 B:2]"),
            (Root({"A": "1"}), "{map[A:1]}"),
        ):
            self.assertEqual(write_value(value), text)

    def test_floats(self) -> None:
        """Numbers with a fraction have the shortest digits, and an exponent from a million on."""
        for value, text in (
            (1.5, "1.5"),
            (1000.0, "1000"),
            (123456.5, "123456.5"),
            (1e6, "1e+06"),
            (123456789.5, "1.234567895e+08"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-0.5, "-0.5"),
            (1e100, "1e+100"),
            (float("inf"), "+Inf"),
            (float("-inf"), "-Inf"),
            (float("nan"), "NaN"),
        ):
            self.assertEqual(write_float(value), text)

    @given(st.floats(allow_nan=False))
    def test_float_round_trip(self, value: float) -> None:
        """What is written is the same number."""
        self.assertEqual(float(write_float(value)), value)

    def test_truth(self) -> None:
        """Zero, what is empty and what is not there are false."""
        value: object
        for value in (None, False, 0, 0.0, "", [], {}):
            self.assertFalse(is_true(value))
        for value in (True, 1, -0.5, "0", [0], {"a": ""}, NumberPair(0, 0), Root({})):
            self.assertTrue(is_true(value))

    def test_type_names(self) -> None:
        """Types are called as Go calls them."""
        values: tuple[object, ...] = (
            None,
            True,
            "x",
            5,
            1.5,
            [1],
            [NumberPair(1, 2)],
            NumberPair(1, 2),
            Root({}),
            {},
        )
        names = "<nil> bool string int float64 []int64 []config.NumberPair config.NumberPair *config.Values "
        self.assertEqual([type_name(value) for value in values], [*names.split(), "map[string]string"])

    def test_fields(self) -> None:
        """Pairs and the root have fields, in exactly this spelling."""
        self.assertEqual((NumberPair(1, 2).field("First"), NumberPair(1, 2).field("Second")), (1, 2))
        self.assertEqual(Root({"A": "1"}).field("Envs"), {"A": "1"})
        self.assertRaises(KeyError, NumberPair(1, 2).field, "first")
        self.assertRaises(KeyError, Root({}).field, "envs")

    def test_quote(self) -> None:
        """What cannot be seen is escaped."""
        self.assertEqual(quote('a"\\\n\x01\x7f\u200b\xe4'), '"a\\"\\\\\\n\\x01\\x7f\\u200b\xe4"')
        self.assertEqual(quote(decode_bytes(b"\xff")), '"\\xff"')

    @given(st.binary(max_size=20))
    def test_bytes(self, content: bytes) -> None:
        """Bytes that are no text survive."""
        self.assertEqual(encode_text(decode_bytes(content)), content)
