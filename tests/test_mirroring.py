"""Every source file has its test file, and every test says what it shows."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.layering import ROOT, modules

EXEMPT: Mapping[str, str] = {
    "relaykit/sansio/contract.py": "declares only; relaykit.testing.pair and every core are written to it",
    "relaykit/__main__.py": "one call of relaykit.commands.main",
    "relaykit/interfaces": "declares only; tests/test_interfaces.py checks every class that implements one",
}
"""Source files, or folders of them, that have code and no test files of their own, with the reason."""

_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def _has_code(path: Path) -> bool:
    return any(
        isinstance(node, (*_FUNCTION, ast.ClassDef))
        for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
    )


def _test_file(path: Path) -> Path:
    return Path("tests", *path.parts[1:-1], f"test_{path.name}")


def _tests() -> Iterator[tuple[Path, ast.ClassDef, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for each in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(each, ast.ClassDef):
                for member in each.body:
                    if isinstance(member, _FUNCTION) and member.name.startswith("test_"):
                        yield path.relative_to(ROOT), each, member


class MirroringTests(SynchronousTestCase):
    """Tests for the shape of ``tests/``."""

    def test_each_source_file_has_its_test_file(self) -> None:
        """The tests of ``relaykit/a/b.py`` are in ``tests/a/test_b.py``."""
        lonely = [
            str(path)
            for path in modules()
            if not {str(path), *map(str, path.parents)} & set(EXEMPT)
            and _has_code(path)
            and not (ROOT / _test_file(path)).exists()
        ]
        self.assertEqual(lonely, [])

    def test_exemptions_are_needed(self) -> None:
        """No file is exempt that is gone or has a test file."""
        for name in EXEMPT:
            self.assertFalse((ROOT / _test_file(Path(name))).exists(), name)

    def test_packages(self) -> None:
        """Every directory with tests can be imported, so that none is left out of a run."""
        missing = {
            str(path.parent.relative_to(ROOT))
            for path in (ROOT / "tests").rglob("test_*.py")
            if not (path.parent / "__init__.py").exists() and "third_party" not in path.parts
        }
        self.assertEqual(missing, set())

    def test_docstrings(self) -> None:
        """Every test states the behavior that it shows."""
        silent = [
            f"{path}:{test.lineno} {cls.name}.{test.name}"
            for path, cls, test in _tests()
            if not ast.get_docstring(test)
        ]
        self.assertEqual(silent, [])

    def test_no_hidden_twins(self) -> None:
        """No test is hidden by a later one of the same name in its class."""
        seen: set[tuple[Path, str, int, str]] = set()
        for path, cls, test in _tests():
            key = (path, cls.name, cls.lineno, test.name)
            self.assertNotIn(key, seen)
            seen.add(key)
