"""What a scrape says, read by the library's own parser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Samples", "key", "only", "read", "samples_of"]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(families: Iterable[Metric]) -> Samples:
    """The values by names and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def read(text: bytes) -> Samples:
    """The same of a text."""
    return samples_of(text_string_to_metric_families(text.decode()))


def key(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """The key of a value."""
    return name, frozenset(labels.items())


def only(samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float], name: str) -> float:
    """The value of a name that has one."""
    (value,) = (value for (named, _), value in samples.items() if named == name)
    return value
