"""``relaykit verify``: all that is wrong with a configuration file, and with the files that it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from relaykit.client.forward_proxy import choose_proxy
from relaykit.commands.loading import chosen_file, loaded_or_said
from relaykit.config.load import (
    LoadedClient,
    LoadedServer,
    load_client,
    load_server,
    role_of,
)
from relaykit.config.schema.carriers import AUTO
from relaykit.errors import ForwardProxyError
from relaykit.plugins import Carriers, ProxyTypes
from relaykit.verifying import file_findings

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext
    from relaykit.config.schema import ClientConfig

__all__ = ["run"]


def run(
    context: CommandContext,
    config: str,
    file: str,
    strict_config: bool,
    allow_unsafe: Collection[str],
    role: str | None,
    token_file: str = "",
) -> int:
    """Checks a file as the configuration of a role: of the one whose keys it has, if none was named."""
    config = chosen_file(config, file)
    if not config:
        context.explain("a configuration file is needed: -c FILE", "no-file-given")
        return 1
    # A file whose keys do not tell has the same keys, and the same mistakes, in both roles.
    role = role or role_of(config, environ=context.environ, strict=strict_config) or "server"

    def load() -> LoadedServer | LoadedClient:
        return (load_server if role == "server" else load_client)(
            config,
            types=ProxyTypes.installed(),
            environ=context.environ,
            strict=strict_config,
            allow_unsafe=allow_unsafe,
            token_given=bool(token_file),
        )

    loaded = loaded_or_said(load, context.complain)
    if loaded is None:
        return 1
    found = file_findings(loaded, config, token_file, context.environ)
    for warning in found.warnings:
        context.complain(f"WARNING: {warning}")
    for problem in found.problems:
        context.complain(str(problem))
    if found.problems:
        return 1
    context.say(f"{config} is good for a {role}")
    if isinstance(loaded, LoadedClient) and loaded.config.transport.protocol == AUTO:
        context.say(_ways(loaded.config, context.environ))
    return 0


def _ways(config: ClientConfig, environ: Mapping[str, str]) -> str:
    """What a client would try that takes whichever carrier gets to its server."""
    # It has what a client that runs needs.
    from relaykit.client.racing import racing_carriers, ways_of

    try:
        proxied = choose_proxy(config, environ) is not None
    except ForwardProxyError as error:
        return str(error)
    ways = ways_of(config, racing_carriers(Carriers.installed()), proxied=proxied)
    through = ", through the forward proxy" if proxied else ""
    return (
        f"it tries{through}: {', then '.join(map(str, ways))}; first what worked before on the same network, "
        "and carriers with ports of their own where the server says that it has them"
    )
