"""How two ends can punch a hole: frp's table of modes, and what a row of it tells each end to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from relaykit.sansio.nathole.classification import NatFeature
from relaykit.sansio.nathole.instructions import HoleRole
from relaykit.sansio.nathole.messages import DetectBehavior, PortsRange

__all__ = ["MODES", "Half", "Row", "behaviors", "candidate_ports", "halves"]

_READ_MS = 5_000
"""How long an end waits for the other, besides the pause before that one sends."""

_READ_RANDOM_MS = 30_000
"""How much longer where ports are tried by chance: a thousand of them, 15 ms apart."""

_GUESS = 5
"""How far beyond the ports that a NAT has used its next one is guessed to be."""


@frozen(kw_only=True)
class Half:
    """What one end does: see :class:`relaykit.sansio.nathole.messages.DetectBehavior`."""

    role: HoleRole
    ttl: int = 0
    around: int = 0
    """How far around the other end's last port others are tried at most; 0: they are not."""
    delay_ms: int = 0
    random: int = 0
    listen: int = 0


@frozen
class Row:
    """A row of the table."""

    mode: int
    index: int


def _sender(around: int = 0, delay_ms: int = 0, random: int = 0) -> Half:
    return Half(role=HoleRole.SENDER, around=around, delay_ms=delay_ms, random=random)


def _receiver(ttl: int = 0, around: int = 0, listen: int = 0) -> Half:
    return Half(role=HoleRole.RECEIVER, ttl=ttl, around=around, listen=listen)


MODES: Mapping[int, Sequence[tuple[Half, Half]]] = {
    0: (
        (_sender(), _receiver(ttl=7)),
        (_receiver(ttl=7), _sender()),
        (_sender(), _receiver(ttl=4)),
        (_receiver(ttl=4), _sender()),
        (_sender(), _receiver()),
        (_receiver(), _sender()),
        (_sender(delay_ms=5000), _receiver()),
        (_sender(delay_ms=10000), _receiver()),
        (_receiver(), _sender(delay_ms=5000)),
        (_receiver(), _sender(delay_ms=10000)),
    ),
    1: tuple(
        (_sender(delay_ms=delay_ms), _receiver(ttl=ttl, around=10))
        for ttl in (7, 4, 0)
        for delay_ms in (0, 2000)
    ),
    2: tuple((_sender(random=1000, delay_ms=3000), _receiver(ttl=ttl, listen=256)) for ttl in (7, 4, 0)),
    3: (
        *((_sender(around=10), _receiver(ttl=ttl, around=10)) for ttl in (7, 4, 0)),
        *((_receiver(ttl=ttl, around=10), _sender(around=10)) for ttl in (7, 4, 0)),
    ),
    4: tuple(
        (_sender(random=1000, delay_ms=3000), _receiver(ttl=ttl, around=2, listen=256)) for ttl in (7, 4, 0)
    ),
}
"""By mode, the rows: what the proxy's client does, and what the visitor does, unless they are swapped.

0: addresses as seen.  1: one end's ports are guessed.  2: one end tries ports by chance, the other has many.
3: both ends' ports are guessed.  4: both kinds at once."""


def halves(row: Row, provider: NatFeature) -> tuple[Half, Half]:
    """What a row means for the proxy's client and for the visitor."""
    first, second = MODES[row.mode][row.index]
    swapped = {
        1: not provider.is_hard,
        2: provider.is_hard,
        4: not provider.is_regular,
    }
    return (second, first) if swapped.get(row.mode, False) else (first, second)


def behaviors(
    row: Row, provider: NatFeature, visitor: NatFeature, provider_port: int, visitor_port: int
) -> tuple[DetectBehavior, DetectBehavior]:
    """What the proxy's client and the visitor are told.

    :param provider_port: the port that the proxy's client was seen at last; ``visitor_port`` as well.
    """
    own, other = halves(row, provider)
    wait_ms = max(own.delay_ms, other.delay_ms) + _READ_MS
    if own.listen or other.listen:
        wait_ms += _READ_RANDOM_MS
    return (
        _told(row, own, wait_ms, visitor_port, visitor.ports_difference),
        _told(row, other, wait_ms, provider_port, provider.ports_difference),
    )


def candidate_ports(port: int, difference: int, around: int) -> PortsRange:
    """Where the next port of a NAT may be that was last seen at ``port``."""
    return PortsRange(
        first=max(port - difference - _GUESS, port - around, 1),
        last=min(port + difference + _GUESS, port + around, 65535),
    )


def _told(row: Row, half: Half, wait_ms: int, peer_port: int, difference: int) -> DetectBehavior:
    return DetectBehavior(
        role=half.role.value,
        mode=row.mode,
        ttl=half.ttl,
        send_delay_ms=half.delay_ms,
        read_timeout_ms=wait_ms - half.delay_ms,
        candidate_ports=(candidate_ports(peer_port, difference, half.around),) if half.around else (),
        send_random_ports=half.random,
        listen_random_ports=half.listen,
    )
