"""Tests for :mod:`relaykit.plugins`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.errors import (
    BrokenCarrier,
    BrokenPolicy,
    BrokenProxyType,
    DuplicateCarrier,
    DuplicateProxyType,
    UnknownCarrier,
    UnknownPolicy,
    UnknownProxyType,
)
from relaykit.interfaces import ICarrierReference, IProxyTypeReference
from relaykit.plugins import (
    CarrierReference,
    Carriers,
    Policies,
    PolicyReference,
    ProxyTypeReference,
    ProxyTypes,
)
from relaykit.proxies import tcp
from tests.layering import ROOT


class ProxyTypeReferenceTests(SynchronousTestCase):
    """Tests for what a dropin holds."""

    def module(self, **attributes: Any) -> str:
        """A module that can be imported during the test."""
        module = ModuleType("relaykit_test_of_plugins")
        module.__dict__.update(attributes)
        self.patch(sys, "modules", {**sys.modules, module.__name__: module})
        return module.__name__

    def refusal(self, name: str, module: str) -> str:
        """Why a reference cannot be loaded."""
        return str(self.assertRaises(BrokenProxyType, ProxyTypeReference(name, module).load))

    def test_provides(self) -> None:
        """A reference is what the plugin system looks for."""
        verifyObject(IProxyTypeReference, ProxyTypeReference("tcp", "relaykit.proxies.tcp"))

    def test_load(self) -> None:
        """Loading answers the module's proxy type."""
        reference = ProxyTypeReference("tcp", "relaykit.proxies.tcp")
        self.assertIs(reference.load(), tcp.proxy_type)

    def test_no_module(self) -> None:
        """A module that cannot be imported is named, with the reason."""
        said = self.refusal("x", "relaykit.no_such_module")
        self.assertIn('"x"', said)
        self.assertIn("No module named 'relaykit.no_such_module'", said)

    def test_no_type(self) -> None:
        """A module without a proxy type is named."""
        for attributes in ({}, {"proxy_type": object()}):
            self.assertIn("has no attribute proxy_type", self.refusal("x", self.module(**attributes)))

    def test_other_name(self) -> None:
        """A type that calls itself something else is not taken for what the dropin says."""
        self.assertIn('calls itself "tcp"', self.refusal("x", self.module(proxy_type=tcp.proxy_type)))


class ProxyTypesTests(SynchronousTestCase):
    """Tests for the types by name."""

    def test_installed(self) -> None:
        """The built-in types are found as plugins, in the order of their names."""
        names = [reference.name for reference in ProxyTypes.installed()]
        self.assertLessEqual({"stcp", "tcp"}, set(names))
        self.assertEqual(names, sorted(names))

    def test_get(self) -> None:
        """A type is loaded when it is first asked for, and then kept."""
        loads: list[str] = []

        class Counting(ProxyTypeReference):
            def load(self) -> Any:
                loads.append(self.name)
                return super().load()

        types = ProxyTypes.from_references(
            [Counting("tcp", "relaykit.proxies.tcp"), Counting("broken", "relaykit.no_such_module")]
        )
        self.assertEqual(([each.name for each in types], loads), (["broken", "tcp"], []))
        self.assertIs(types.get("tcp"), types.get("tcp"))
        self.assertEqual(loads, ["tcp"])
        self.assertRaises(BrokenProxyType, types.get, "broken")
        self.assertIs(types.get("tcp"), tcp.proxy_type)

    def test_unknown(self) -> None:
        """A type that nobody installed is an error that says which there are."""
        types = ProxyTypes.from_references([ProxyTypeReference("tcp", "relaykit.proxies.tcp")])
        error = self.assertRaises(UnknownProxyType, types.get, "tpc")
        self.assertEqual(str(error), 'no proxy type "tpc" is installed (installed: tcp)')
        self.assertEqual(("tcp" in types, "tpc" in types), (True, False))

    def test_duplicate(self) -> None:
        """A type that two packages have cannot be used, which names both; all others can."""
        first, second = ProxyTypeReference("x", "one.module"), ProxyTypeReference("x", "another.module")
        own = ProxyTypeReference("tcp", "relaykit.proxies.tcp")
        types = ProxyTypes.from_references([first, second, own, own])
        error = self.assertRaises(DuplicateProxyType, types.get, "x")
        self.assertIn("one.module", str(error))
        self.assertIn("another.module", str(error))
        self.assertIs(types.get("tcp"), tcp.proxy_type)
        self.assertEqual([each.name for each in types], ["tcp", "x"])


class DropinTests(SynchronousTestCase):
    """Tests for dropin files that cannot be used."""

    def test_raises(self) -> None:
        """A dropin that raises is one line, with its file, and takes nothing away from the others."""
        folder = Path(self.mktemp()).absolute()
        dropins = folder / "twisted" / "plugins"
        dropins.mkdir(parents=True)
        (dropins / "bad_dropin.py").write_text("import relaykit\nnosuch\n")
        (dropins / "worse_dropin.py").write_text("not python\n")
        script = "from relaykit.commands.main import main\nfor _ in range(2): main(['plugins'])\n"
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertIn("relaykit.proxies.tcp", done.stdout)
        bad, worse = sorted(done.stderr.splitlines())
        where = f"WARNING: the dropin file {dropins}"
        self.assertEqual(
            bad, f"{where}/bad_dropin.py cannot be used: NameError: name 'nosuch' is not defined"
        )
        self.assertTrue(worse.startswith(f"{where}/worse_dropin.py cannot be used: "), worse)


class CarriersTests(SynchronousTestCase):
    """Tests for the carriers by name."""

    def test_installed(self) -> None:
        """The built-in carrier is found through the plugin system like anybody's."""
        carriers = Carriers.installed()
        self.assertIn("tcp", [reference.name for reference in carriers])
        self.assertEqual(carriers.get("tcp").name, "tcp")
        verifyObject(ICarrierReference, CarrierReference("tcp", "relaykit.carriers.tcp"))

    def test_errors(self) -> None:
        """What is wrong with a carrier is told with errors of its own, which name it."""
        with self.assertRaisesRegex(UnknownCarrier, 'no carrier "pigeon" is installed'):
            Carriers().get("pigeon")
        broken = CarrierReference("pigeon", "relaykit.proxies.tcp")
        with self.assertRaisesRegex(BrokenCarrier, '"pigeon" cannot be used: .* no attribute carrier'):
            broken.load()
        twice = [CarrierReference("pigeon", module) for module in ("one", "two")]
        with self.assertRaisesRegex(DuplicateCarrier, 'carrier "pigeon" is provided twice'):
            Carriers.from_references(twice).get("pigeon")


class PoliciesTests(SynchronousTestCase):
    """Policies are found by name, too."""

    def test_found(self) -> None:
        """What is not installed, or is no policy, is said so."""
        policies = Policies.from_references([PolicyReference("strict", "relaykit.proxies.tcp")])
        with self.assertRaisesRegex(UnknownPolicy, 'no policy "lax" is installed'):
            policies.get("lax")
        with self.assertRaisesRegex(BrokenPolicy, '"strict" cannot be used: .* no attribute policy'):
            policies.get("strict")
