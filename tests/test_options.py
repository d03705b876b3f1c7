"""Tests for :mod:`relaykit.options`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import (
    OptionField,
    Options,
    ProxyCommon,
    ProxyTransport,
    convert,
    doc,
    extension,
    from_wire,
    option_fields,
    options_class,
    to_wire,
    wire,
)
from relaykit.values import Secret


class Inner(Options, frozen=True, kw_only=True):
    """A table within the table."""

    deep_key: Annotated[str, wire("deep"), doc("Deep.")] = ""


class Rare(Options, frozen=True, kw_only=True):
    """A table that is mostly absent."""

    one: Annotated[int, wire("rare_one")] = 0


class Sample(Options, frozen=True, kw_only=True):
    """One field of each kind."""

    remote_port: Annotated[int, msgspec.Meta(ge=0, le=9), wire("port"), doc("A port.")] = 0
    secret: Annotated[Secret, extension("word"), doc("A secret.")] = Secret("")
    users: Annotated[tuple[str, ...], wire("users")] = ()
    local_name: Annotated[str, doc("Stays.")] = "here"
    renamed: int = msgspec.field(default=1, name="someURL")
    inner: Inner = Inner()
    maybe: Rare | None = None


class Needy(Options, frozen=True, kw_only=True):
    """A field without a default."""

    host_name: Annotated[str, wire("host")]


def _field(name: str, cls: type[Options] = Sample) -> OptionField:
    return next(field for field in option_fields(cls) if field.name == name)


class OptionFieldTests(SynchronousTestCase):
    """Tests for what loaders and codecs see of a class."""

    def test_keys(self) -> None:
        """A key is the field's name in camel case, unless it says otherwise."""
        self.assertEqual(
            [field.key for field in option_fields(Sample)],
            ["remotePort", "secret", "users", "localName", "someURL", "inner", "maybe"],
        )

    def test_annotations(self) -> None:
        """Where a field travels and what it means is read from its annotations, in any order."""
        port, secret, local = _field("remote_port"), _field("secret"), _field("local_name")
        self.assertEqual((port.wire, port.extension, port.description), ("port", None, "A port."))
        self.assertEqual((secret.wire, secret.extension, secret.type), (None, "word", Secret))
        self.assertEqual((local.wire, local.extension, local.default), (None, None, "here"))

    def test_required(self) -> None:
        """A field without a default is required."""
        self.assertTrue(_field("host_name", Needy).required)
        self.assertFalse(_field("local_name").required)

    def test_factories(self) -> None:
        """A default that is made for each instance is known, too."""
        self.assertEqual(_field("annotations", ProxyCommon).default, {})

    def test_options_class(self) -> None:
        """Tables within tables are found behind a field's type, plain values are not."""
        found = [options_class(field.type) for field in option_fields(Sample)]
        self.assertEqual(found, [None, None, None, None, None, Inner, Rare])


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


class LocalEndpointTests(SynchronousTestCase):
    """Tests for the endpoint string of the local service."""

    def test_given(self) -> None:
        """An endpoint string counts as it is."""
        self.assertEqual(ProxyCommon(local="unix:/run/app.sock").local_endpoint, "unix:/run/app.sock")

    def test_made(self) -> None:
        """Host and port make one, in which the host's colons are quoted."""
        self.assertEqual(ProxyCommon(local_port=22).local_endpoint, "tcp:127.0.0.1:22")
        self.assertEqual(
            ProxyCommon(local_ip="2001:db8::1", local_port=22).local_endpoint,
            "tcp:2001\\:db8\\:\\:1:22",
        )
