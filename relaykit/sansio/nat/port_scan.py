"""What is sent besides checking, where a NAT's port has to be found: from which sockets to which ports.

Source: RFC 5128 3.6 (port prediction); the guessing is the birthday paradox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from attrs import frozen

from relaykit.sansio.nat.pairing import NatView, Strategy
from relaykit.values import Address

__all__ = [
    "GUESSES_MAX",
    "GUESSES_PER_S",
    "PORTS_PER_SOCKET",
    "PREDICTION_S",
    "PREDICTION_WINDOW",
    "SCATTER_MAX",
    "SCATTER_PER_S",
    "SCATTER_SOCKETS",
    "SOCKETS",
    "SOCKETS_MIN",
    "SPREAD_AT_ONCE",
    "SPREAD_LOW_ROUNDS",
    "SPREAD_ROUNDS_S",
    "SPREAD_SOCKETS",
    "PortScan",
    "Target",
    "sockets_wanted",
]

SPREAD_SOCKETS = 256
"""Most sockets of an end that sends from many while the other guesses: one guess in 252 hits one of them.
Each takes a port of the NAT.  A household that shares an address with others may have fewer ports (240, by
MAP-E), and then has none left for other peers until its NAT has forgotten them."""

SCATTER_SOCKETS = 64
"""Most of each end where both guess."""

SOCKETS: Mapping[Strategy, int] = {Strategy.SPREAD: SPREAD_SOCKETS, Strategy.SCATTER: SCATTER_SOCKETS}
"""Most sockets that a strategy wants; one otherwise."""

SOCKETS_MIN = 8
"""Fewest that it wants: some of what they send is lost."""

PORTS_PER_SOCKET = 16
"""Ports of the own block for each socket: every sixteenth guess hits one, and the rest of the block is left
to whoever else uses it."""

PREDICTION_WINDOW = 10
"""Ports beyond the last known one: others use the NAT at the same time."""

PREDICTION_S = (1.0, 0.25, 5.0)
"""Each tick for so long, then with such a pause, until such a time."""

SPREAD_AT_ONCE = 64
"""Sockets that send in one tick: a burst of all would overflow small queues."""

SPREAD_ROUNDS_S = (0.0, 2.0, 5.0, 8.0)
"""When all of them send."""

SPREAD_LOW_ROUNDS = 2
"""Rounds whose datagrams die on the way.  Those after them reach the peer's NAT, in case the own one
is deeper than the low TTL reaches, and spoil the peer's port if its router is of the careless kind."""

GUESSES_PER_S = 200
"""Pace of guessing: half of all punches succeed within a second, and no line is filled by it."""

GUESSES_MAX = 2400
"""99.99 % of all punches have succeeded after that many guesses."""

SCATTER_PER_S = 500
"""Pace where both sides guess."""

SCATTER_MAX = 4096
"""Of blocks of 1024 ports, 98 % have met after 2048 pairs of socket and port on both sides."""

_PORT_MIN, _PORT_MAX = 1024, 65535


def sockets_wanted(strategy: Strategy, own: NatView) -> int:
    """How many sockets an end needs for a strategy, behind a NAT that takes its ports from some range."""
    most = SOCKETS.get(strategy, 1)
    return min(most, max(SOCKETS_MIN, own.ports.count // PORTS_PER_SOCKET))


@frozen
class Target:
    """One datagram: from which socket, to which address, and whether it only opens the own NAT."""

    via: int
    address: Address
    is_opening: bool


class PortScan:
    """The targets of one end, tick by tick.

    ``target`` is where servers saw the peer, ``nat`` what the peer knows of its NAT, ``entropy``
    gives unpredictable bytes.
    """

    def __init__(self, target: Address, nat: NatView, entropy: Callable[[int], bytes]) -> None:
        self._target = target
        self._nat = nat
        self._entropy = entropy
        self._guesses = 0
        self._next_socket = 0
        self._round = 0
        self._predicted_at: float | None = None

    @property
    def is_opening(self) -> bool:
        """Whether what is sent while spreading shall die on the way."""
        return self._round < SPREAD_LOW_ROUNDS

    def targets(self, strategy: Strategy, since_s: float, tick_s: float, sockets: int) -> Iterable[Target]:
        """What to send in this tick; ``since_s`` is how long the strategy has been played."""
        if strategy is Strategy.PREDICT:
            return self._predicted(since_s)
        if strategy is Strategy.SPREAD:
            return self._spread(since_s, sockets)
        if strategy is Strategy.GUESS:
            return self._guessed(round(GUESSES_PER_S * tick_s), GUESSES_MAX, 1)
        if strategy is Strategy.SCATTER:
            return self._guessed(round(SCATTER_PER_S * tick_s), SCATTER_MAX, sockets)
        return ()

    def _predicted(self, since_s: float) -> Iterator[Target]:
        """The ports that the peer's NAT takes next, in the order in which it will take them.

        Where both ends predict, the order decides which of their ports meet.
        """
        brisk_s, pause_s, until_s = PREDICTION_S
        last = self._predicted_at
        if since_s > until_s or (since_s > brisk_s and last is not None and since_s - last < pause_s):
            return
        self._predicted_at = since_s
        for place in range(1, PREDICTION_WINDOW + 1):
            port = self._nat.latest_port + self._nat.ports.step * place
            if _PORT_MIN <= port <= _PORT_MAX:
                yield Target(0, Address(self._target.host, port), is_opening=True)

    def _spread(self, since_s: float, sockets: int) -> Iterator[Target]:
        if self._next_socket >= sockets:
            following = self._round + 1
            if following >= len(SPREAD_ROUNDS_S) or since_s < SPREAD_ROUNDS_S[following]:
                return
            self._round, self._next_socket = following, 0
        begin, self._next_socket = self._next_socket, self._next_socket + SPREAD_AT_ONCE
        for via in range(begin, min(self._next_socket, sockets)):
            yield Target(via, self._target, is_opening=True)

    def _guessed(self, count: int, most: int, sockets: int) -> Iterator[Target]:
        ports = self._nat.ports
        low = max(ports.low, _PORT_MIN)
        for _ in range(min(count, most - self._guesses)):
            self._guesses += 1
            port = low + self._chance(max(1, ports.high - low + 1))
            yield Target(self._chance(sockets), Address(self._target.host, port), is_opening=False)

    def _chance(self, below: int) -> int:
        return int.from_bytes(self._entropy(4), "big") % below if below > 1 else 0
