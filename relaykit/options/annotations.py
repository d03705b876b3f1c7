"""The rules of annotations, which hold at both ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["MOST_BYTES", "annotation_problems"]

MOST_BYTES = 262_144
"""Bytes of all keys and values of annotations together."""

_MOST_PREFIX = 253
_MOST_NAME = 63
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")


def annotation_problems(annotations: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with annotations, one text for each thing.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/, which frp follows.
    """
    for key in annotations:
        for reason in _key_problems(key.lower()):
            yield f'key "{key}" is invalid: {reason}'
    size = sum(
        len(text.encode("utf-8", "surrogateescape")) for entry in annotations.items() for text in entry
    )
    if size > MOST_BYTES:
        yield f"{size} bytes are more than the limit, {MOST_BYTES}"


def _key_problems(key: str) -> Iterator[str]:
    *prefixes, name = key.split("/")
    if len(prefixes) > 1:
        yield "it must be a name, or a DNS subdomain, a slash and a name"
        return
    for prefix in prefixes:
        if not prefix:
            yield "the part before the slash must not be empty"
        elif len(prefix) > _MOST_PREFIX:
            yield f"the part before the slash must be no more than {_MOST_PREFIX} characters"
        elif not _SUBDOMAIN.match(prefix):
            yield "the part before the slash must be a DNS subdomain, such as example.com"
    if not name:
        yield "the name must not be empty"
    elif len(name) > _MOST_NAME:
        yield f"the name must be no more than {_MOST_NAME} characters"
    elif not _NAME.match(name):
        yield 'the name must consist of letters, digits, "-", "_", "." and begin and end with letter or digit'
