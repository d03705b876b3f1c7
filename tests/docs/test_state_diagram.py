"""Tests for :mod:`docs._ext.state_diagram`."""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.state_diagram import Edge, draw

_SVG = "{http://www.w3.org/2000/svg}"


class DrawTests(SynchronousTestCase):
    """Tests for :func:`draw`."""

    def test_everything_is_drawn(self) -> None:
        """Each state is a box, each pair of states that has steps an arrow, each step a label."""
        edges = [
            Edge("new", "old", "age", "server"),
            Edge("new", "old", "grow", "client"),
            Edge("new", "gone", "end", "either"),
            Edge("old", "old", "stay", "client"),
        ]
        picture = ElementTree.fromstring(draw(["new", "old", "gone"], edges))
        self.assertEqual(len(list(picture.iter(f"{_SVG}rect"))), 3)
        arrows = [path for path in picture.iter(f"{_SVG}path") if "marker-end" in path.attrib]
        self.assertEqual(len(arrows), 3)
        texts = [text.text for text in picture.iter(f"{_SVG}text")]
        self.assertEqual(
            sorted(str(text) for text in texts),
            sorted(["new", "old", "gone", "server: age", "client: grow", "either: end", "client: stay"]),
        )

    def test_names_are_escaped(self) -> None:
        """What a state is called cannot become markup."""
        picture = ElementTree.fromstring(draw(["<b>"], []))
        self.assertEqual([text.text for text in picture.iter(f"{_SVG}text")], ["<b>"])
