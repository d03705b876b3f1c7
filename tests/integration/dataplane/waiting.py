"""Waiting for sockets: the part of the conformance suites that needs real time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from relaykit.dataplane.dialing import dial
from relaykit.dataplane.listening import listen_tcp
from relaykit.dataplane.poller import EpollPoller, Poller, ReactorPoller
from relaykit.dataplane.sockets import SocketLeg
from relaykit.interfaces import ILegAcceptor, IStreamLeg
from relaykit.values import Origin

__all__ = ["Accepting", "SocketWaiting", "reactor", "tcp_pair", "unix_pair"]

reactor: Any = installed_reactor

DEADLINE_S = 60.0
"""How long a test waits for what must come, on a busy machine."""

LOOK_EVERY_S = 0.002
REST_S = 0.02


class SocketWaiting:
    """Waits by letting the reactor run; :attr:`poller` serves the sockets."""

    timeout = 600
    """Seconds that trial gives a test: what it waits for has its own deadline."""

    poller: Poller
    poller_class: type[Poller] = EpollPoller

    def setUp(self) -> None:
        self.poller = self.poller_class(reactor)

    def tearDown(self) -> None:
        self.poller.close()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Returns once the condition holds.

        :raises AssertionError: it does not for a long time.
        """
        deadline = reactor.seconds() + DEADLINE_S
        while not condition():
            assert reactor.seconds() < deadline, "what was waited for has not come"
            await deferLater(reactor, LOOK_EVERY_S)

    async def rest(self) -> None:
        """Returns when what was on its way has very likely arrived."""
        await deferLater(reactor, REST_S)


class WithReactorPoller:
    """The same with the portable poller."""

    poller_class = ReactorPoller


@implementer(ILegAcceptor)
class Accepting:
    """Keeps what it is given; :meth:`next` waits for it."""

    def __init__(self) -> None:
        self.legs: list[IStreamLeg] = []
        self.origins: list[Origin] = []
        self._waiting: list[Deferred[IStreamLeg]] = []

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self.origins.append(origin)
        if self._waiting:
            self._waiting.pop(0).callback(leg)
        else:
            self.legs.append(leg)

    def next(self) -> Deferred[IStreamLeg]:
        """The next leg that comes, or has come."""
        answer: Deferred[IStreamLeg] = Deferred()
        if self.legs:
            answer.callback(self.legs.pop(0))
        else:
            self._waiting.append(answer)
        return answer


async def tcp_pair(poller: Poller, host: str = "127.0.0.1") -> tuple[IStreamLeg, IStreamLeg]:
    """Two legs over TCP: the one that dialled and the one that was accepted."""
    accepting = Accepting()
    port = listen_tcp(poller, host, 0, accepting)
    assert port.address is not None
    near = await dial(poller, host, port.address.port)
    far = await accepting.next()
    port.close()
    return near, far


def unix_pair(poller: Poller) -> tuple[IStreamLeg, IStreamLeg]:
    """Two legs over a pair of unix sockets."""
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    return SocketLeg(poller, here), SocketLeg(poller, there)
