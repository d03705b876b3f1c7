"""``relaykit plugins``: the installed proxy types, where each comes from, and whether it can be used."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from relaykit.errors import PluginError
from relaykit.plugins import ProxyTypes

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(context: CommandContext) -> int:
    """Lists the proxy types; the status is 1 if one of them cannot be used."""
    types = ProxyTypes.installed()
    rows = []
    status = 0
    packages = metadata.packages_distributions()
    for reference in types:
        try:
            about = types.get(reference.name).summary
        except PluginError as error:
            about = f"CANNOT BE USED: {error}"
            status = 1
        rows.append(
            (
                reference.name,
                _package(reference.module, packages),
                reference.module,
                ", ".join(reference.commands) or "-",
                about,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        context.say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return status


def _package(module: str, packages: dict[str, list[str]] | object) -> str:
    """The package that a module was installed with, and its version; a dash if it was not installed."""
    assert isinstance(packages, dict)
    names = packages.get(module.partition(".")[0], ())
    return f"{names[0]} {metadata.version(names[0])}" if names else "-"
