from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.legacy.ini import is_legacy, read_ini
from relaykit.config.text.documents import FormatError


class LegacyTests(SynchronousTestCase):
    """Tests for the recognition of INI files."""

    def test_recognized(self) -> None:
        """INI throughout with a section [common] is an INI file, whatever else it could be."""
        for text in (
            "[common]\n",
            "[common]\r\nbind_port = 7000\r\n",
            "; comment\n# comment\n  [common]\nbind_port: 7000\n",
            'bindPort = 7000\n[common]\nx = "a"\n',
            '{"a": 1}\n[common]\n',
            "a = one \\\n two without delimiter\n[common]\n",
            'a = """one\ntwo\n"""\n[common]\n',
            '"a:b" = 1\n[common]\n',
            "[ssh]\ntype = tcp\n[common]\n",
        ):
            self.assertTrue(is_legacy(text), text)

    def test_not_recognized(self) -> None:
        """Another section, a commented one, or one line that is no INI makes it none."""
        for text in (
            "",
            "bindPort = 7000\n",
            "[ common ]\nzz = 1\n",
            "[Common]\n",
            "[common.sub]\n",
            "[[common]]\n",
            "# [common]\nbindPort = 1\n",
            "x\n[common]\n",
            "= 5\n[common]\n",
            'start = [\n"a:b",\n"c" ]\n[common]\n',
            "allowPorts = [\n]\n[common]\n",
            'bindAddr = """\n[common]\n"""\n',
            'a = """never ends\n[common]\n',
            "common:\n  a: 1\n",
            "[common\n",
            '"""a = b\n[common]\n',
            '"open = 1\n[common]\n',
        ):
            self.assertFalse(is_legacy(text), text)

    def test_values(self) -> None:
        """A value is what follows the first delimiter, without quotes; nothing in it is a comment."""
        for line, value in (
            ("a = b", "b"),
            ("a: b = c", "b = c"),
            ("a =", ""),
            ("a = b # c ; d", "b # c ; d"),
            ('a = "b c"', "b c"),
            ("a = 'b'", "b"),
            ('a = "b" c"', '"b" c"'),
            ("a = `b`", "b"),
            ('a = """b\nc"""', "b\nc"),
            ("a = b \\\n  c\\\nd", "b cd"),
            ('"a" = b', "b"),
            ("`a` = b", "b"),
            ("a", "true"),
        ):
            (section,) = read_ini(line).sections
            self.assertEqual([(each.key, each.value) for each in section.entries], [("a", value)], line)

    def test_sections(self) -> None:
        """Sections of one name are one; of a key that is given twice the last counts."""
        found = read_ini("z = 0\n[a]\nx = 1\n[b]\n[a]\nx = 2\ny = 3\n")
        self.assertEqual([(each.name, each.line) for each in found.sections], [("", 1), ("a", 2), ("b", 4)])
        values = found.sections[1].values()
        self.assertEqual(
            [(key, each.value, each.line) for key, each in values.items()], [("x", "2", 6), ("y", "3", 7)]
        )

    def test_comments(self) -> None:
        """A comment belongs to what comes next; those after everything to the file."""
        found = read_ini("# 1\n\n; 2\n[a]\n# 3\nx = 1\n#4\n")
        section = found.sections[1]
        self.assertEqual((section.comments, section.entries[0].comments), (("# 1", "; 2"), ("# 3",)))
        self.assertEqual(found.comments, ("#4",))

    def test_malformed(self) -> None:
        """What is no INI is told with its line."""
        for text, line in (("a = 1\n[b", 2), ("= 1", 1), ('"a', 1), ('\na = """b\n', 2)):
            self.assertEqual(self.assertRaises(FormatError, read_ini, text).line, line, text)

    def test_secrets(self) -> None:
        """No value is in the text of an error of ours, or in a log."""
        self.assertNotIn("s3cret", repr(read_ini("[common]\ntoken = s3cret\n")))

    @given(st.text(alphabet='[]common="`\\\n :#;a', max_size=40))
    def test_any(self, text: str) -> None:
        """Any text is read, or refused with a line of it."""
        try:
            read_ini(text)
        except FormatError as error:
            assert error.line is not None
            self.assertLessEqual(error.line, text.count("\n") + 1)

    @given(st.text(alphabet='[]common="`\\\n :#;a', max_size=40))
    def test_junk(self, text: str) -> None:
        """Any text is one or the other."""
        self.assertIn(is_legacy(text), (True, False))
