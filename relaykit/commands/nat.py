"""``relaykit nat``: what kind of network this machine is in, and what will work towards whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.defer import Deferred, succeed

from relaykit.commands.runner import ProcessRunner
from relaykit.commands.tunnels.logins import RememberedLogins
from relaykit.errors import PluginError, RelaykitError
from relaykit.interfaces import IDirectProxyType
from relaykit.nat.network import HostNetwork
from relaykit.nat.report import run as examine
from relaykit.plugins import ProxyTypes
from relaykit.state import StateDirectory
from relaykit.values import PathProtocol

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["direct_types", "run"]


@define
class _Result:
    """The exit status, once it is known; 1 where nothing answered."""

    status: int = 1


def run(context: CommandContext, server: Sequence[str], state_dir: str, lifetime: bool, json: bool) -> int:
    """Examines the network and prints what was found."""
    try:
        servers = server or _own_server(context, state_dir)
    except RelaykitError as error:
        context.explain(error)
        return 1
    reactor = context.choose_reactor()
    result = _Result()

    async def examined() -> bool:
        result.status = await examine(
            reactor,
            HostNetwork(reactor),
            context.say,
            servers,
            direct_types(ProxyTypes.installed()),
            lifetime,
            json,
            context.stdout.isatty(),
        )
        return True

    reason = ProcessRunner(reactor, lambda: Deferred.fromCoroutine(examined()), lambda: succeed(None)).run()
    if reason.failure is not None:
        context.complain(str(reason.failure))
        return 1
    return -reason.signal if reason.signal is not None else result.status


def direct_types(types: ProxyTypes) -> Mapping[str, Collection[PathProtocol]]:
    """The proxy types that take direct paths, and what these are made of; a broken one takes none."""
    found: dict[str, Collection[PathProtocol]] = {}
    for reference in types:
        try:
            each = types.get(reference.name)
        except PluginError:
            continue
        if IDirectProxyType.providedBy(each) and each.path_protocols:
            found[reference.name] = each.path_protocols
    return found


def _own_server(context: CommandContext, state_dir: str) -> Sequence[str]:
    """The relay server that one-line commands use: nobody else is asked who was not named.

    :raises RelaykitError: there is none.
    """
    named = context.environ.get("RELAYKIT_SERVER", "")
    if named:
        return [named]
    latest = RememberedLogins(StateDirectory.find(state_dir, context.environ)).latest()
    if latest is None:
        raise RelaykitError(
            "no server is named that could be asked: --server HOST, or RELAYKIT_SERVER; a STUN server of "
            "others does as well, such as --server stun.cloudflare.com",
            problem="no-server-named",
        )
    return [str(latest.server)]
