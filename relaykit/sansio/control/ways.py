"""Which ways a client has to its server, and which it tries first: a way is a carrier and a port.

What is known comes from three sides: carriers say what they can do, the server says at login on which ports
it has which (:data:`relaykit.sansio.control.extensions.CARRIERS`), and :class:`WayMemory` says what happened
on the network that the client is in.  Times are those of the calendar, in Unix seconds: what is remembered
outlives the program.  A clock that was wrong when something happened must not have it count for years.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, field, frozen

__all__ = [
    "DEMOTED_S",
    "HTTPS_PORT",
    "LONGEST_DEMOTION_S",
    "MOST_WAYS",
    "WORKED_S",
    "RacingCarrier",
    "Silence",
    "Way",
    "WayMemory",
    "ways_to",
]

HTTPS_PORT = 443
"""The port that is open where hardly another one is."""

MOST_WAYS = 8
"""Ways that are tried for a session, and remembered of a network: each costs the server a connection."""

WORKED_S = 24 * 3600.0
"""Seconds for which the way that worked on a network is tried first there; the best is looked for then."""

DEMOTED_S = 3600.0
"""Seconds for which a way that fell silent is tried last on that network; doubled each time that it does."""

LONGEST_DEMOTION_S = 7 * 24 * 3600.0
"""The longest that this gets: networks change, and where it is tried last it is still tried."""


@frozen
class RacingCarrier:
    """What must be known of a carrier that takes part; see :class:`relaykit.values.CarrierCapabilities`."""

    name: str
    race: int
    own_port: bool = False
    https: bool = False


@frozen
class Way:
    """A carrier, and the server's port that it is tried at; 0 for the one that is looked up with the name."""

    carrier: str
    port: int

    @property
    def key(self) -> str:
        """What it is remembered by."""
        return f"{self.carrier}:{self.port}"

    def __str__(self) -> str:
        return f"{self.carrier} at port {self.port}" if self.port else self.carrier


def ways_to(
    port: int,
    carriers: Iterable[RacingCarrier],
    told: Mapping[str, int] | None = None,
    *,
    proxied: bool = False,
) -> list[Way]:
    """The ways to a server, the best first, as far as nothing is remembered of a network.

    :param port: the configured one; 0 where it is looked up.
    :param told: where the server says that carriers with ports of their own are; None if it has not said.
        Until then the number of the configured port is tried for them.
    :param proxied: whether a forward proxy is on the way, which takes nothing but TCP.
    """
    found: list[Way] = []
    for each in sorted(carriers, key=lambda carrier: (carrier.race, carrier.name)):
        if not each.own_port:
            found.append(Way(each.name, port))
            if each.https and port != HTTPS_PORT:
                found.append(Way(each.name, HTTPS_PORT))
        elif not proxied and (told is None or each.name in told):
            found.append(Way(each.name, port if told is None else told[each.name]))
    return found[:MOST_WAYS]


@frozen
class Silence:
    """How often sessions by a way have fallen silent, and when the last one did."""

    times: int
    at: float

    @property
    def until(self) -> float:
        """Until when the way is tried last."""
        return self.at + min(DEMOTED_S * 2.0 ** min(self.times - 1, 16), LONGEST_DEMOTION_S)


@frozen
class WayMemory:
    """What happened to one client's ways to one server on one network; ways by their ``key``."""

    worked: str = ""
    """The way of the last session; empty for none."""
    worked_at: float = 0.0
    silences: Mapping[str, Silence] = field(factory=dict)

    def ordered(self, ways: Iterable[Way], now: float) -> Sequence[Way]:
        """The ways in the order in which they are tried: what worked, the others, what fell silent."""
        return sorted(ways, key=lambda way: (self.is_demoted(way, now), not self.is_trusted(way, now)))

    def is_trusted(self, way: Way, now: float) -> bool:
        """Whether it worked here, not long ago; what is said to have been later than now was not."""
        return way.key == self.worked and self.worked_at <= now < self.worked_at + WORKED_S

    def is_demoted(self, way: Way, now: float) -> bool:
        """Whether it fell silent here, not long ago; likewise."""
        silence = self.silences.get(way.key)
        return silence is not None and silence.at <= now < silence.until

    def after_success(self, way: Way, now: float) -> WayMemory:
        """With a session that there was by a way."""
        return evolve(self, worked=way.key, worked_at=now)

    def after_silence(self, way: Way, now: float) -> WayMemory:
        """With a way by which a session fell silent while another one worked."""
        before = self.silences.get(way.key)
        is_old = before is None or now > before.at + 2 * LONGEST_DEMOTION_S
        times = 1 if is_old or before is None else before.times + 1
        others = [(key, silence) for key, silence in self.silences.items() if key != way.key]
        kept = sorted(others, key=lambda item: item[1].at)[1 - MOST_WAYS :]
        return evolve(self, silences={**dict(kept), way.key: Silence(times, now)})
