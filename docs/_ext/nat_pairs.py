"""``.. nat-pairs::``: which way of punching is used between which networks, drawn from the code's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from relaykit.sansio.nat.pairing import NatType, Strategy, strategy_for

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]


class NatPairs(SphinxDirective):
    """One row and one column for each NAT type; the cell is the strategy of the row's end."""

    def run(self) -> list[nodes.Node]:
        """Draws the table."""
        lines = [".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", ""]
        lines += _row(["this end \\ the other", *(each.value for each in NatType)])
        for own in NatType:
            lines += _row([own.value, *(_cell(strategy_for(own, other)) for other in NatType)])
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source="nat-pairs"), 0, container)
        return container.children


def _row(cells: list[str]) -> list[str]:
    first, *others = cells
    return [f"   * - {first}", *(f"     - {cell}" for cell in others)]


def _cell(strategy: Strategy) -> str:
    return "--" if strategy is Strategy.GIVE_UP else strategy.value


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the directive."""
    app.add_directive("nat-pairs", NatPairs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
