"""Tests for :mod:`benchmarks.plot`."""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.plot import draw
from benchmarks.results import Results

_SVG = "{http://www.w3.org/2000/svg}"


class DrawTests(SynchronousTestCase):
    """Tests for :func:`draw`."""

    def test_bars(self) -> None:
        """Each figure is a bar whose length is in proportion to it."""
        results = Results()
        results.add("relaykit-default", {"bulk-1-up": 10.0})
        results.add("frp-default", {"bulk-1-up": 5.0})
        picture = ElementTree.fromstring(draw(results, {"relaykit-default": "ours", "frp-default": "<frp>"}))
        ours, theirs = (float(bar.attrib["width"]) for bar in picture.iter(f"{_SVG}rect"))
        self.assertAlmostEqual(ours / theirs, 2.0, places=2)
        self.assertIn("<frp>", [text.text for text in picture.iter(f"{_SVG}text")])

    def test_nothing_measured(self) -> None:
        """Without figures the picture is empty, and still one."""
        picture = ElementTree.fromstring(draw(Results(), {}))
        self.assertEqual(list(picture), [])
