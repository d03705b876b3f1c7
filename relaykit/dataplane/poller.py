"""Waits for descriptors, beside the Twisted reactor and fed by it.

The reactor's own way to a descriptor costs several Python calls and a log context for each event.
:class:`EpollPoller` keeps the descriptors of the data plane in an epoll set of its own, shows only
that set to the reactor (an epoll descriptor is readable while a descriptor in it is ready), and
calls the descriptors itself.  It knows when a turn ends, so what many events produced goes out once.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IReadDescriptor, IReadWriteDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.dead_peers import DeadPeers
from relaykit.dataplane.exhaustion import Exhaustion
from relaykit.dataplane.handshakes import Handshakes
from relaykit.dataplane.sources import SourceCounts
from relaykit.interfaces import ITurns
from relaykit.timer import Portion

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFDSet, IReactorTime
    from twisted.python.failure import Failure

    from relaykit.dataplane.name_server import NameServer

    class PollingReactor(IReactorFDSet, IReactorTime):
        """A reactor that descriptors can be registered with."""


__all__ = [
    "LOSS",
    "PIECE_BYTES",
    "READ",
    "TAKEN_AT_ONCE_BYTES",
    "WRITE",
    "Descriptor",
    "EpollPoller",
    "Poller",
    "ReactorPoller",
    "make_poller",
]

READ = 1
"""Interest in bytes, connections or the end; the value of ``EPOLLIN``."""

WRITE = 4
"""Interest in room for output; the value of ``EPOLLOUT``."""

LOSS = 8
"""Interest in nothing but the loss of the connection; the value of ``EPOLLERR``, which epoll tells anyway.
Without epoll nothing is told."""

PIECE_BYTES = 256 * 1024
"""Most bytes read at once: smaller pieces cost system calls and wake who sends and who receives more often,
and a few of them must fit in the processor's cache together."""

TAKEN_AT_ONCE_BYTES = 512 * 1024
"""Bytes read until what they made goes out, though more descriptors are ready: later it would have left the
processor's cache."""

_EVENTS_AT_ONCE = 128
"""Events taken by one system call; those left over come first in the next."""

_ROUNDS_IN_A_TURN = 8
"""How often one turn asks for more events before the reactor's timers and other descriptors go on."""

_END_ROUNDS = 16
"""How often what is called at a turn's end may ask for more of it before the turn is over anyway."""


class Descriptor(Protocol):
    """What a poller watches."""

    interest: int
    """What it waits for; set by :meth:`Poller.watch`."""
    watched: int
    """What the poller waits for on its behalf; for the poller only."""

    def fileno(self) -> int:
        """The descriptor, as long as it is open."""

    def ready(self, events: int) -> None:
        """Something it waits for may be possible, or have happened; spurious calls occur."""

    def failed(self) -> None:
        """:meth:`ready` raised, or it cannot be watched, then its interest is none; which has been logged.

        Drop the connection.
        """


@implementer(ITurns)
class Poller:
    """What both pollers share: turns, and one buffer that bytes are lent from.

    Every descriptor of one reactor should be with one poller.
    """

    log = Logger()

    def __init__(self, reactor: PollingReactor) -> None:
        self.reactor = reactor
        self.buffer = memoryview(bytearray(PIECE_BYTES))
        """Where input is read to; its content is lent until the next descriptor is called."""
        self.exhaustion = Exhaustion(reactor)
        """Whether there are descriptors left, for all that makes sockets."""
        self.handshakes = Handshakes(self, reactor)
        """Spreads the costly steps of handshakes."""
        self.dead_peers = DeadPeers(reactor)
        """Looks after the TCP connections of all legs."""
        self.sources = SourceCounts()
        """How many sources of datagrams there are, at all ports and on all lanes."""
        self.name_server: NameServer | None = None
        """Where names are looked up; None for the reactor's resolver."""
        self.taken_bytes = 0
        """Bytes read since output last went out; descriptors count them."""
        self._calls: dict[Callable[[], None], None] = {}
        self._portions: dict[Callable[[], None], None] = {}
        self._going_on = False
        self._in_turn = False
        self._end_scheduled = False

    def watch(self, descriptor: Descriptor, interest: int) -> None:
        """Waits for READ, WRITE, both, LOSS or (0) nothing on behalf of a descriptor."""
        raise NotImplementedError

    def forget(self, descriptor: Descriptor, closing: bool = True) -> None:
        """Stops to watch, at once: the descriptor is closed next, or (not ``closing``) handed on."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives back what the poller itself holds, once nothing is watched any more."""

    def at_turn_end(self, call: Callable[[], None]) -> None:
        self._calls[call] = None
        if not self._in_turn and not self._end_scheduled:
            self._end_scheduled = True
            self.reactor.callLater(0, self._end_late)

    def in_next_turn(self, call: Callable[[], None]) -> None:
        self._portions[call] = None
        self._go_on_soon()

    def _go_on_soon(self) -> None:
        if self._portions and not self._going_on:
            self._going_on = True
            self.reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        """Calls those that wait, in the order in which they came, for as long as one portion lasts."""
        portion = Portion(self.reactor)
        self._in_turn = True
        for call in list(self._portions):
            # It may ask for its next portion.
            del self._portions[call]
            self._call(call)
            if portion.is_over:
                break
        self._going_on = False
        self._go_on_soon()
        self._end_late()

    def _end_late(self) -> None:
        self._end_scheduled = False
        self._in_turn = True
        try:
            self._end_turn()
        finally:
            self._in_turn = False

    def _end_turn(self) -> None:
        self.taken_bytes = 0
        for _ in range(_END_ROUNDS):
            if not self._calls:
                return
            calls, self._calls = self._calls, {}
            for call in calls:
                self._call(call)
        if self._calls:
            self._end_soon()

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self.log.failure("a defect at the end of a turn, in {call!r}", call=call)

    def _end_soon(self) -> None:
        """Lets a turn end outside of the turns that descriptors cause."""
        if not self._end_scheduled:
            self._end_scheduled = True
            self.reactor.callLater(0, self._end_late)

    def _tell(self, descriptor: Descriptor, events: int) -> None:
        """Lets a descriptor do its work; its defects cost only itself."""
        try:
            descriptor.ready(events)
        except Exception:
            self.log.failure("a defect while serving {descriptor!r}; it is dropped", descriptor=descriptor)
            self.at_turn_end(descriptor.failed)


@implementer(IReadDescriptor)
class EpollPoller(Poller):
    """Watches descriptors with an epoll set of its own; Linux."""

    def __init__(self, reactor: PollingReactor, make_epoll: Callable[[], Any] | None = None) -> None:
        super().__init__(reactor)
        self._epoll = select.epoll() if make_epoll is None else make_epoll()
        self._descriptors: dict[int, Descriptor] = {}
        self._changed: dict[Descriptor, None] = {}
        self._closing = False

    def watch(self, descriptor: Descriptor, interest: int) -> None:
        descriptor.interest = interest
        if descriptor.watched != interest:
            if self._in_turn:
                # Changes that cancel each other within a turn cost no system call.
                self._changed[descriptor] = None
            else:
                self._apply(descriptor)

    def forget(self, descriptor: Descriptor, closing: bool = True) -> None:
        descriptor.interest = 0
        self._changed.pop(descriptor, None)
        if not descriptor.watched:
            return
        if closing:
            # Closing takes it out of the epoll set without a system call more.
            descriptor.watched = 0
            self._drop(descriptor.fileno())
        else:
            self._apply(descriptor)

    def close(self) -> None:
        self._closing = True
        self._close_if_idle()

    # --- for the reactor ------------------------------------------------------------------------

    def fileno(self) -> int:
        return int(self._epoll.fileno())

    def logPrefix(self) -> str:
        return "relaykit"

    def connectionLost(self, reason: Failure) -> None:
        """Nothing: what ends with the reactor needs no telling."""

    def doRead(self) -> None:
        poll, descriptors, tell = self._epoll.poll, self._descriptors, self._tell
        self._in_turn = True
        try:
            for _ in range(_ROUNDS_IN_A_TURN):
                ready = poll(0, _EVENTS_AT_ONCE)
                if not ready:
                    break
                for number, events in ready:
                    descriptor = descriptors.get(number)
                    if descriptor is None:
                        self._discard(number)
                    else:
                        # Errors and hang-ups are found out by trying what was waited for.
                        tell(descriptor, events if events <= READ | WRITE else descriptor.watched)
                        if self.taken_bytes >= TAKEN_AT_ONCE_BYTES:
                            self._end_turn()
                if self._calls:
                    self._end_turn()
                if self._changed:
                    self._apply_changes()
        finally:
            self._in_turn = False
            if self._calls:
                self._end_soon()

    # --- inside ---------------------------------------------------------------------------------

    def _end_late(self) -> None:
        super()._end_late()
        self._apply_changes()

    def _apply_changes(self) -> None:
        changed, self._changed = self._changed, {}
        for descriptor in changed:
            if descriptor.interest != descriptor.watched:
                self._apply(descriptor)

    def _apply(self, descriptor: Descriptor) -> None:
        number, interest = descriptor.fileno(), descriptor.interest
        try:
            if not descriptor.watched:
                self._epoll.register(number, interest)
                if not self._descriptors:
                    self.reactor.addReader(self)
                self._descriptors[number] = descriptor
            elif interest:
                self._epoll.modify(number, interest)
            else:
                self._epoll.unregister(number)
                self._drop(number)
        except (OSError, ValueError):
            # Such as too many watches for this user: that costs one connection, not all of them.  ValueError
            # is for a poller that was closed.
            self.log.failure("{descriptor!r} cannot be watched; it is dropped", descriptor=descriptor)
            descriptor.interest = 0
            self.at_turn_end(descriptor.failed)
        else:
            descriptor.watched = interest

    def _drop(self, number: int) -> None:
        if self._descriptors.pop(number, None) is not None and not self._descriptors:
            self.reactor.removeReader(self)
            if self._closing:
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._in_turn:
            # The turn may ask for more events.
            self.reactor.callLater(0, self._close_if_idle)
        elif not self._descriptors and not self._changed:
            self._epoll.close()

    def _discard(self, number: int) -> None:
        """Takes out what was closed here while another process still has it open."""
        with contextlib.suppress(OSError):
            self._epoll.unregister(number)


class ReactorPoller(Poller):
    """Registers each descriptor with the reactor; wherever there is no epoll."""

    def __init__(self, reactor: PollingReactor) -> None:
        super().__init__(reactor)
        self._adapters: dict[Descriptor, _Adapter] = {}

    def watch(self, descriptor: Descriptor, interest: int) -> None:
        descriptor.interest = interest
        changed = descriptor.watched ^ interest
        if not changed:
            return
        adapter = self._adapters.get(descriptor)
        if adapter is None:
            adapter = self._adapters[descriptor] = _Adapter(self, descriptor)
        if changed & READ:
            (self.reactor.addReader if interest & READ else self.reactor.removeReader)(adapter)
        if changed & WRITE:
            (self.reactor.addWriter if interest & WRITE else self.reactor.removeWriter)(adapter)
        descriptor.watched = interest
        if not interest:
            del self._adapters[descriptor]

    def forget(self, descriptor: Descriptor, closing: bool = True) -> None:
        self.watch(descriptor, 0)


@implementer(IReadWriteDescriptor)
class _Adapter:
    """A descriptor as the reactor wants it."""

    def __init__(self, poller: ReactorPoller, descriptor: Descriptor) -> None:
        self._poller = poller
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor.fileno()

    def logPrefix(self) -> str:
        return "relaykit"

    def doRead(self) -> None:
        self._poller._tell(self._descriptor, READ)

    def doWrite(self) -> None:
        self._poller._tell(self._descriptor, WRITE)

    def connectionLost(self, reason: Failure) -> None:
        # The reactor has taken it out by itself.
        self._poller._adapters.pop(self._descriptor, None)
        self._descriptor.watched = 0
        self._descriptor.failed()


def make_poller(reactor: PollingReactor) -> Poller:
    """The best poller that this platform has."""
    return EpollPoller(reactor) if hasattr(select, "epoll") else ReactorPoller(reactor)
