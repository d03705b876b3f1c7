"""``relaykit frpc nathole discover``: what kind of NAT frp takes this machine to be behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.defer import Deferred, succeed

from relaykit.commands.runner import ProcessRunner
from relaykit.config.load import load_client
from relaykit.config.schema import ClientConfig
from relaykit.errors import RelaykitError
from relaykit.nat.frp_discovery import DiscoveryFailed, discover, host_and_port
from relaykit.nat.network import HostNetwork
from relaykit.plugins import ProxyTypes
from relaykit.sansio.nat.frp_discovery import classify, local_hosts

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext
    from relaykit.flags.grammar import Call
    from relaykit.values import Address

__all__ = ["run"]


@define
class _Result:
    """What to print and the exit status, once they are known."""

    lines: tuple[str, ...] = ()
    status: int = 1


def run(call: Call, context: CommandContext) -> int:
    """Asks the STUN server and prints what frp makes of the answers."""
    server = call["nat-hole-stun-server"] or _configured(call, context)
    local = call["nat-hole-local-addr"]
    if not server:
        context.say("nat_hole_stun_server can not be empty")
        return 1
    try:
        for text in filter(None, (local, server)):
            host_and_port(text)
    except DiscoveryFailed as error:
        context.say(f"discover error: {error}")
        return 1
    reactor = context.choose_reactor()
    result = _Result()

    async def discovered() -> bool:
        network = HostNetwork(reactor)
        try:
            seen, bound = await discover(reactor, network, server, local)
        except DiscoveryFailed as error:
            result.lines = (f"discover error: {error}",)
            return True
        if len(seen) < 2:
            result.lines = (f"discover error: can not get enough addresses, need 2, got: {_listed(seen)}",)
            return True
        result.lines = tuple(_lines(server, seen, bound, local_hosts(network.interfaces())))
        result.status = 0
        return True

    reason = ProcessRunner(reactor, lambda: Deferred.fromCoroutine(discovered()), lambda: succeed(None)).run()
    for line in result.lines:
        context.say(line)
    if reason.failure is not None:
        context.complain(str(reason.failure))
        return 1
    return -reason.signal if reason.signal is not None else result.status


def _configured(call: Call, context: CommandContext) -> str:
    """The server that the file names; its default where there is no file that can be read."""
    try:
        loaded = load_client(
            call["config"],
            types=ProxyTypes.installed(),
            environ=context.environ,
            strict=call["strict-config"],
            allow_unsafe=call["allow-unsafe"],
            stored=False,
        )
    except RelaykitError:
        return ClientConfig().nat_hole_stun_server
    return loaded.config.nat_hole_stun_server


def _lines(server: str, seen: tuple[Address, ...], bound: Address, own: tuple[str, ...]) -> Iterator[str]:
    feature = classify(seen, own)
    yield f"STUN server: {server}"
    yield f"Your NAT type is: {feature.type}"
    yield f"Behavior is: {feature.behavior.value}"
    yield f"External address is: {_listed(seen)}"
    yield f"Local address is: {bound}"
    yield f"Public Network: {str(feature.is_public).lower()}"


def _listed(addresses: tuple[Address, ...]) -> str:
    return f"[{' '.join(map(str, addresses))}]"
