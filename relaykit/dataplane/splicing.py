"""Forwarding inside the kernel: ``splice(2)`` between two plain sockets; Linux.

A pipe is needed in between, and pipes are few, so a flow begins by copying.  A direction whose pieces are
large acquires a pipe, and releases it once its pieces are small: small requests and idle connections use
none.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from zope.interface import implementer

from relaykit.dataplane.flows import Direction, Flow
from relaykit.interfaces import IForwarder, IKernelLeg

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Ended

__all__ = ["Pipe", "PipePool", "SpliceForwarder", "can_splice"]

PIPE_BYTES = 256 * 1024
"""Size of a pipe: with the kernel's default of 64 KiB splicing is hardly cheaper than copying, and with
1 MiB the bytes have left the processor's cache before the receiver comes to read them."""

MOST_PIPES = 128
"""Pipes of one pool: half of what the kernel lets an ordinary user have at this size
(``/proc/sys/fs/pipe-user-pages-soft``, 64 MiB), so that a server and a client run by one user both do."""

LARGE_BYTES = 16 * 1024
"""A piece from here on is a large one: copying it costs more than moving it.  A full segment of the loopback
(65,483 bytes), which is what one of many streams gets in its turn, counts."""

SPLICE_AFTER = 4
"""Large pieces in a row after which a direction splices."""

COPY_AFTER = 16
"""Small pieces in a row after which a direction that splices copies again."""

IDLE_AFTER_S = 1.0
"""Time without a piece after which another direction may have the pipe."""

UNNEEDED_AFTER_S = 30.0
"""How long pipes that nobody needs stay open for the next burst; twice as long at most."""

_RETRY_AFTER = 256
"""Large pieces until a direction that got no pipe asks again."""

_SIZES = (PIPE_BYTES, 64 * 1024)
"""Sizes that are asked for, in turn: the second one is the kernel's own, which every user gets."""


def can_splice() -> bool:
    """Whether this platform has what splicing needs."""
    return hasattr(os, "splice") and hasattr(os, "pipe2")


class Pipe:
    """A pipe and its size in bytes; closed by its pool."""

    __slots__ = ("read_end", "size", "write_end")

    def __init__(self, read_end: int, write_end: int, size: int) -> None:
        self.read_end = read_end
        self.write_end = write_end
        self.size = size

    def close(self) -> None:
        """Gives both descriptors back; once."""
        os.close(self.read_end)
        os.close(self.write_end)


class PipePool:
    """At most ``limit`` pipes, lent to directions; empty when lent and when given back.

    ``clock`` is in seconds and monotonic.
    """

    def __init__(
        self, reactor: IReactorTime, limit: int = MOST_PIPES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reactor = reactor
        self._limit = limit
        self._clock = clock
        self._free: list[Pipe] = []
        self._unneeded = 0
        """How many of the free pipes have been free since the pool last shrank."""
        self._shrinking: IDelayedCall | None = None
        self._closed = False
        self._lent: OrderedDict[SplicedDirection, float] = OrderedDict()

    @property
    def lent(self) -> int:
        """How many pipes are in use."""
        return len(self._lent)

    def acquire(self, holder: SplicedDirection) -> Pipe | None:
        """A pipe; None when all are in use, or the system has none worth having."""
        if not self._free and len(self._lent) >= self._limit:
            self._reclaim()
        if self._free:
            pipe: Pipe | None = self._free.pop()
            self._unneeded = min(self._unneeded, len(self._free))
        elif len(self._lent) < self._limit:
            pipe = _make_pipe()
        else:
            pipe = None
        if pipe is not None:
            self._lent[holder] = self._clock()
        return pipe

    def used(self, holder: SplicedDirection) -> None:
        """Notes that a holder has moved something right now."""
        self._lent[holder] = self._clock()
        self._lent.move_to_end(holder)

    def release(self, holder: SplicedDirection, pipe: Pipe) -> None:
        """Takes an empty pipe back."""
        del self._lent[holder]
        if self._closed:
            pipe.close()
            return
        self._free.append(pipe)
        if self._shrinking is None:
            self._shrinking = self._reactor.callLater(UNNEEDED_AFTER_S, self._shrink)

    def discard(self, holder: SplicedDirection, pipe: Pipe) -> None:
        """Takes back a pipe that may have bytes in it."""
        del self._lent[holder]
        pipe.close()

    def close(self) -> None:
        """Closes the pipes that nobody has, and each other one when it is released."""
        self._closed = True
        if self._shrinking is not None:
            self._shrinking.cancel()
            self._shrinking = None
        while self._free:
            self._free.pop().close()

    def _shrink(self) -> None:
        for pipe in self._free[: self._unneeded]:
            pipe.close()
        del self._free[: self._unneeded]
        self._unneeded = len(self._free)
        self._shrinking = self._reactor.callLater(UNNEEDED_AFTER_S, self._shrink) if self._free else None

    def _reclaim(self) -> None:
        """Asks the holder that has moved nothing for the longest time to do without."""
        longest = next(iter(self._lent))
        if self._clock() - self._lent[longest] >= IDLE_AFTER_S:
            longest.stop_splicing()


def _make_pipe() -> Pipe | None:
    import fcntl

    try:
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    for size in _SIZES:
        with contextlib.suppress(OSError):
            return Pipe(read_end, write_end, fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, size))
    os.close(read_end)
    os.close(write_end)
    return None


class SplicedDirection(Direction):
    """A direction that copies small pieces and splices large ones."""

    __slots__ = ("_from", "_in_pipe", "_large", "_pipe", "_pool", "_small", "_to")

    def __init__(self, flow: Flow, near: IKernelLeg, far: IKernelLeg, pool: PipePool) -> None:
        super().__init__(flow, near, far)
        self._from = near
        self._to = far
        self._pool = pool
        self._pipe: Pipe | None = None
        self._in_pipe = 0
        self._large = 0
        self._small = 0

    def data_received(self, data: Buffer) -> None:
        size = len(data)
        self.moved += size
        self._write(data)
        if size < LARGE_BYTES:
            self._large = 0
            return
        self._large += 1
        if self._large >= SPLICE_AFTER:
            self._start_splicing()

    def end_received(self) -> None:
        self.drain()
        super().end_received()

    def leg_lost(self, reason: Ended) -> None:
        self.drain()
        super().leg_lost(reason)

    def stop_splicing(self) -> None:
        """Gives the pipe back and copies again; where bytes are in it, nothing happens."""
        if self._pipe is not None and not self._in_pipe:
            self._from.read_with(None)
            self._pool.release(self, self._pipe)
            self._pipe = None
            self._large = 0

    def drain(self) -> None:
        """Lets the far leg queue what is in the pipe, which is given back; before a leg is closed."""
        pipe = self._pipe
        if pipe is None:
            return
        while self._in_pipe:
            try:
                data = os.read(pipe.read_end, self._in_pipe)
            except OSError:
                data = b""
            if not data:
                break
            self._in_pipe -= len(data)
            self.moved += len(data)
            self._write(data)
        self._in_pipe = 0
        self.stop_splicing()

    def _start_splicing(self) -> None:
        self._pipe = self._pool.acquire(self)
        if self._pipe is None:
            self._large = -_RETRY_AFTER
        else:
            self._small = 0
            self._from.read_with(self._splice_in)

    def _splice_in(self) -> int:
        """Moves what the near leg has received; the pipe is empty, because else the leg is paused."""
        pipe = cast(Pipe, self._pipe)
        if self._to.output_queued:
            self._from.pauseProducing()
            self._to.await_writable(self._from.resumeProducing)
            raise BlockingIOError
        count = os.splice(self._from.fileno(), pipe.write_end, pipe.size, flags=_FLAGS)
        if count:
            self._in_pipe = count
            self._pool.used(self)
            if self._splice_out():
                if count >= LARGE_BYTES:
                    self._small = 0
                else:
                    self._small += 1
                    if self._small >= COPY_AFTER:
                        self.stop_splicing()
            else:
                self._from.pauseProducing()
        return count

    def _splice_out(self) -> bool:
        """Moves what is in the pipe to the far leg; whether all of it could be."""
        pipe = cast(Pipe, self._pipe)
        to = self._to.fileno()
        try:
            while self._in_pipe:
                count = os.splice(pipe.read_end, to, self._in_pipe, flags=_FLAGS)
                self._in_pipe -= count
                self.moved += count
        except BlockingIOError:
            self._to.await_writable(self._splice_on)
            return False
        except OSError as error:
            self._from.read_with(None)
            self._pool.discard(self, pipe)
            self._pipe = None
            self._in_pipe = 0
            self._to.output_failed(error)
        return True

    def _splice_on(self) -> None:
        if self._pipe is not None and self._splice_out():
            self._from.resumeProducing()


class _SplicedFlow(Flow):
    __slots__ = ("_pool",)

    def __init__(
        self,
        near: IStreamLeg,
        far: IStreamLeg,
        half_close: bool,
        clock: Callable[[], float],
        pool: PipePool,
    ) -> None:
        self._pool = pool
        super().__init__(near, far, half_close, clock)

    def _direction(self, near: IStreamLeg, far: IStreamLeg) -> Direction:
        return SplicedDirection(self, cast(IKernelLeg, near), cast(IKernelLeg, far), self._pool)

    def _end(self, why: Ended) -> None:
        cast(SplicedDirection, self.near).drain()
        cast(SplicedDirection, self.far).drain()
        super()._end(why)


@implementer(IForwarder)
class SpliceForwarder:
    """Splices between two legs that the kernel can move bytes of.

    ``clock`` measures how long a flow lasts: seconds, monotonic.
    """

    def __init__(self, pool: PipePool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock

    def can_forward(self, near: IStreamLeg, far: IStreamLeg) -> bool:
        return can_splice() and IKernelLeg.providedBy(near) and IKernelLeg.providedBy(far)

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> Flow:
        return _SplicedFlow(near, far, half_close, self._clock, self._pool).start()

    def close(self) -> None:
        self._pool.close()


_FLAGS = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)
