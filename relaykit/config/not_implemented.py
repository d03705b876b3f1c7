"""Keys of frp that relaykit reads but cannot honor yet, and what their use amounts to.

A key that decides who can reach what, or who is let in, is an error: doing less than a file says
would be unsafe or of no use.  Any other is a warning.  Default values are accepted in silence.
Delete an entry when its feature comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from relaykit.config.problems import Findings
from relaykit.options import Options, Problem, option_fields

__all__ = ["CLIENT_KEYS", "SERVER_KEYS", "Unavailable", "availability_findings"]


@frozen
class Unavailable:
    """A key, or a table, that has no effect yet.

    ``refused`` says whether using it is an error.  ``only`` are the values that use it; if empty, all
    but the default do, and of ports the positive ones.
    """

    key: str
    what: str
    refused: bool = False
    only: tuple[object, ...] = ()

    def is_used(self, value: object, default: object) -> bool:
        """Whether a value, whose default is known, asks for what is not available."""
        if self.only:
            return value in self.only
        if self.key.lower().endswith("port") and isinstance(value, int):
            return value > 0
        return value not in (default, type(value)())


SERVER_KEYS: Sequence[Unavailable] = ()
"""Of a server's file."""

CLIENT_KEYS: Sequence[Unavailable] = ()
"""Of a client's file."""


def availability_findings(options: Options, keys: Iterable[Unavailable]) -> Findings:
    """What these options use that is not available: problems and warnings."""
    found = Findings()
    for each in keys:
        if not each.is_used(_look_up(options, each.key), _look_up(type(options)(), each.key)):
            continue
        problem = Problem(each.key, f"{each.what}: not available yet")
        (found.unavailable if each.refused else found.warnings).append(problem)
    return found


def _look_up(options: Options, dotted: str) -> object:
    value: object = options
    for key in dotted.split("."):
        assert isinstance(value, Options)
        name = next(each.name for each in option_fields(type(value)) if each.key == key)
        value = getattr(value, name)
    return value
