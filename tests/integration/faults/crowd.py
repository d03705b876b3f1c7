"""Users who stay: each sends bytes of its own all the time and checks each that comes back.

Who gets anybody else's bytes, or its own twice, or not all of them, notices it at once.  That a connection
ends is no mistake, where a fault is the test; that it neither goes on nor ends is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from attrs import define, field

from tests.integration.programs import PATIENCE_S
from tests.integration.traffic import LOOPBACK, Pattern

__all__ = ["Crowd", "Stay", "User"]

_HEAD_BYTES = 16
"""Bytes at the beginning of each message that say whose it is, and its number."""

_PLACE = 104_729
"""How far apart the places are that two users begin at in the pattern: a prime."""


@define
class Stay:
    """One connection of one user, from first to last."""

    began: float
    answered: float | None = None
    """When the first bytes came back."""
    ended: float | None = None
    content: int = 0
    """Bytes that went there and back, each of them checked."""


@define(eq=False)
class User:
    """One user, and all its connections so far."""

    number: int
    stays: list[Stay] = field(factory=list)
    moved_at: float = 0.0
    """When bytes last came back."""

    @property
    def connected(self) -> bool:
        """Whether it is served right now."""
        return bool(self.stays) and self.stays[-1].answered is not None and self.stays[-1].ended is None


class Crowd:
    """So many users of an echo, in a thread of their own, until :meth:`stop`.

    :param ports: where they go, in turn.
    :param deadline_s: how long bytes may take to come back while the connection lives.
    :param pause_s: between two messages of a user, about.
    :param again: whether a user whose connection ended comes again, after ``again_s``.
    :param enter: puts the thread where the users are: in a network namespace.
    """

    def __init__(
        self,
        ports: Sequence[int],
        users: int,
        *,
        seed: int = 1,
        host: str = LOOPBACK,
        deadline_s: float = PATIENCE_S,
        pause_s: float = 0.05,
        most_bytes: int = 20_000,
        again: bool = True,
        again_s: float = 0.2,
        enter: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.users = [User(number) for number in range(users)]
        self.failures: list[str] = []
        self._ports = ports
        self._chance = random.Random(seed)
        self._pattern = Pattern(seed)
        self._host = host
        self._deadline_s = deadline_s
        self._pause_s = pause_s
        self._most_bytes = most_bytes
        self._again = again
        self._again_s = again_s
        self._enter = enter
        self._loop = asyncio.new_event_loop()
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self._thread.start()

    @property
    def content(self) -> int:
        """Bytes that went there and back so far, all of them checked."""
        return sum(stay.content for stay in self._stays())

    @property
    def connections(self) -> int:
        """Connections that were served so far."""
        return sum(stay.answered is not None for stay in self._stays())

    def wait(self, what: str, holds: Callable[[], bool], within_s: float = PATIENCE_S) -> float:
        """Waits until something holds; answers how long it took.

        :raises AssertionError: it did not hold in time, or a user noticed a mistake meanwhile.
        """
        began = time.monotonic()
        with self._changed:
            while not holds():
                self._check()
                if time.monotonic() - began >= within_s:
                    raise AssertionError(f"not within {within_s:g} s: {what}")
                self._changed.wait(0.5)
            self._check()
        return time.monotonic() - began

    def wait_served(self, within_s: float = PATIENCE_S) -> float:
        """Waits until every user has got bytes back from now on."""
        now = time.monotonic()
        return self.wait(
            f"each of {len(self.users)} users is served",
            lambda: all(user.connected and user.moved_at > now for user in self.users),
            within_s,
        )

    def wait_undisturbed(self) -> None:
        """Waits until every user has got bytes back, and none of them has ever had to come again.

        :raises AssertionError: the connection of one has ended.
        """
        self.wait_served()
        disturbed = [user.number for user in self.users if len(user.stays) != 1]
        if disturbed:
            raise AssertionError(f"the connections of the users {disturbed} have ended")

    def wait_ended(self, before: float, within_s: float = PATIENCE_S) -> float:
        """Waits until every connection that was served at a time has ended."""
        return self.wait(
            "every connection from before has ended",
            lambda: all(
                stay.ended is not None
                for stay in self._stays()
                if stay.answered is not None and stay.answered < before
            ),
            within_s,
        )

    def stop(self) -> None:
        """Lets all of them go.

        :raises AssertionError: a user noticed a mistake.
        """
        self._stopping = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(self._deadline_s + 30)
        if self._thread.is_alive():
            raise AssertionError("the users cannot be stopped")
        self._check()

    def _check(self) -> None:
        if self.failures:
            raise AssertionError("; ".join(self.failures[:5]))

    def _stays(self) -> Iterator[Stay]:
        return (stay for user in self.users for stay in list(user.stays))

    # --- in the thread of the users -----------------------------------------------------------------

    def _run(self) -> None:
        with self._enter():
            asyncio.set_event_loop(self._loop)
            try:
                self._loop.run_until_complete(self._live())
            finally:
                self._loop.close()

    async def _live(self) -> None:
        self._tasks = [asyncio.ensure_future(self._come(user)) for user in self.users]
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _come(self, user: User) -> None:
        chance = random.Random(self._chance.random())
        while not self._stopping:
            stay = Stay(time.monotonic())
            user.stays.append(stay)
            try:
                await self._stay(user, stay, chance)
            except (OSError, EOFError):
                pass
            except AssertionError as error:
                self.failures.append(f"user {user.number}: {error}")
                return
            finally:
                with self._changed:
                    stay.ended = time.monotonic()
                    self._changed.notify_all()
            if not self._again:
                return
            await asyncio.sleep(self._again_s * (0.5 + chance.random()))

    async def _stay(self, user: User, stay: Stay, chance: random.Random) -> None:
        port = self._ports[user.number % len(self._ports)]
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(self._host, port, limit=1 << 20), self._deadline_s
        )
        try:
            number = 0
            # A cancellation that comes together with an answer gets lost.
            while not self._stopping:
                said = self._message(user.number, number, chance.randrange(1, self._most_bytes))
                writer.write(said)
                try:
                    heard = await asyncio.wait_for(reader.readexactly(len(said)), self._deadline_s)
                except asyncio.IncompleteReadError as error:
                    if not said.startswith(error.partial):
                        raise AssertionError("the last bytes are not those that were sent") from error
                    stay.content += len(error.partial)
                    raise EOFError from error
                except TimeoutError as error:
                    raise AssertionError(
                        f"neither bytes nor the end within {self._deadline_s:g} s"
                    ) from error
                if heard != said:
                    raise AssertionError(f"{said[:40]!r} was answered with {heard[:40]!r}")
                with self._changed:
                    stay.content += len(said)
                    user.moved_at = time.monotonic()
                    stay.answered = stay.answered or user.moved_at
                    self._changed.notify_all()
                number += 1
                if self._pause_s:
                    await asyncio.sleep(self._pause_s * 2 * chance.random())
        finally:
            writer.transport.abort()

    def _message(self, user: int, number: int, count: int) -> bytes:
        head = f"{user:06} {number:08} ".encode()
        assert len(head) == _HEAD_BYTES
        return head + self._pattern.at(user * _PLACE + number, count)
