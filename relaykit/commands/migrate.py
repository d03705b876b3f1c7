"""``relaykit migrate``: prints what an INI file of an old version of frp is today, as TOML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.config.legacy.converting import Role, read_legacy
from relaykit.config.legacy.ini import COMMON, is_legacy
from relaykit.config.legacy.writing import as_toml
from relaykit.config.reading.files import read_text
from relaykit.config.text.documents import FormatError

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(context: CommandContext, file: str, role: Role | None, included: bool) -> int:
    """Prints a file as TOML; one that another includes has no common section, and is a client's."""
    try:
        text = read_text(file)
        if not included and not is_legacy(text):
            what = f"{file}: this is no INI file of frp's: it would have a section [{COMMON}]"
            context.explain(what, "not-legacy")
            return 1
        migrated = as_toml(text, "client" if included else role)
        includes = read_legacy(text, role="client" if included else role).value.get("includes", ())
    except FormatError as error:
        place = ":".join(str(part) for part in (file, error.line) if part is not None)
        context.explain(": ".join(part for part in (place, error.key, error.reason) if part))
        return 1
    context.say(migrated.removesuffix("\n"))
    for each in includes:
        context.complain(
            f"{file}: includes {each}: those files are INI, too, and a TOML file includes TOML files: "
            "migrate each with relaykit migrate --included, and write the new names into includes"
        )
    return 0
