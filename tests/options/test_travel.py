"""Tests for :mod:`relaykit.options.travel`."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import Options, ProxyCommon, ProxyTransport, convert, from_wire, to_wire
from relaykit.values import Secret
from tests.options.test_fields import Inner, Needy, Sample


class WireTests(SynchronousTestCase):
    """Tests for what travels."""

    def test_round_trip(self) -> None:
        """What travels arrives; what stays has its default at the other end."""
        sample = Sample(
            remote_port=7,
            secret=Secret("s"),
            users=("a", "b"),
            local_name="there",
            inner=Inner(deep_key="d"),
        )
        travelled = msgspec.json.decode(msgspec.json.encode(to_wire(sample)))
        self.assertEqual(travelled, {"port": 7, "users": ["a", "b"], "deep": "d", "relaykit": {"word": "s"}})
        arrived = from_wire(Sample, travelled)
        self.assertEqual(arrived, msgspec.structs.replace(sample, local_name="here"))

    def test_defaults_stay(self) -> None:
        """A default does not travel, and without own fields neither does relaykit's part."""
        self.assertEqual(to_wire(Sample()), {})
        self.assertEqual(from_wire(Sample, {}), Sample())

    def test_foreign_fields(self) -> None:
        """Fields that nobody declared are ignored, also in relaykit's part, whatever that is."""
        parts: tuple[object, ...] = ({"unknown": 1}, [], "x", None)
        for own in parts:
            self.assertEqual(from_wire(Sample, {"proxy_name": "x", "relaykit": own}), Sample())

    def test_checked(self) -> None:
        """A wrong type, a value out of its limits, and a missing field are errors; none shows a value."""
        cases: tuple[tuple[type[Options], dict[str, Any]], ...] = (
            (Sample, {"port": "seven"}),
            (Sample, {"port": 10}),
            (Sample, {"users": "everybody"}),
            (Sample, {"relaykit": {"word": 5551234}}),
            (Sample, {"deep": None}),
            (Needy, {}),
        )
        for cls, fields in cases:
            error = self.assertRaises(msgspec.ValidationError, from_wire, cls, fields)
            self.assertNotIn("5551234", str(error))

    def test_common(self) -> None:
        """The keys of every proxy travel in frp's fields; the local service does not."""
        common = ProxyCommon(
            name="n", type="tcp", local_port=22, transport=ProxyTransport(use_encryption=True)
        )
        self.assertEqual(to_wire(common), {"use_encryption": True})


class ConvertTests(SynchronousTestCase):
    """Tests for single values."""

    def test_secret(self) -> None:
        """A text becomes a secret where one is declared; anything else is an error without the value."""
        self.assertEqual(convert("s", Secret), Secret("s"))
        error = self.assertRaises(msgspec.ValidationError, convert, 5551234, Secret)
        self.assertNotIn("5551234", str(error))

    def test_strict(self) -> None:
        """Nothing is taken for something else."""
        self.assertRaises(msgspec.ValidationError, convert, "1", int)
        self.assertRaises(msgspec.ValidationError, convert, 1, bool)
