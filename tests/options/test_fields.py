"""Tests for :mod:`relaykit.options.fields`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import (
    FileUse,
    ListeningPort,
    ListeningPortOrOff,
    LoadBalancer,
    NamedFile,
    OptionField,
    Options,
    Port,
    ProxyCommon,
    ProxyTransport,
    VisitorName,
    doc,
    extension,
    file,
    file_key,
    is_led_back,
    listened_ports,
    named_visitors,
    option_fields,
    options_class,
    wire,
    with_files,
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


class ListeningInside(Options, frozen=True, kw_only=True):
    """A table with ports that are listened on."""

    port: Annotated[ListeningPort, doc("A port.")] = 0
    off: Annotated[ListeningPortOrOff, doc("A port, or none.")] = 0


class Listening(Options, frozen=True, kw_only=True):
    """Ports of all kinds."""

    port: Annotated[ListeningPort, file_key("knock.port"), doc("A port.")] = 0
    other_port: Annotated[Port, doc("A port that is dialed.")] = 0
    inner: ListeningInside = ListeningInside()


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

    def test_limits(self) -> None:
        """The limits of a number are known, whether from a shared type or its own; a text has none."""
        self.assertEqual((_field("remote_port").least, _field("remote_port").greatest), (0, 9))
        self.assertEqual((_field("port", Listening).least, _field("port", Listening).greatest), (0, 65535))
        self.assertEqual((_field("local_name").least, _field("local_name").greatest), (None, None))

    def test_file_key(self) -> None:
        """A field may have its place at a key at the top of the file."""
        self.assertEqual(_field("port", Listening).file_key, "knock.port")
        self.assertIsNone(_field("other_port", Listening).file_key)

    def test_forms(self) -> None:
        """What a form needs to know of a value is declared, by shared types too."""
        self.assertEqual(
            (_field("port", Listening).unit, _field("other_port", Listening).unit), ("port",) * 2
        )
        self.assertEqual(_field("bandwidth_limit", ProxyTransport).unit, "bandwidth")
        self.assertEqual(_field("bandwidth_limit_mode", ProxyTransport).choices, ("client", "server"))
        self.assertEqual([_field(each, ProxyCommon).advanced for each in ("local", "name")], [True, False])

    def test_flag(self) -> None:
        """A key that every proxy has may be a flag of one-line commands."""
        self.assertEqual((_field("group", LoadBalancer).flag, _field("secret").flag), ("group", None))


class ListenedPortsTests(SynchronousTestCase):
    """Tests for the ports that options ask to listen on."""

    def test_listened(self) -> None:
        """Ports that are declared so count, those of tables inside too; "off" and other ports do not."""
        listening = Listening(port=80, other_port=22, inner=ListeningInside(port=443, off=-1))
        self.assertEqual(listened_ports(listening), {80, 443})
        self.assertEqual(listened_ports(Listening()), frozenset())


class Pair(Options, frozen=True, kw_only=True):
    """Two files."""

    cert_file: Annotated[str, file(FileUse.CERTIFICATE)] = ""
    key_file: Annotated[str, file(FileUse.KEY)] = ""


class Files(Options, frozen=True, kw_only=True):
    """Files of its own, inside, and in a list."""

    log: Annotated[str, file(FileUse.WRITTEN)] = "a.log"
    other: str = "not a file"
    tls: Pair = Pair()
    pairs: Annotated[tuple[Pair, ...], file_key("topPairs")] = ()
    names: tuple[str, ...] = ("a",)


class FilesTests(SynchronousTestCase):
    """Tests for the files that options name."""

    def test_with_files(self) -> None:
        """Each file is asked about by its whole key and its use; what else there is stays as it is."""
        options = Files(tls=Pair(key_file="k"), pairs=(Pair(), Pair(cert_file="c")))
        met: list[NamedFile] = []

        def path_of(named: NamedFile) -> str:
            met.append(named)
            return f"/{named.path}"

        changed = with_files(options, path_of, "top.")
        self.assertEqual(
            met,
            [
                NamedFile("top.log", "a.log", FileUse.WRITTEN),
                NamedFile("top.tls.keyFile", "k", FileUse.KEY),
                NamedFile("topPairs[1].certFile", "c", FileUse.CERTIFICATE),
            ],
        )
        expected = Files(log="/a.log", tls=Pair(key_file="/k"), pairs=(Pair(), Pair(cert_file="/c")))
        self.assertEqual(changed, expected)
        self.assertEqual(with_files(options, lambda named: named.path), options)


class Handing(Options, frozen=True, kw_only=True):
    """A visitor that may hand its users to others."""

    fallback_to: VisitorName = ""
    rather: VisitorName = ""
    name: str = "not another one"


class NamedVisitorsTests(SynchronousTestCase):
    """Visitors that hand users to others."""

    def test_named(self) -> None:
        """The others are known by key; none that is not given."""
        self.assertEqual(named_visitors(Handing()), {})
        self.assertEqual(named_visitors(Handing(fallback_to="a")), {"fallbackTo": "a"})
        self.assertEqual(named_visitors(Sample()), {})

    def test_led_back(self) -> None:
        """Users may come back by any way, however long, and rings elsewhere end the search."""
        options = {
            "a": Handing(fallback_to="b"),
            "b": Handing(fallback_to="c", rather="d"),
            "c": Handing(fallback_to="b"),
            "d": Handing(fallback_to="gone"),
        }
        for visitor, to, expected in (
            ("a", "b", False),
            ("b", "c", True),
            ("c", "b", True),
            ("d", "gone", False),
            ("a", "a", True),
        ):
            self.assertEqual(is_led_back(visitor, to, options.get), expected, visitor)
        options["d"] = Handing(rather="a")
        self.assertTrue(is_led_back("a", "b", options.get))
