"""The tree of a template: expressions, which have a value, and statements, which write."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from attrs import define, field, frozen

from relaykit.config.template.functions import FunctionError
from relaykit.config.template.source import Missing, Source
from relaykit.config.template.values import (
    NOTHING,
    NumberPair,
    Root,
    Value,
    is_true,
    size_of,
    type_name,
    write_value,
)

__all__ = [
    "Action",
    "Body",
    "Call",
    "Choice",
    "Expression",
    "Fields",
    "Jump",
    "LazyCall",
    "Literal",
    "Loop",
    "Pipeline",
    "Run",
    "Text",
    "Variable",
]

MOST_OUTPUT = 16 * 1024 * 1024
"""Characters that a template may write: a configuration is never that long, a runaway range is."""

MOST_MADE = 16 * 1024 * 1024
"""Characters, and numbers of lists, that all calls of functions may be given and answer: texts that are put
together of themselves again and again double each time."""

MOST_STEPS = 1_000_000
"""Elements that the ranges of a template may go through, together."""

NO_VALUE = "<no value>"
"""What an action writes for what is not there, as frp's does."""


class Expression(Protocol):
    """What has a value."""

    def value(self, run: Run, dot: Value) -> Value:
        """Its value; ``dot`` is what the template is about at this place.

        :raises TemplateError: it has none.
        """


class Statement(Protocol):
    """What writes something, or decides what is written."""

    def write(self, run: Run, dot: Value) -> None:
        """Writes it.

        :raises TemplateError: it cannot be carried out.
        """


Body: TypeAlias = Sequence[Statement]


class Jumped(Exception):
    """``{{break}}`` or ``{{continue}}`` was reached."""

    def __init__(self, ends: bool) -> None:
        super().__init__()
        self.ends = ends


@define
class Run:
    """One run of a template.

    ``pieces`` is what it writes, ``written`` of how many characters that is so far, ``lines`` has for each
    line of that the line of the source that it came from, ``missing`` what was written in place of values.
    """

    source: Source
    pieces: list[str] = field(factory=list, init=False)
    lines: list[int] = field(factory=lambda: [1], init=False)
    missing: list[Missing] = field(factory=list, init=False)
    variables: list[tuple[str, Value]] = field(factory=list, init=False)
    written: int = field(default=0, init=False)
    _steps: int = field(default=0, init=False)
    _made: int = field(default=0, init=False)

    def write(self, text: str, at: int, *, spans_source: bool) -> None:
        """Writes what the source has at this offset; its further lines may be further ones of the source."""
        line = self.source.line_of(at)
        if not self.pieces or self.pieces[-1].endswith("\n"):
            self.lines[-1] = line
        self.written += len(text)
        if self.written > MOST_OUTPUT:
            raise self.source.error(f"the template writes more than {MOST_OUTPUT} characters", at)
        if text:
            self.pieces.append(text)
        breaks = text.count("\n")
        self.lines.extend(range(line + 1, line + 1 + breaks) if spans_source else [line] * breaks)

    def write_all(self, body: Body, dot: Value) -> None:
        """Writes statements; the variables that they declare end with them."""
        known = len(self.variables)
        try:
            for statement in body:
                statement.write(self, dot)
        finally:
            del self.variables[known:]

    def count_step(self, at: int) -> None:
        """Counts an element of a range."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise self.source.error(f"ranges go through more than {MOST_STEPS} elements", at)

    def count_made(self, values: Iterable[Value], at: int) -> None:
        """Counts what a function is given, or answers."""
        self._made += sum(map(size_of, values))
        if self._made > MOST_MADE:
            raise self.source.error(f"functions deal with more than {MOST_MADE} characters", at)

    def assign(self, name: str, value: Value) -> None:
        """Changes the innermost variable of this name, which the parser has seen declared."""
        position = max(at for at, (known, _) in enumerate(self.variables) if known == name)
        self.variables[position] = (name, value)


# --- expressions --------------------------------------------------------------------------------


@frozen
class Literal:
    """A constant."""

    constant: Value

    def value(self, run: Run, dot: Value) -> Value:
        return self.constant


@frozen
class Variable:
    """``$x``."""

    name: str

    def value(self, run: Run, dot: Value) -> Value:
        return next(value for known, value in reversed(run.variables) if known == self.name)


@frozen
class Fields:
    """``.A.B``, looked up in the value of an expression, or in what the template is about."""

    inside: Expression | None
    names: tuple[str, ...]
    start: int
    end: int

    def value(self, run: Run, dot: Value) -> Value:
        value = dot if self.inside is None else self.inside.value(run, dot)
        for name in self.names:
            if value is None:
                return None
            known = value.fields() if isinstance(value, NumberPair | Root) else {}
            if isinstance(value, Mapping):
                value = value.get(name)
            elif name in known:
                value = known[name]
            else:
                what = f"can't evaluate field {name} in type {type_name(value)}"
                raise run.source.error(what, self.start, self.end)
        return value


@frozen
class Call:
    """A function with its arguments."""

    name: str
    function: Callable[..., Value]
    arguments: tuple[Expression, ...]
    start: int
    end: int

    def value(self, run: Run, dot: Value) -> Value:
        arguments = [each.value(run, dot) for each in self.arguments]
        try:
            inspect.signature(self.function).bind(*arguments)
        except TypeError:
            what = f"wrong number of args for {self.name}: got {len(arguments)}"
            raise run.source.error(what, self.start, self.end) from None
        run.count_made(arguments, self.start)
        try:
            value = self.function(*arguments)
        except FunctionError as error:
            raise run.source.error(f"error calling {self.name}: {error}", self.start, self.end) from None
        run.count_made((value,), self.start)
        return value


@frozen
class LazyCall:
    """``and``, or ``or``: the first argument that is false, or that is true, else the last one."""

    stops_at: bool
    arguments: tuple[Expression, ...]

    def value(self, run: Run, dot: Value) -> Value:
        value: Value = None
        for each in self.arguments:
            value = each.value(run, dot)
            if is_true(value) == self.stops_at:
                break
        return value


@frozen
class Pipeline:
    """An expression whose value is given to variables; ``assigns`` those that are there already."""

    expression: Expression
    variables: tuple[str, ...]
    assigns: bool
    start: int
    end: int

    def value(self, run: Run, dot: Value) -> Value:
        value = self.expression.value(run, dot)
        self.bind(run, (value,))
        return value

    def bind(self, run: Run, values: Sequence[Value]) -> None:
        """Gives the variables these values."""
        for name, value in zip(self.variables, values, strict=False):
            if self.assigns:
                run.assign(name, value)
            else:
                run.variables.append((name, value))


# --- statements ---------------------------------------------------------------------------------


@frozen
class Text:
    """Text outside of actions."""

    text: str
    start: int

    def write(self, run: Run, dot: Value) -> None:
        run.write(self.text, self.start, spans_source=True)


@frozen
class Action:
    """Writes the value of a pipeline, unless it sets variables."""

    pipeline: Pipeline

    def write(self, run: Run, dot: Value) -> None:
        value = self.pipeline.value(run, dot)
        if self.pipeline.variables:
            return
        start, end = self.pipeline.start, self.pipeline.end
        text = NO_VALUE if value is None else write_value(value)
        if value is None or not text or NOTHING in text:
            expression, line = run.source.text[start:end], run.source.line_of(start)
            run.missing.append(Missing(expression, line, text, run.written))
        run.write(text, start, spans_source=False)


@frozen
class Choice:
    """``if`` and ``with``: writes one of two bodies; that of ``with`` is about the value."""

    pipeline: Pipeline
    body: Body
    otherwise: Body
    is_with: bool

    def write(self, run: Run, dot: Value) -> None:
        known = len(run.variables)
        value = self.pipeline.value(run, dot)
        if is_true(value):
            run.write_all(self.body, value if self.is_with else dot)
        else:
            run.write_all(self.otherwise, dot)
        del run.variables[known:]


@frozen
class Loop:
    """``range``: writes a body for each element, or another if there is none."""

    pipeline: Pipeline
    body: Body
    otherwise: Body

    def write(self, run: Run, dot: Value) -> None:
        known = len(run.variables)
        value = self.pipeline.expression.value(run, dot)
        entries = self._entries(run, value)
        if not entries:
            # As in Go, both variables are what there is nothing in.
            self.pipeline.bind(run, (value, value))
            run.write_all(self.otherwise, dot)
            del run.variables[known:]
        for key, element in entries:
            run.count_step(self.pipeline.start)
            self.pipeline.bind(run, (element,) if len(self.pipeline.variables) == 1 else (key, element))
            try:
                run.write_all(self.body, element)
            except Jumped as jumped:
                if jumped.ends:
                    break
            finally:
                del run.variables[known:]

    def _entries(self, run: Run, value: Value) -> Sequence[tuple[Value, Value]]:
        """What it goes through: keys and elements."""
        if isinstance(value, Mapping):
            return sorted(value.items())
        if isinstance(value, list):
            return list(enumerate(value))
        if value is None:
            return ()
        if type(value) is int:
            # One more than there may be is enough to find out.
            return list(enumerate(range(min(value, MOST_STEPS + 1))))
        what = f"range can't iterate over {write_value(value)}"
        raise run.source.error(what, self.pipeline.start, self.pipeline.end)


@frozen
class Jump:
    """``break`` and ``continue``: ends the innermost range, or this element of it."""

    ends: bool

    def write(self, run: Run, dot: Value) -> None:
        raise Jumped(self.ends)
