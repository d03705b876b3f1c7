"""Tests for :mod:`relaykit.administration.definition_objects`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import CallFailed
from relaykit.administration.definition_objects import (
    MOST_DEFINITION_BYTES,
    block_table,
    definition_object,
    read_definition,
    type_names,
)
from relaykit.plugins import ProxyTypes

TYPES = ProxyTypes.installed()


def body(value: Any) -> bytes:
    """A value as somebody sends it."""
    return json.dumps(value).encode()


_KEYS = st.sampled_from(["name", "type", "tcp", "x"])
_OBJECTS = st.recursive(
    st.none() | st.text() | st.integers(), lambda each: st.lists(each) | st.dictionaries(_KEYS, each)
)


class ReadDefinitionTests(SynchronousTestCase):
    """Tests for definitions that are to be kept."""

    def refused(self, sent: bytes, list_name: str = "proxies") -> str:
        """Why it is none."""
        error = self.assertRaises(CallFailed, read_definition, sent, list_name, TYPES)
        return str(error)

    def test_table(self) -> None:
        """The block is the table; what the object says of name and type counts, whatever the case of keys."""
        sent = {"NAME": "a", "Type": "tcp", "TCP": {"Name": "b", "type": "udp", "localPort": 22}, "zz": 1}
        self.assertEqual(
            read_definition(body(sent), "proxies", TYPES), {"name": "a", "type": "tcp", "localPort": 22}
        )

    def test_object(self) -> None:
        """An object has the table under the name of its type."""
        table = {"name": "a", "type": "tcp", "localPort": 22}
        self.assertEqual(definition_object(table), {"name": "a", "type": "tcp", "tcp": table})

    def test_no_json(self) -> None:
        """What is no JSON is refused in frp's words."""
        for sent, words in (
            (b"hello", "invalid character 'h' looking for beginning of value"),
            (b"", "unexpected end of JSON input"),
            (b'{"name": ', "unexpected end of JSON input"),
            (b"{} x", "invalid character 'x' after top-level value"),
            (b"{a}", "invalid character 'a' looking for beginning of object key string"),
            (b"{'a'}", "invalid character '\\'' looking for beginning of object key string"),
            (b'{"a" 1}', "invalid character '1' after object key"),
            (b"NaN", "invalid character 'N' looking for beginning of value"),
            (b"[" * 1000, "exceeded max depth"),
            (b"[]", "json: cannot unmarshal array into Go value of type model.ProxyDefinition"),
            (
                b'{"name": 1}',
                "json: cannot unmarshal number into Go struct field ProxyDefinition.name of type string",
            ),
        ):
            self.assertEqual(self.refused(sent), f"parse JSON error: {words}")
        for sent in (b'"\xff"', b'{"name": "\\ud800"}', b'{"a": 1e999}', b"1" * 5000):
            self.assertIn("parse JSON error: ", self.refused(sent))

    def test_incomplete(self) -> None:
        """So is what has no name, no type, or not the one block of that."""
        for sent, words in (
            (None, "proxy name is required"),
            ({"name": " ", "type": "tcp", "tcp": {}}, "proxy name is required"),
            ({"name": "a", "type": "zzz", "tcp": {}}, "invalid proxy type: zzz"),
            ({"name": "a", "type": "tcp"}, "exactly one proxy type block is required"),
            ({"name": "a", "type": "tcp", "tcp": None}, "exactly one proxy type block is required"),
            ({"name": "a", "type": "tcp", "tcp": {}, "udp": {}}, "exactly one proxy type block is required"),
            ({"name": "a", "type": "tcp", "udp": {}}, 'proxy type block "udp" does not match type "tcp"'),
        ):
            self.assertEqual(self.refused(body(sent)), words)
        self.assertIn("cannot unmarshal number", self.refused(body({"name": "a", "type": "tcp", "tcp": 5})))

    def test_named(self) -> None:
        """One that must have a name has it, which is looked at once there is a type."""
        for value, words in (
            ({"name": "b"}, "invalid proxy type: "),
            ({"name": "b", "type": "tcp"}, "proxy name in URL must match name in body"),
        ):
            error = self.assertRaises(CallFailed, read_definition, body(value), "proxies", TYPES, "a")
            self.assertEqual(str(error), words)

    def test_visitors(self) -> None:
        """A visitor has a type that can be visited; the words are a visitor's."""
        self.assertEqual(self.refused(b'{"name":"v","type":"tcp"}', "visitors"), "invalid visitor type: tcp")
        self.assertEqual(self.refused(b"{}", "visitors"), "visitor name is required")
        self.assertIn("knock", type_names("visitors", TYPES))
        self.assertNotIn("tcp", type_names("visitors", TYPES))

    def test_large(self) -> None:
        """What is too large for one is not looked at."""
        self.assertIn("at most", self.refused(b" " * (MOST_DEFINITION_BYTES + 1)))

    @given(st.binary() | _OBJECTS.map(body))
    def test_junk(self, sent: bytes) -> None:
        """Whatever is sent, it is a definition, or why not is told."""
        for read in (lambda: read_definition(sent, "proxies", TYPES), lambda: block_table(sent, "proxies")):
            try:
                table = read()
            except CallFailed as error:
                self.assertEqual(error.status, 400)
            else:
                self.assertIsInstance(table["name"], str)


class BlockTableTests(SynchronousTestCase):
    """Tests for definitions that somebody has not completed yet."""

    def test_open(self) -> None:
        """What is missing is left empty."""
        self.assertEqual(block_table(b"{}", "proxies"), {"name": "", "type": ""})
        self.assertEqual(
            block_table(b'{"name":"a","type":"tcp","tcp":{"localPort":1}}', "proxies"),
            {"name": "a", "type": "tcp", "localPort": 1},
        )
