"""What all commands of ``relaykit`` have in common: kinds of flags, and what a command calls."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import click

from relaykit.values import HIGHEST_PORT

__all__ = [
    "BOOLEAN_FLAG",
    "NAMES",
    "PAIRS",
    "PORT",
    "SETTINGS",
    "STATE_DIR",
    "WORDS",
    "called",
    "several",
]

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Words(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click alone
    """Texts separated by commas, quoted as in CSV where they contain some."""

    name = "strings"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return next(csv.reader([value]), ()) if isinstance(value, str) else value
        except csv.Error:
            self.fail(f"{value!r} has a line break", param, ctx)


class _Names(_Words):
    """The same, of which none is empty: a variable that is not set names nobody."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        words = super().convert(value, param, ctx)
        if not words or not all(words):
            self.fail(f"{value!r} names nothing", param, ctx)
        return words


class _Pairs(_Words):
    """``key=value`` pairs separated by commas."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        pairs = [word.partition("=") for word in super().convert(value, param, ctx)]
        if not all(sign for _, sign, _ in pairs):
            self.fail(f"{value!r} is not key=value", param, ctx)
        return [(key, text) for key, _, text in pairs]


WORDS, NAMES, PAIRS = _Words(), _Names(), _Pairs()

BOOLEAN_FLAG: dict[str, Any] = {"type": click.BOOL, "is_flag": False, "flag_value": "true"}
"""Keywords of an option that is yes when it stands alone, and takes a value: ``--flag=false``."""


class _Port(click.IntRange):
    name = "port"


PORT: dict[str, Any] = {"type": _Port(0, HIGHEST_PORT), "metavar": "PORT"}
"""Keywords of an option that is a port, or 0."""


def several(*names: str, type: _Words = WORDS, help: str = "") -> click.Option:
    """An option that may be repeated, and takes several values at once."""

    def flattened(ctx: click.Context, param: click.Parameter, value: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(chain.from_iterable(value))

    return click.Option(names, type=type, multiple=True, callback=flattened, help=help)


STATE_DIR = click.Option(
    ["--state-dir"],
    type=click.Path(file_okay=False),
    default="",
    help="folder of what is kept from one start to the next",
)


def called(action: str, *first: Any) -> Callable[..., Any]:
    """Calls ``module:function`` with the context of the command, ``first``, and the values of its flags.

    The module is imported then, below :mod:`relaykit.commands`.
    """

    def call(**values: Any) -> Any:
        module, _, function = action.partition(":")
        run = getattr(importlib.import_module(f"relaykit.commands.{module}"), function)
        return run(click.get_current_context().obj, *first, **values)

    return call
