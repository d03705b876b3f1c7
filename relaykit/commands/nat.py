"""``relaykit nat``: what kind of network this machine is in, and what will work towards whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.defer import Deferred, succeed

from relaykit.commands.running import Lifetime
from relaykit.nat.network import HostNetwork
from relaykit.nat.report import run as examine

if TYPE_CHECKING:
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings

__all__ = ["run"]


@define
class _Result:
    """The exit status, once it is known; 1 where nothing answered."""

    status: int = 1


def run(call: Call, around: Surroundings) -> int:
    """Examines the network and prints what was found."""
    reactor = around.choose_reactor()
    result = _Result()

    async def examined() -> bool:
        result.status = await examine(
            reactor, HostNetwork(reactor), around.say, call["server"], call["lifetime"], call["json"]
        )
        return True

    ending = Lifetime(reactor, lambda: Deferred.fromCoroutine(examined()), lambda: succeed(None)).run()
    if ending.failure is not None:
        around.complain(str(ending.failure))
        return 1
    return -ending.signal if ending.signal is not None else result.status
