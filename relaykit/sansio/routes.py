"""Routes: who gets a request, by the host, the path and the user that it names.

Hosts and domains are keys of :mod:`relaykit.sansio.hostnames`.  Finding a route costs the same however many
domains there are: a few looks into dictionaries for each label of the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import frozen

from relaykit.sansio.hostnames import ANY, HIGHEST_NAME_BYTES, WILDCARD

__all__ = ["Route", "RouteTable", "location_problem"]

TargetT = TypeVar("TargetT")

_LEAST_DOTS_OF_WILDCARDS = 2
"""Dots of a host for which wildcards are looked for: none has a single label behind its asterisk, as
``*.com``."""


def location_problem(location: str) -> str:
    """Why no path can begin so, as requests are looked up; empty if one can.

    Paths are compared as :attr:`relaykit.sansio.http.requests.RequestHead.path` has them.
    """
    if location and not location.startswith("/"):
        return f'"{location}" matches nothing: paths begin with a slash'
    if any(each in location for each in ("//", "\\", ";", "/./", "/../")):
        return (
            f'"{location}" matches nothing: '
            "paths are compared without several slashes in a row, backslashes, "
            "parameters behind semicolons and segments that are dots"
        )
    return ""


@frozen
class Route:
    """What a request must name: a host of this domain, a path that begins so, and this user if not empty."""

    domain: str
    location: str = ""
    user: str = ""


class _Locations(Generic[TargetT]):
    """The targets of one domain and one user, by the beginnings of paths."""

    __slots__ = ("_lengths", "targets")

    def __init__(self) -> None:
        self.targets: dict[str, TargetT] = {}
        self._lengths: list[int] = []
        """The lengths that there are, the greatest first: paths with one beginning differ in nothing else."""

    def add(self, location: str, target: TargetT) -> None:
        self.targets[location] = target
        self._measure()

    def remove(self, location: str) -> None:
        del self.targets[location]
        self._measure()

    def find(self, path: str) -> TargetT | None:
        for length in self._lengths:
            found = self.targets.get(path[:length])
            if found is not None and length <= len(path):
                return found
        return None

    def _measure(self) -> None:
        self._lengths = sorted({len(location) for location in self.targets}, reverse=True)


class RouteTable(Generic[TargetT]):
    """Routes and where they lead; targets are anything but None.

    A host has the domain of its own name first, then the wildcards above it from the nearest on, then ``*``.
    Each of them is asked for the user's own routes, then for those of any user, and there for the longest
    location that the path begins with.  Source: frp's pkg/util/vhost/router.go.
    """

    def __init__(self) -> None:
        self._domains: dict[str, dict[str, _Locations[TargetT]]] = {}
        self._count = 0
        self._located = 0
        self.version = 0
        """Another one after each change."""

    @property
    def has_locations(self) -> bool:
        """Whether paths decide anything."""
        return self._located > 0

    def __len__(self) -> int:
        return self._count

    def get(self, route: Route) -> TargetT | None:
        """Who has exactly this route."""
        locations = self._domains.get(route.domain, {}).get(route.user)
        return None if locations is None else locations.targets.get(route.location)

    def add(self, route: Route, target: TargetT) -> None:
        """Has a route, which nobody has, lead there."""
        assert self.get(route) is None, "a route is taken back before somebody else gets it"
        users = self._domains.setdefault(route.domain, {})
        users.setdefault(route.user, _Locations()).add(route.location, target)
        self.version += 1
        self._count += 1
        self._located += bool(route.location)

    def remove(self, route: Route) -> None:
        """Takes a route back that somebody has."""
        users = self._domains[route.domain]
        locations = users[route.user]
        locations.remove(route.location)
        self.version += 1
        self._count -= 1
        self._located -= bool(route.location)
        if not locations.targets:
            del users[route.user]
            if not users:
                del self._domains[route.domain]

    def find(self, host: str, path: str = "", user: str = "") -> TargetT | None:
        """Where a request leads; None for nowhere."""
        for domain in _domains_of(host):
            users = self._domains.get(domain)
            if users is None:
                continue
            for each in (user, "") if user else ("",):
                locations = users.get(each)
                found = None if locations is None else locations.find(path)
                if found is not None:
                    return found
        return None


def _domains_of(host: str) -> Iterator[str]:
    """The domains that a host belongs to, the most special one first."""
    if len(host) <= HIGHEST_NAME_BYTES:
        yield host
        while host.count(".") >= _LEAST_DOTS_OF_WILDCARDS:
            host = host.partition(".")[2]
            yield WILDCARD + host
    yield ANY
