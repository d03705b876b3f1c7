"""Tests for :mod:`relaykit.sansio.wire.gojson`."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.wire import gojson
from relaykit.sansio.wire.gojson import MalformedMessage


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A nested object whose keys have capitals."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = msgspec.field(default=0, name="Port")


class Sample(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One field of each kind."""

    text: str = ""
    number: int = 0
    flag: bool = False
    content: bytes = b""
    texts: tuple[str, ...] = ()
    inners: tuple[Inner, ...] = ()
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    inner: Inner | None = None


def decoded(text: str | bytes) -> Sample | None:
    """The sample that a text is read as."""
    return gojson.decode(text.encode() if isinstance(text, str) else text, Sample)


class WritingTests(SynchronousTestCase):
    """What is written is what frp would write."""

    def test_order_and_omission(self) -> None:
        """Fields come in the order of declaration, empty ones are left out, maps are sorted."""
        sample = Sample(number=7, labels={"b": "2", "a": "1"}, content=b"hello", inner=Inner(port=1))
        self.assertEqual(
            gojson.encode(sample),
            b'{"number":7,"content":"aGVsbG8=","labels":{"a":"1","b":"2"},"inner":{"Port":1}}',
        )
        self.assertEqual(gojson.encode(Sample()), b"{}")

    def test_escapes(self) -> None:
        """The five characters that Go escapes are escaped, as Go does."""
        text = "<a>&\u2028\u2029é\n\x01"
        self.assertEqual(
            gojson.encode(Sample(text=text)),
            '{"text":"\\u003ca\\u003e\\u0026\\u2028\\u2029é\\n\\u0001"}'.encode(),
        )

    def test_not_unicode(self) -> None:
        """What is not Unicode becomes U+FFFD, in structs and in mappings."""
        self.assertEqual(gojson.encode(Sample(text="a\udcff")), '{"text":"a\ufffd"}'.encode())
        self.assertEqual(gojson.encode_object({"k": ["\ud800"]}), '{"k":["\ufffd"]}'.encode())

    def test_mappings_keep_their_order(self) -> None:
        """The fields of a mapping keep its order; maps inside it are sorted."""
        self.assertEqual(
            gojson.encode_object({"z": True, "a": {"y": "<", "x": ""}}),
            b'{"z":true,"a":{"x":"","y":"\\u003c"}}',
        )
        self.assertEqual(gojson.encode_object({}), b"{}")


class ReadingTests(SynchronousTestCase):
    """What is read is what frp would read."""

    def test_keys_in_any_case(self) -> None:
        """Keys match whatever their case, in nested objects too."""
        self.assertEqual(decoded('{"TEXT":"x","iNNer":{"pORT":9}}'), Sample(text="x", inner=Inner(port=9)))

    def test_unknown_keys(self) -> None:
        """Unknown keys are ignored whatever they hold."""
        self.assertEqual(decoded('{"text":"x","other":[1.5,{"a":null}],"more":1e9}'), Sample(text="x"))

    def test_null_leaves_unset(self) -> None:
        """``null`` leaves a field as it is, and an element of a list or a map empty."""
        self.assertEqual(
            decoded(
                '{"text":"x","number":null,"inner":null,"texts":["a",null],"inners":[null],'
                '"labels":{"k":null},"TEXT":null}'
            ),
            Sample(text="x", texts=("a", ""), inners=(Inner(),), labels={"k": ""}),
        )
        self.assertIsNone(decoded(" null "))

    def test_last_of_equal_keys(self) -> None:
        """The last of equal keys wins."""
        self.assertEqual(decoded('{"number":1,"number":2}'), Sample(number=2))
        self.assertEqual(decoded('{"number":1,"Number":2}'), Sample(number=2))

    def test_integers(self) -> None:
        """An integer with a fraction or an exponent, too large or of another type is refused."""
        for number in ("1.0", "1e3", '"1"', "true", "[]"):
            with self.assertRaises(MalformedMessage, msg=number):
                decoded(f'{{"number":{number}}}')
        for port in ("65536", "-1", "99999999999999999999"):
            with self.assertRaises(MalformedMessage, msg=port):
                decoded(f'{{"inner":{{"Port":{port}}}}}')

    def test_wrong_types(self) -> None:
        """A value of the wrong type is refused, under any spelling of its key."""
        for body in (
            '{"text":1}',
            '{"TEXT":1}',
            '{"texts":"a"}',
            '{"texts":[1]}',
            '{"labels":{"a":1}}',
            '{"labels":[]}',
            '{"inner":[]}',
            '{"flag":0}',
            '{"content":"%"}',
            '{"content":1}',
            '{"inners":[1]}',
            "[]",
            '"x"',
            "1",
        ):
            with self.assertRaises(MalformedMessage, msg=body):
                decoded(body)

    def test_not_json(self) -> None:
        """What is not one JSON value is refused."""
        for body in (
            b"",
            b"{",
            b"{}x",
            b"{} {}",
            b'{"a":NaN}',
            b'{"a":01}',
            b'{"text":"\n"}',
            b"\xef\xbb\xbf{}",
            b"[" * 60000,
            b'{"a":' * 10000,
        ):
            with self.assertRaises(MalformedMessage, msg=repr(body[:20])):
                decoded(body)

    def test_unicode(self) -> None:
        """Any escaping is read; what is not Unicode becomes U+FFFD."""
        self.assertEqual(decoded('{"text":"\\u003c\\/\\ud83d\\ude00"}'), Sample(text="</😀"))
        self.assertEqual(decoded(b'{"text":"a\xffb"}'), Sample(text="a\ufffdb"))
        self.assertEqual(
            decoded('{"text":"\\ud800","labels":{"\\udfff":"\\udfff"}}'),
            Sample(text="\ufffd", labels={"\ufffd": "\ufffd"}),
        )

    def test_base64_in_lines(self) -> None:
        """Base64 may be broken into lines."""
        self.assertEqual(decoded('{"content":"aGVs\\r\\nbG8="}'), Sample(content=b"hello"))

    def test_errors_are_discreet(self) -> None:
        """The text of an error shows nothing of the input's values."""
        for body in ('{"number":"hunter2"}', '{"text":"hunter2"', '{"TEXT":["hunter2"]}'):
            error = self.assertRaises(MalformedMessage, decoded, body)
            self.assertNotIn("hunter2", str(error))

    def test_objects(self) -> None:
        """An object of any fields is read with its keys in lower case and without nulls."""
        self.assertEqual(
            gojson.decode_object(b'{"Proxy_Name":"a","sk":null,"x":{"Y":1}}'),
            {"proxy_name": "a", "x": {"Y": 1}},
        )
        self.assertEqual(gojson.decode_object(b'{"a":"\xff"}'), {"a": "\ufffd"})
        self.assertIsNone(gojson.decode_object(b"null"))
        for body in (b"[]", b"1", b"", b'"x"', b"{,}"):
            with self.assertRaises(MalformedMessage, msg=repr(body)):
                gojson.decode_object(body)

    @given(
        st.builds(
            Sample,
            st.text(),
            st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
            st.binary(),
            st.tuples(st.text()),
            st.just(()),
            st.dictionaries(st.text(), st.text()),
        )
    )
    def test_round_trip(self, sample: Sample) -> None:
        """What is written is read again, by others too."""
        body = gojson.encode(sample)
        json.loads(body)
        self.assertEqual(decoded(body), sample)

    @given(st.binary(max_size=64))
    def test_junk(self, junk: bytes) -> None:
        """Junk is refused, or read as a value."""
        try:
            sample = decoded(junk)
        except MalformedMessage:
            return
        self.assertIsInstance(sample, Sample | None)
