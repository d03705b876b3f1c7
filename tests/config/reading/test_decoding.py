from __future__ import annotations

from typing import Annotated, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.problems import Findings, Report
from relaykit.config.reading.decoding import Reader, nearest
from relaykit.config.text.documents import Document, Format
from relaykit.options import Options, PortOrOff, Problem
from relaykit.values import Secret

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class Inner(Options, frozen=True, kw_only=True):
    """A table in a table."""

    number: int = 5


class Sample(Options, frozen=True, kw_only=True):
    """A table with a key of every kind."""

    text: str = "default"
    secret: Secret = Secret("")
    number: int = 1
    limited: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    port_or_off: PortOrOff = 0
    fraction: float = 0.5
    switch: bool = True
    maybe: bool | None = None
    names: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    words: dict[str, str] = msgspec.field(default_factory=dict)
    inner: Inner = Inner()
    optional: Inner | None = None
    inners: tuple[Inner, ...] = ()


def reader(format: Format = Format.TOML, **options: Any) -> Reader:
    """A reader of a document whose values are handed in."""
    return Reader(Report(), Document({}, format), **options)


def read(table: dict[str, Any], **options: Any) -> tuple[Sample | None, list[str], list[str]]:
    """The options that a table makes, and the problems and warnings."""
    reading = reader(**options)
    made = reading.table(Sample, table, ())
    report = reading.report
    return made, [str(each) for each in report.problems], [str(each) for each in report.warnings]


class ReaderTests(SynchronousTestCase):
    """Tests for the reading of tables."""

    def test_values(self) -> None:
        """Values of every kind arrive, keys in any letter case; null is as good as absent."""
        made, problems, warnings = read(
            {
                "TEXT": "a",
                "secret": "s",
                "number": -7,
                "limited": 9,
                "fraction": 2,
                "switch": False,
                "maybe": False,
                "names": ["a", None],
                "secrets": ["s"],
                "words": {"A": "1", "a": None},
                "inner": {"Number": 6},
                "optional": {},
                "inners": [{"number": 7}, None],
            }
        )
        self.assertEqual((problems, warnings), ([], []))
        expected = Sample(
            text="a",
            secret=Secret("s"),
            number=-7,
            limited=9,
            fraction=2.0,
            switch=False,
            maybe=False,
            names=("a", ""),
            secrets=(Secret("s"),),
            words={"A": "1", "a": ""},
            inner=Inner(number=6),
            optional=Inner(),
            inners=(Inner(number=7), Inner()),
        )
        self.assertEqual(made, expected)
        self.assertEqual(
            read(dict.fromkeys(("text", "inner", "names", "words", "switch"))), (Sample(), [], [])
        )

    def test_wrong_kinds(self) -> None:
        """Each wrong value is told with its own path, and leaves the default."""
        made, problems, _ = read(
            {
                "text": 5,
                "secret": 6,
                "number": True,
                "limited": 10,
                "portOrOff": 65536,
                "switch": 1,
                "names": ["a", 1, False],
                "words": {"a": 1.5},
                "inner": {"number": 7000.5},
                "optional": "x",
                "inners": [{"number": "1"}, 5],
            }
        )
        self.assertEqual(
            problems,
            [
                "text: must be a text, not a number (5) (put it in quotes)",
                "secret: must be a text, not a number (put it in quotes)",
                "number: must be a whole number, not true",
                "limited: must be in the range 0..9, not 10",
                "portOrOff: must be at most 65535, not 65536",
                "switch: must be true or false, not a number (1)",
                "names[1]: must be a text, not a number (1) (put it in quotes)",
                "names[2]: must be a text, not false (put it in quotes)",
                "words.a: must be a text, not a number with a fraction (1.5) (put it in quotes)",
                "inner.number: must be a whole number, not a number with a fraction (7000.5)",
                "optional: must be a table, not a text",
                'inners[0].number: must be a whole number, not the text "1" (leave out the quotes)',
                "inners[1]: must be a table, not a number",
            ],
        )
        self.assertEqual(made, Sample())

    def test_unknown_keys(self) -> None:
        """Unknown keys are told with the nearest known one, or with where they belong; or ignored."""

        def elsewhere(key: str) -> str:
            return "look left" if key == "zzz" else ""

        table = {"txt": "a", "zzz": 1, "": 2, "inner": {"nmber": 1}}
        self.assertEqual(
            read(table, elsewhere=elsewhere)[1],
            [
                "the empty text is no key",
                "txt: unknown key (did you mean text?)",
                "zzz: unknown key (look left)",
                "inner.nmber: unknown key (did you mean number?)",
            ],
        )
        self.assertEqual(read(table, strict=False), (Sample(), [], []))

    def test_two_spellings(self) -> None:
        """Of two spellings the last counts: by order in JSON, else by bytes; it is warned about."""
        table = {"number": 1, "NUMBER": 2}
        made, _, warnings = read(table)
        assert made is not None
        self.assertEqual((made.number, len(warnings)), (1, 1))
        made, _, warnings = read(table, format=Format.JSON)
        assert made is not None
        self.assertEqual((made.number, len(warnings)), (2, 1))

    def test_texts_from_scalars(self) -> None:
        """Where it is allowed, numbers and booleans pass for texts, but not in maps."""
        made, problems, _ = read(
            {"text": 1.5, "names": [True, 7], "words": {"a": 1}}, texts_from_scalars=True
        )
        assert made is not None
        self.assertEqual((made.text, made.names), ("1.5", ("true", "7")))
        self.assertEqual(len(problems), 1)

    def test_places(self) -> None:
        """Problems have the file's name, and its line as the template knows it."""
        document = Document({}, Format.TOML, {("number",): 3})
        reading = Reader(Report(), document, "f.toml", source_line=lambda line: line * 10)
        reading.table(Sample, {"number": "x"}, ())
        self.assertEqual(reading.report.problems[0].place, "f.toml:30")

    @given(st.dictionaries(st.sampled_from(Sample.__struct_fields__), PLAIN, max_size=4))
    def test_junk(self, table: dict[str, Any]) -> None:
        """Any table makes options or problems, each about a key of the table."""
        made, problems, _ = read(table)
        self.assertIsInstance(made, Sample)
        for problem in problems:
            self.assertTrue(problem.startswith(tuple(table)), problem)


class FindingsTests(SynchronousTestCase):
    """Tests for what checks find in tables that were read."""

    def test_consequences(self) -> None:
        """What follows from a value that could not be read is left out."""
        reading = reader()
        reading.table(Sample, {"inner": 5}, ("t",))
        found = Findings([Problem("inner.number", "must be given"), Problem("text", "is bad")])
        reading.findings(found, ("t",))
        self.assertEqual([each.key for each in reading.report.problems], ["t.inner", "t.text"])


class NearestTests(SynchronousTestCase):
    """Tests for guesses at what was meant."""

    def test_spellings(self) -> None:
        """Old spellings with underscores and typing errors find their key."""
        known = ("bindPort", "bindAddr", "subDomainHost")
        for key, meant in (
            ("bind_port", "bindPort"),
            ("bindPrt", "bindPort"),
            ("subdomain_host", "subDomainHost"),
        ):
            self.assertEqual(nearest(key, known), meant)

    def test_nothing_near(self) -> None:
        """A key that is like no other finds none."""
        self.assertEqual(nearest("zzz", ("bindPort", "bindAddr")), "")
        self.assertEqual(nearest("x", ()), "")
