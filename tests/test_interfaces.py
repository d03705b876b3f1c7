"""Every class that says it implements an interface has its methods, with the right arguments."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementedBy
from zope.interface.exceptions import Invalid
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyClass

from relaykit import interfaces
from relaykit.interfaces import IDirectProxyType
from relaykit.plugins import ProxyTypes
from tests.layering import ROOT, imports_of, modules

OPTIONAL_LIBRARIES = frozenset({"qh3", "aioquic"})
"""Top-level modules of extras: a module of relaykit that needs one may fail to import without it."""


def _imported() -> Iterator[object]:
    for path in modules():
        if path.name == "__main__.py":
            continue
        dotted = ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")
        try:
            yield importlib.import_module(dotted)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in OPTIONAL_LIBRARIES:
                raise


def _classes() -> Iterator[type]:
    for module in _imported():
        for _, found in inspect.getmembers(module, inspect.isclass):
            if found.__module__ == getattr(module, "__name__", None):
                yield found


def _modules_of_type(dotted: str) -> set[Path]:
    """The module of a proxy type, and those of the package of proxy types that it imports."""
    found: set[Path] = set()
    wanted = [dotted]
    while wanted:
        path = ROOT / wanted.pop().replace(".", "/")
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file() and file not in found:
                found.add(file)
                wanted += [each for each in imports_of(file) if each.startswith("relaykit.proxies.")]
    return found


class InterfacesTests(SynchronousTestCase):
    """Tests for the implementers of the package, all of them."""

    def test_implementers(self) -> None:
        """Each class of the package has what its interfaces of relaykit ask for."""
        broken: list[str] = []
        checked = 0
        for cls in _classes():
            for interface in implementedBy(cls):
                if not interface.__module__.startswith("relaykit."):
                    continue
                checked += 1
                try:
                    verifyClass(interface, cls)
                except Invalid as error:
                    broken.append(f"{cls.__module__}.{cls.__qualname__}: {error}")
        self.assertEqual(broken, [])
        self.assertGreater(checked, 10)

    def test_published(self) -> None:
        """The package names each interface of its modules, and nothing else."""
        declared = {
            name
            for module in _imported()
            if getattr(module, "__name__", "").startswith(interfaces.__name__)
            for name, value in vars(module).items()
            if isinstance(value, InterfaceClass) and value.__module__.startswith(interfaces.__name__)
        }
        self.assertEqual(set(interfaces.__all__), declared)

    def test_direct_types(self) -> None:
        """Each type that takes direct paths says so, for ``relaykit nat`` promises them where one does."""
        for reference in ProxyTypes.installed():
            takes_paths = any(
                word in path.read_text("utf-8")
                for path in _modules_of_type(reference.module)
                for word in ("direct_paths", "datagram_streams", ".holes")
            )
            says_so = IDirectProxyType.providedBy(reference.load())
            self.assertEqual(takes_paths, says_so, f"{reference.name}: IDirectProxyType")

    def test_all_names_exist(self) -> None:
        """Each name in a module's ``__all__`` is there, and is there once."""
        for module in _imported():
            names = list(getattr(module, "__all__", ()))
            missing = [name for name in names if not hasattr(module, name)]
            self.assertEqual(missing, [], str(module))
            self.assertEqual(len(names), len(set(names)), str(module))
