"""frp's hole punching: one end sends probes, the other one answers the first that it hears.

The receiver's own probes only open its NAT; they die on the way if it was given a low TTL.  The sender's get
through then, the receiver answers the first one to where it came from, and with that both know each other's
address.  Whoever has no such answer in time has failed.

frp sends each probe once, and the answer once, so that one lost datagram makes the two ends disagree.  This
end repeats what its peer takes without harm, frp's own included:

- probes go out in rounds with growing pauses, because a peer that has not succeeded yet waits for any of
  them, and one that has takes them for noise of the network, as QUIC and KCP do;
- the answer goes out :data:`ANSWERS` times, and again for each further probe from the same address, until the
  peer speaks of something else.  A probe from another address is not answered any more: its sender would take
  that answer for the first one, and the two ends would use different paths.

Source: frp's ``pkg/nathole``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from typing import TypeAlias

import msgspec
from attrs import frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nathole.instructions import HoleRole, Instructions
from relaykit.sansio.nathole.messages import NatHoleSid
from relaykit.sansio.nathole.probes import ProbeCodec
from relaykit.values import Address

__all__ = [
    "ANSWERS",
    "ANSWER_S",
    "FIRST_ROUND_S",
    "PER_TICK",
    "RANDOM_PORT_S",
    "ROUND_S",
    "TICK_S",
    "Hole",
    "HoleEvent",
    "HolePunched",
    "PeerNotHeard",
]

TICK_S = 0.01
"""Seconds between two portions of a round."""

PER_TICK = 5
"""Probes of one portion: 500 a second, frp's pace, which fills no line."""

ROUND_S = 0.25
"""Pause after the first round; each further one is twice as long, so that 5 s have room for five rounds."""

FIRST_ROUND_S = 10.0
"""Seconds for the first round, however much is left of it: frp's longest, of 257 sockets to five ports of two
hosts, takes half of that, and a server may name so many that it would take minutes."""

RANDOM_PORT_S = 0.015
"""Seconds between two ports that are tried by chance; frp's figure."""

ANSWERS = 3
"""How often an answer goes out: where one datagram in five is lost, all are in 0.8 % of cases."""

ANSWER_S = 0.05
"""Seconds between two of them: a burst of losses is over then, and a peer that waits is not kept long."""

_NONCE_MAX = 20
_PORT_MIN, _PORT_MAX = 1024, 65534


@frozen
class HolePunched:
    """The peer is reached: through this socket, at this address."""

    via: int
    peer: Address


@frozen
class PeerNotHeard:
    """Nothing that counts was heard of the peer in time."""


HoleEvent: TypeAlias = HolePunched | PeerNotHeard


class Hole:
    """One end; a core by :class:`relaykit.sansio.nat.datagrams.DatagramCore`.

    After its one event it goes on answering the peer for as long as it is fed.

    :param sockets: how many it sends from and listens on, one at least.
    :param entropy: gives that many unpredictable bytes.
    """

    def __init__(
        self,
        instructions: Instructions,
        codec: ProbeCodec,
        transaction_id: str,
        sockets: int,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._instructions = instructions
        self._codec = codec
        self._transaction_id = transaction_id
        self._sockets = range(sockets)
        self._entropy = entropy
        self._round: Iterator[tuple[int, Address]] = iter(())
        self._round_due: float | None = None
        """When the next portion of the round is due."""
        self._pause_s = ROUND_S
        self._random_ports = self._by_chance()
        self._random_due: float | None = None
        self._first_round_until = 0.0
        self._deadline: float | None = None
        """Until when the peer is waited for; None before the first round is over."""
        self._punched: HolePunched | None = None
        self._answer: NatHoleSid | None = None
        self._answers_due: list[float] = []
        self._outbox: list[Datagram] = []
        self._events: list[HoleEvent] = []

    def start(self, now: float) -> None:
        """Begins, after the pause that was asked for."""
        self._round = self._targets()
        self._round_due = now + self._instructions.send_delay_s
        self._first_round_until = self._round_due + FIRST_ROUND_S
        self.wake(now)

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram; whatever is no probe of this attempt is ignored."""
        probe = self._codec.decode(data)
        if probe is None or probe.sid != self._instructions.sid:
            return
        if self._is_over:
            if self._answer is not None and not probe.response and self._punched == HolePunched(via, source):
                self._answers_due.append(now)
        elif probe.response:
            if probe.transaction_id == self._transaction_id:
                self._succeed(via, source)
        elif self._instructions.role is HoleRole.RECEIVER:
            self._succeed(via, source)
            self._answer = msgspec.structs.replace(probe, response=True)
            self._answers_due = [now + ANSWER_S * count for count in range(ANSWERS)]
        self.wake(now)

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out."""
        taken, self._outbox = self._outbox, []
        return taken

    def next_wakeup(self) -> float | None:
        """When the next probe or answer is due, or the peer is given up."""
        times = (self._round_due, self._random_due, self._deadline, *self._answers_due)
        return min((each for each in times if each is not None), default=None)

    def wake(self, now: float) -> None:
        """Sends what is due, and gives the peer up in time."""
        self._send_answers(now)
        if self._deadline is not None and now >= self._deadline:
            self._finish(PeerNotHeard())
        if self._random_due is not None and now >= self._random_due:
            self._try_random_port(now)
        if self._round_due is not None and now >= self._round_due:
            self._send_portion(now)

    def events(self) -> Sequence[HoleEvent]:
        """Takes the outcome, once it is there."""
        taken, self._events = self._events, []
        return taken

    # --- what is sent

    def _targets(self) -> Iterator[tuple[int, Address]]:
        """One round: from which socket, and to whom."""
        told = self._instructions
        yield from product(self._sockets, told.targets)
        yield from product(self._sockets, (Address(host, port) for host in told.hosts for port in told.ports))

    def _send_portion(self, now: float) -> None:
        portion = list(islice(self._round, PER_TICK))
        for via, address in portion:
            self._probe(via, address)
        if len(portion) == PER_TICK and (self._deadline is not None or now < self._first_round_until):
            self._round_due = now + TICK_S
            return
        if self._deadline is None:
            self._deadline = now + self._instructions.quiet_s
            self._random_due = now
            self._try_random_port(now)
        self._round, self._round_due = self._targets(), now + self._pause_s
        self._pause_s *= 2

    def _try_random_port(self, now: float) -> None:
        port = next(self._random_ports, None)
        if port is None:
            self._random_due = None
            return
        self._random_due = now + RANDOM_PORT_S
        for via, host in product(self._sockets, self._instructions.hosts):
            self._probe(via, Address(host, port))

    def _by_chance(self) -> Iterator[int]:
        """As many different ports as are tried so."""
        tried: set[int] = set()
        while len(tried) < self._instructions.random_ports:
            port = _PORT_MIN + int.from_bytes(self._entropy(4), "big") % (_PORT_MAX - _PORT_MIN + 1)
            if port not in tried:
                tried.add(port)
                yield port

    def _probe(self, via: int, address: Address) -> None:
        probe = NatHoleSid(
            transaction_id=self._transaction_id, sid=self._instructions.sid, nonce=self._nonce()
        )
        self._outbox.append(Datagram(self._codec.encode(probe), address, via, self._instructions.ttl))

    def _nonce(self) -> str:
        return "0" * (self._entropy(1)[0] % _NONCE_MAX)

    def _send_answers(self, now: float) -> None:
        due = sum(each <= now for each in self._answers_due)
        self._answers_due = [each for each in self._answers_due if each > now]
        if self._answer is not None and self._punched is not None:
            via, peer = self._punched.via, self._punched.peer
            self._outbox.extend(Datagram(self._codec.encode(self._answer), peer, via) for _ in range(due))

    # --- the outcome

    @property
    def _is_over(self) -> bool:
        return self._round_due is None

    def _succeed(self, via: int, peer: Address) -> None:
        self._punched = HolePunched(via, peer)
        self._finish(self._punched)

    def _finish(self, outcome: HoleEvent) -> None:
        self._round_due = self._random_due = self._deadline = None
        self._events.append(outcome)
