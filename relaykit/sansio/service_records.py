"""Servers that are found by a record of DNS: a name such as ``_relaykit._tcp.example.com``.

Source: RFC 2782.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from relaykit.values import Address

__all__ = ["ServiceRecord", "domain_of", "in_order", "is_service_name"]

_LABELS = 2
"""Labels of a service in front of its domain: what is served, and by which protocol."""


@frozen
class ServiceRecord:
    """One SRV record."""

    priority: int
    weight: int
    target: Address


def is_service_name(host: str) -> bool:
    """Whether a host is named by what it serves: its first two labels begin with an underscore."""
    labels = host.split(".")
    return len(labels) > _LABELS and all(label.startswith("_") for label in labels[:_LABELS])


def domain_of(host: str) -> str:
    """The domain that a service is that of, which its certificate is for; other hosts as they are."""
    return host.split(".", _LABELS)[_LABELS] if is_service_name(host) else host


def in_order(records: Iterable[ServiceRecord], chance: Callable[[int], int]) -> list[Address]:
    """Where to try: the lowest priority first; within one priority by chance, in proportion to the weights.

    :param chance: answers a random number from 0 to below its argument.
    """
    left = sorted(records, key=lambda each: (each.priority, each.weight))
    ordered: list[Address] = []
    while left:
        same = [each for each in left if each.priority == left[0].priority]
        drawn = chance(sum(each.weight for each in same) + 1)
        chosen = same[-1]
        for each in same:
            drawn -= each.weight
            if drawn <= 0:
                chosen = each
                break
        left.remove(chosen)
        ordered.append(chosen.target)
    return ordered
