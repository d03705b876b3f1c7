from __future__ import annotations

from relaykit.config.problems import Report
from relaykit.config.reading import files
from relaykit.config.reading.files import read_file
from relaykit.config.text.documents import Format
from tests.config.tables import ConfigurationTestCase


class ReadFileTests(ConfigurationTestCase):
    """Tests for the way from a path to a document."""

    def problem(self, name: str, content: str | bytes) -> str:
        """What is wrong with a file."""
        self.write(name, content)
        report = Report()
        self.assertIsNone(read_file(name, report, environ={}, strict=True, cwd=self.directory))
        (problem,) = report.problems
        return str(problem)

    def test_read(self) -> None:
        """A file is rendered, recognized and parsed; line ends of any kind will do."""
        self.write("a.conf", "bindPort = {{ .Envs.P }}\r\n# \xe4\r\n")
        reader = read_file("a.conf", Report(), environ={"P": "7001"}, strict=True, cwd=self.directory)
        assert reader is not None
        self.assertEqual(reader.document.value, {"bindPort": 7001})
        self.assertIs(reader.document.format, Format.TOML)

    def test_byte_order_mark(self) -> None:
        """A byte-order mark is no part of the text, whatever the format."""
        for name, text in (("a.toml", "a = 1"), ("a.yaml", "a: 1"), ("a.json", '{"a": 1}')):
            self.write(name, f"\ufeff{text}\r\n")
            reader = read_file(name, Report(), environ={}, strict=True, cwd=self.directory)
            assert reader is not None
            self.assertEqual(reader.document.value, {"a": 1})

    def test_null(self) -> None:
        """Nothing at all, and null, are a table without keys."""
        for name, text in (("a.yaml", "~\n"), ("a.json", "null"), ("a.toml", "")):
            self.write(name, text)
            reader = read_file(name, Report(), environ={}, strict=True, cwd=self.directory)
            assert reader is not None
            self.assertEqual(reader.document.value, {})

    def test_unreadable(self) -> None:
        """A file that is not there, is a directory or no text is told in words."""
        report = Report()
        for name in ("nope.toml", "."):
            self.assertIsNone(read_file(name, report, environ={}, strict=True, cwd=self.directory))
        self.assertEqual(
            [str(problem) for problem in report.problems],
            ["nope.toml: cannot be read: no such file or directory", ".: cannot be read: is a directory"],
        )
        self.assertEqual(self.problem("a.toml", b'a = 1\nb = "\xff"\n'), "a.toml:2: is not text in UTF-8")

    def test_too_large(self) -> None:
        """A file that no configuration can be is not read into memory."""
        self.patch(files, "MOST_BYTES", 10)
        self.assertIn("more than 10 bytes", self.problem("a.toml", "# 123456789\n"))

    def test_legacy(self) -> None:
        """An INI file is recognized before its template is rendered, which is reported like any other."""
        problem = self.problem("a.ini", "[common]\nbind_port = {{ .Envs.P }\n")
        self.assertIn("a.ini:2", problem)
        self.assertIn("template: ", problem)

    def test_template_error(self) -> None:
        """An error of the template has line, column and expression."""
        self.assertEqual(
            self.problem("a.toml", "\n# {{ .Foo }}\n"),
            "a.toml:2:6: template: can't evaluate field Foo in type *config.Values in .Foo",
        )

    def test_syntax_error_behind_template(self) -> None:
        """A syntax error has the line of the file, and a column where that is one of the file."""
        self.assertTrue(self.problem("a.toml", "a = 1\nb = \n").startswith("a.toml:2:5: "))
        problem = self.problem("a.toml", "{{ range 3 }}\n# x\n{{ end }}\nb = = 1\n")
        self.assertTrue(problem.startswith("a.toml:4: "), problem)
