"""``relaykit nat``: what kind of network this machine is in, and what will work towards whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.defer import Deferred, succeed

from relaykit.commands.runner import ProcessRunner
from relaykit.nat.network import HostNetwork
from relaykit.nat.report import run as examine

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


@define
class _Result:
    """The exit status, once it is known; 1 where nothing answered."""

    status: int = 1


def run(context: CommandContext, server: Sequence[str], lifetime: bool, json: bool) -> int:
    """Examines the network and prints what was found."""
    reactor = context.choose_reactor()
    result = _Result()

    async def examined() -> bool:
        result.status = await examine(reactor, HostNetwork(reactor), context.say, server, lifetime, json)
        return True

    reason = ProcessRunner(reactor, lambda: Deferred.fromCoroutine(examined()), lambda: succeed(None)).run()
    if reason.failure is not None:
        context.complain(str(reason.failure))
        return 1
    return -reason.signal if reason.signal is not None else result.status
