"""Tests for :mod:`relaykit.logs.access`."""

from __future__ import annotations

import json
import re
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.logs.access import ACCESS_FORMS, MOST_NAME, AccessEntry
from relaykit.values import Address

_LINE = re.compile(
    r"\A(?P<time>\S+) address=(?P<address>\S+) port=(?P<port>\d+) "
    r'proxy="(?P<proxy>(?:[^"\\]|\\.)*)" client="(?P<client>(?:[^"\\]|\\.)*)" '
    r"bytes_in=(?P<bytes_in>\d+) bytes_out=(?P<bytes_out>\d+) "
    r"seconds=(?P<seconds>\d+\.\d{3}) reason=(?P<reason>[a-z-]+)\n\Z"
)


def entry(address: Address | None, proxy: str, client: str = "ann.c1") -> AccessEntry:
    """A connection that has ended."""
    return AccessEntry(
        time=1_780_000_000.5,
        address=address,
        proxy=proxy,
        client=client,
        bytes_in=10,
        bytes_out=20,
        seconds=1.5,
        reason="finished",
    )


class FormTests(SynchronousTestCase):
    """Tests for lines about connections."""

    def test_text(self) -> None:
        """A line has the time with its offset, the address, and what is told of the connection."""
        line = ACCESS_FORMS["text"](entry(Address("2001:db8::1", 40000), "ann.web"))
        time, _, rest = line.partition(" ")
        self.assertEqual(
            rest,
            'address=2001:db8::1 port=40000 proxy="ann.web" client="ann.c1" bytes_in=10 bytes_out=20 '
            "seconds=1.500 reason=finished\n",
        )
        self.assertEqual(datetime.fromisoformat(time).timestamp(), 1_780_000_000.5)

    def test_unknown(self) -> None:
        """An address that is not known is a dash, which nobody can ban."""
        self.assertIn(" address=- port=0 ", ACCESS_FORMS["text"](entry(None, "web")))

    def test_json(self) -> None:
        """As JSON it is an object with the same fields."""
        told = json.loads(ACCESS_FORMS["json"](entry(Address("192.0.2.1", 1), 'a"b')))
        self.assertEqual((told["address"], told["proxy"], told["bytes_out"]), ("192.0.2.1", 'a"b', 20))
        self.assertEqual(
            list(told),
            ["time", "address", "port", "proxy", "client", "bytes_in", "bytes_out", "seconds", "reason"],
        )

    @given(st.text(max_size=600), st.text(max_size=30), st.text(max_size=40))
    def test_anything(self, proxy: str, client: str, host: str) -> None:
        """Whatever names and addresses are, a line is one line, with its fields where they belong."""
        told = entry(Address(host or "x", 7), proxy, client)
        found = _LINE.fullmatch(ACCESS_FORMS["text"](told))
        assert found is not None or not any(each.isalnum() or each in ":.%-_" for each in host or "x")
        if found is not None:
            self.assertEqual((found["port"], found["reason"]), ("7", "finished"))
            self.assertLessEqual(len(found["proxy"]), MOST_NAME)
        text = ACCESS_FORMS["json"](told)
        self.assertEqual(len(text.splitlines()), 1)
        json.loads(text)

    def test_forged(self) -> None:
        """A name cannot look like an end of the line, or like another line."""
        name = 'x" client="y" reason=refused\n2026-01-01T00:00:00+00:00 address=192.0.2.7 port=1 proxy="'
        found = _LINE.fullmatch(ACCESS_FORMS["text"](entry(Address("192.0.2.1", 1), name)))
        assert found is not None
        self.assertEqual((found["address"], found["client"]), ("192.0.2.1", "ann.c1"))
