"""``relaykit verify``: everything that is wrong with a configuration file."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from relaykit.commands.loading import chosen_file, loaded_or_said
from relaykit.config.load import load_client, load_server, role_of
from relaykit.plugins import ProxyTypes

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(
    context: CommandContext,
    config: str,
    file: str,
    strict_config: bool,
    allow_unsafe: Collection[str],
    role: str | None,
) -> int:
    """Checks a file as the configuration of a role: of the one whose keys it has, if none was named."""
    config = chosen_file(config, file)
    if not config:
        context.explain("a configuration file is needed: -c FILE", "no-file-given")
        return 1
    # A file whose keys do not tell has the same keys, and the same mistakes, in both roles.
    role = role or role_of(config, environ=context.environ, strict=strict_config) or "server"
    load: Any = load_server if role == "server" else load_client
    types = ProxyTypes.installed()
    loaded = loaded_or_said(
        lambda: load(
            config, types=types, environ=context.environ, strict=strict_config, allow_unsafe=allow_unsafe
        ),
        context.complain,
    )
    if loaded is None:
        return 1
    context.say(f"{config} is good for a {role}")
    return 0
