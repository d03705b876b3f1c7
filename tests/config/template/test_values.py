from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.values import NumberPair, Root, Value, is_true, type_name, write_value


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

    def test_truth(self) -> None:
        """Zero, what is empty and what is not there are false."""
        value: Value
        for value in (None, False, 0, "", [], {}):
            self.assertFalse(is_true(value))
        for value in (True, 1, "0", [0], {"a": ""}, NumberPair(0, 0), Root({})):
            self.assertTrue(is_true(value))

    def test_type_names(self) -> None:
        """Types are called as Go calls them."""
        values: tuple[Value, ...] = (
            None,
            True,
            "x",
            5,
            [1],
            [NumberPair(1, 2)],
            NumberPair(1, 2),
            Root({}),
            {},
        )
        names = "<nil> bool string int []int64 []config.NumberPair config.NumberPair *config.Values "
        self.assertEqual([type_name(value) for value in values], [*names.split(), "map[string]string"])

    def test_fields(self) -> None:
        """Pairs and the root have fields, in exactly this spelling."""
        self.assertEqual(NumberPair(1, 2).fields(), {"First": 1, "Second": 2})
        self.assertEqual(Root({"A": "1"}).fields(), {"Envs": {"A": "1"}})
