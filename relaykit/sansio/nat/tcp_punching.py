"""Punching TCP, where UDP does not work: both ends connect to each other at once.

Each end dials the other's address from the port whose outer address the other knows, over and over,
and listens on that port.  Connections that come to stand, dialed or accepted, prove the key in forty
bytes each way; the initiator nominates the first that does.  After the responder's acceptance the
connection belongs to whoever wanted it.

Source: RFC 9293 3.5 (simultaneous open), RFC 5128 4.4 (TCP hole punching), RFC 6544 4.1 and 5.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import define, frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.checks import CHECK_BYTES, Check, CheckKeys, CheckKind, PeerRole
from relaykit.values import Address

__all__ = [
    "CONNECTIONS_MAX",
    "Dial",
    "Drop",
    "TcpPunched",
    "TcpPunching",
    "TcpPunchingEvent",
    "TcpPunchingFailed",
]

AGAIN_S = 0.1
"""Pause before an address that refused is dialed again: a router answers with a reset until the
peer's own attempt has opened it."""

TOTAL_S = 4.0
"""When to give up; on a network where it works it takes a few round trips, and the third packet that asks for
a connection is sent after three seconds."""

CONNECTIONS_MAX = 8
"""Most connections that may stand at once without having proven the key."""


@frozen
class Dial:
    """Connect to this address; tell :meth:`TcpPunching.opened` or :meth:`TcpPunching.refused`."""

    address: Address


@frozen
class Drop:
    """Close this connection: it is not the peer's, or not needed."""

    number: int


@frozen
class TcpPunched:
    """This connection is the path; what arrived behind the proof is ``leftover``."""

    number: int
    leftover: bytes
    seconds: float


@frozen
class TcpPunchingFailed:
    """There will be no connection; close all."""

    seconds: float


TcpPunchingEvent: TypeAlias = Dial | Drop | TcpPunched | TcpPunchingFailed


@define(eq=False)
class _Connection:
    received: bytes = b""
    is_proven: bool = False


class TcpPunching:
    """One end of one punch over TCP.

    The driver numbers connections as it likes, tells what happens to them, and acts on the events.
    After every input it takes :meth:`to_send` and :meth:`events`.
    """

    def __init__(
        self, role: PeerRole, targets: Sequence[Address], key: bytes, entropy: Callable[[int], bytes]
    ) -> None:
        self._role = role
        self._keys = CheckKeys(key, role, entropy(32))
        self._due: dict[Address, float | None] = dict.fromkeys(targets)
        self._connections: dict[int, _Connection] = {}
        self._nominated: int | None = None
        self._began = 0.0
        self._is_running = False
        self._outbox: list[tuple[int, bytes]] = []
        self._events: list[TcpPunchingEvent] = []

    def start(self, now: float) -> None:
        """Begins to dial."""
        self._began = now
        self._is_running = True
        for address in self._due:
            self._due[address] = None
            self._events.append(Dial(address))

    def opened(self, number: int, now: float) -> None:
        """A connection stands, dialed or accepted."""
        if not self._is_running or len(self._connections) >= CONNECTIONS_MAX:
            self._events.append(Drop(number))
            return
        self._connections[number] = _Connection()
        if self._role is PeerRole.INITIATOR:
            self._say(number, CheckKind.PROBE)

    def refused(self, address: Address, now: float) -> None:
        """Dialing did not work; it is tried again after a pause."""
        if self._is_running and address in self._due:
            self._due[address] = now + AGAIN_S

    def received(self, number: int, data: Buffer, now: float) -> None:
        """Bytes arrived on a connection."""
        connection = self._connections.get(number)
        if connection is None:
            return
        connection.received += bytes(data)
        while self._is_running and len(connection.received) >= CHECK_BYTES:
            check = self._keys.open(connection.received[:CHECK_BYTES])
            connection.received = connection.received[CHECK_BYTES:]
            if check is None:
                self._drop(number, now)
                return
            _ACTIONS[check.kind](self, number, connection, check, now)

    def lost(self, number: int, now: float) -> None:
        """A connection is gone."""
        self._connections.pop(number, None)
        if self._nominated == number:
            self._nominated = None
            self._nominate()

    def to_send(self, now: float) -> Sequence[tuple[int, bytes]]:
        """Takes what must go out on which connection."""
        taken, self._outbox = self._outbox, []
        return taken

    def next_wakeup(self) -> float | None:
        """When to dial again, or give up."""
        if not self._is_running:
            return None
        due = [each for each in self._due.values() if each is not None]
        return min([*due, self._began + TOTAL_S])

    def wake(self, now: float) -> None:
        """Dials again, gives up."""
        if not self._is_running:
            return
        if now >= self._began + TOTAL_S:
            self._is_running = False
            self._events.append(TcpPunchingFailed(now - self._began))
            return
        for address, due in self._due.items():
            if due is not None and now >= due:
                self._due[address] = None
                self._events.append(Dial(address))

    def events(self) -> Sequence[TcpPunchingEvent]:
        """Takes what is to be done and what has happened."""
        taken, self._events = self._events, []
        return taken

    # --- what the peer says

    def _probed(self, number: int, connection: _Connection, check: Check, now: float) -> None:
        if self._role is PeerRole.RESPONDER:
            self._outbox.append((number, self._keys.seal(CheckKind.ANSWER, check.token, check.stamp)))

    def _answered(self, number: int, connection: _Connection, check: Check, now: float) -> None:
        is_ours = check.token == self._keys.token(b"stream %d" % number)
        if self._role is PeerRole.INITIATOR and is_ours:
            connection.is_proven = True
            self._nominate()

    def _nominate(self) -> None:
        """The initiator chooses the first connection that has proven the key, if none is chosen."""
        proven = [number for number, each in self._connections.items() if each.is_proven]
        if self._nominated is None and proven:
            self._nominated = proven[0]
            self._say(proven[0], CheckKind.NOMINATION)

    def _nominated_by_peer(self, number: int, connection: _Connection, check: Check, now: float) -> None:
        if self._role is PeerRole.RESPONDER:
            self._say(number, CheckKind.ACCEPTANCE)
            self._finish(number, connection, now)

    def _accepted(self, number: int, connection: _Connection, check: Check, now: float) -> None:
        if self._role is PeerRole.INITIATOR and number == self._nominated:
            self._finish(number, connection, now)

    def _finish(self, number: int, connection: _Connection, now: float) -> None:
        self._is_running = False
        leftover, connection.received = connection.received, b""
        self._events.append(TcpPunched(number, leftover, now - self._began))
        for other in self._connections:
            if other != number:
                self._events.append(Drop(other))

    def _drop(self, number: int, now: float) -> None:
        self.lost(number, now)
        self._events.append(Drop(number))

    def _say(self, number: int, kind: CheckKind) -> None:
        self._outbox.append((number, self._keys.seal(kind, self._keys.token(b"stream %d" % number), 0)))


_ACTIONS: dict[CheckKind, Callable[[TcpPunching, int, _Connection, Check, float], None]] = {
    CheckKind.PROBE: TcpPunching._probed,
    CheckKind.ANSWER: TcpPunching._answered,
    CheckKind.NOMINATION: TcpPunching._nominated_by_peer,
    CheckKind.ACCEPTANCE: TcpPunching._accepted,
}
