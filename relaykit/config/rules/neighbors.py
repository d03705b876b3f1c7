"""What is worth a warning in a proxy or a visitor because of the others of the same client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from attrs import define, field

from relaykit.options import Options, Problem, ProxyCommon, is_led_back, named_visitors, option_fields

__all__ = ["Neighbor", "PortsWanted", "visitor_problems"]


class Neighbor(Protocol):
    """A proxy, as its neighbors see it."""

    @property
    def subject(self) -> str: ...

    @property
    def common(self) -> ProxyCommon: ...

    @property
    def options(self) -> Options: ...

    @property
    def is_groupable(self) -> bool: ...


@define
class PortsWanted:
    """The ports of the server that proxies want, each of which it gives to one of its type, or to a group."""

    _first: dict[tuple[str, str, int], Neighbor] = field(factory=dict, init=False)

    def add(self, proxy: Neighbor) -> Iterator[Problem]:
        """Takes down what one wants, and tells what another one wants, too."""
        for each in option_fields(type(proxy.options)):
            port = getattr(proxy.options, each.name)
            if not each.exclusive or not port:
                continue
            other = self._first.setdefault((proxy.common.type, each.key, port), proxy)
            if other is not proxy and not _are_grouped(other, proxy):
                reason = f"{other.subject} wants the port {port} too: the server gives it to one of them"
                yield Problem(each.key, reason)


def visitor_problems(name: str, options: Options, started: Mapping[str, Options]) -> Iterator[Problem]:
    """Tells of visitors that this one names, and that are not there, or lead users back to it.

    :param started: the options of all visitors that are started, by name, this one included.
    """
    for key, named in named_visitors(options).items():
        if named not in started:
            yield Problem(key, f'there is no visitor "{named}": its users would be let go')
        elif is_led_back(name, named, started.get):
            yield Problem(key, f'the visitor "{named}" leads back to this one: its users would be let go')


def _are_grouped(one: Neighbor, other: Neighbor) -> bool:
    group = one.common.load_balancer.group
    return bool(group) and one.is_groupable and other.common.load_balancer.group == group
