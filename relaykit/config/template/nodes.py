"""The tree of a template.  Every node knows the offsets of the text that it was made of."""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen

__all__ = [
    "Action",
    "Body",
    "Break",
    "Chain",
    "Command",
    "Continue",
    "Dot",
    "Expression",
    "FieldPath",
    "Function",
    "If",
    "Invocation",
    "Literal",
    "Nil",
    "Operand",
    "Pipeline",
    "Range",
    "Statement",
    "Text",
    "Variable",
    "With",
]


@frozen
class Expression:
    """What yields a value; ``start`` and ``end`` are offsets in the source."""

    start: int
    end: int


@frozen
class Dot(Expression):
    """``.``: what the template is about at this place."""


@frozen
class Nil(Expression):
    """``nil``."""


@frozen
class Literal(Expression):
    """A constant."""

    value: str | int | float | bool


@frozen
class Function(Expression):
    """The name of a function."""

    name: str


@frozen
class FieldPath(Expression):
    """``.A.B``, looked up in what the template is about."""

    names: tuple[str, ...]


@frozen
class Variable(Expression):
    """``$x.A.B``; the name includes the dollar sign."""

    name: str
    names: tuple[str, ...] = ()


@frozen
class Chain(Expression):
    """``(...).A.B``, looked up in the value of an expression."""

    operand: Expression
    names: tuple[str, ...]


Operand: TypeAlias = Expression


@frozen
class Command(Expression):
    """An operand, or a function with its arguments."""

    operands: tuple[Operand, ...]


@frozen
class Pipeline(Expression):
    """Commands of which each gets the value of the one before, and the variables that get the last value."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False


@frozen
class Statement:
    """What writes something or decides what is written."""

    start: int


@frozen
class Text(Statement):
    """Text outside of actions."""

    text: str


@frozen
class Action(Statement):
    """Writes the value of a pipeline, unless it sets variables."""

    pipeline: Pipeline


@frozen
class If(Statement):
    """Writes one of two bodies."""

    pipeline: Pipeline
    body: Body
    otherwise: Body = ()


@frozen
class With(Statement):
    """As ``If``, and the body is about the value."""

    pipeline: Pipeline
    body: Body
    otherwise: Body = ()


@frozen
class Range(Statement):
    """Writes a body for each element, or another if there is none."""

    pipeline: Pipeline
    body: Body
    otherwise: Body = ()


@frozen
class Break(Statement):
    """Ends the innermost range."""


@frozen
class Continue(Statement):
    """Goes on with the next element of the innermost range."""


@frozen
class Invocation(Statement):
    """Writes the body of a template that was defined under a name."""

    name: str
    pipeline: Pipeline | None = field(default=None)


Body: TypeAlias = tuple[Statement, ...]
