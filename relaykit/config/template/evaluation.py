"""Carries a template's tree out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field

from relaykit.config.template import nodes
from relaykit.config.template.functions import FUNCTIONS, FunctionError
from relaykit.config.template.parsing import Template
from relaykit.config.template.source import Source, TemplateError, Undefined
from relaykit.config.template.values import NumberPair, Root, Value, is_true, type_name, write_value

__all__ = ["FUNCTION_NAMES", "Evaluation"]

_LAZY_FUNCTIONS = ("and", "or")
"""Functions whose later arguments are not evaluated once the answer is clear."""

FUNCTION_NAMES = frozenset({*FUNCTIONS, *_LAZY_FUNCTIONS})
"""What a template may call."""

MOST_OUTPUT = 16 * 1024 * 1024
"""Characters that a template may write: a configuration is never that long, a runaway range is."""

MOST_STEPS = 1_000_000
"""Elements that the ranges of a template may go through, together."""

MOST_INVOCATIONS = 50
"""Templates that may invoke each other at one time."""

_NO_VALUE = "<no value>"
_ABSENT = object()


class _Broken(Exception):
    """``{{break}}`` was reached."""


class _Continued(Exception):
    """``{{continue}}`` was reached."""


@define
class Evaluation:
    """One run of a template.

    ``pieces`` is what it writes, ``lines`` has for each line of that the line of the source that it
    came from, ``undefined`` what had no value.
    """

    _source: Source
    _template: Template
    pieces: list[str] = field(factory=list, init=False)
    lines: list[int] = field(factory=lambda: [1], init=False)
    undefined: list[Undefined] = field(factory=list, init=False)
    _variables: list[tuple[str, Value]] = field(factory=list, init=False)
    _written: int = field(default=0, init=False)
    _steps: int = field(default=0, init=False)
    _depth: int = field(default=0, init=False)

    def run(self, root: Root) -> None:
        """Writes everything.

        :raises TemplateError: at the first thing that cannot be carried out.
        """
        self._variables.append(("$", root))
        self._write_body(self._template.body, root)

    # --- statements -------------------------------------------------------------------------

    def _write_body(self, body: nodes.Body, dot: Value) -> None:
        for statement in body:
            match statement:
                case nodes.Text():
                    self._write_text(statement)
                case nodes.Action():
                    self._write_action(statement, dot)
                case nodes.If():
                    self._write_choice(statement, dot, False)
                case nodes.With():
                    self._write_choice(statement, dot, True)
                case nodes.Range():
                    self._write_range(statement, dot)
                case nodes.Invocation():
                    self._write_invocation(statement, dot)
                case nodes.Break():
                    raise _Broken
                case nodes.Continue():
                    raise _Continued

    def _write_text(self, statement: nodes.Text) -> None:
        first = self._source.line_of(statement.start)
        self._write(statement.text, first, statement.start)
        self.lines.extend(range(first + 1, first + 1 + statement.text.count("\n")))

    def _write_action(self, statement: nodes.Action, dot: Value) -> None:
        value = self._pipeline(statement.pipeline, dot)
        if statement.pipeline.variables:
            return
        line = self._source.line_of(statement.start)
        if value is None:
            start, end = statement.pipeline.start, statement.pipeline.end
            self.undefined.append(Undefined(self._source.text[start:end], line))
        text = _NO_VALUE if value is None else write_value(value)
        self._write(text, line, statement.start)
        self.lines.extend([line] * text.count("\n"))

    def _write(self, text: str, line: int, at: int) -> None:
        if not self.pieces or self.pieces[-1].endswith("\n"):
            self.lines[-1] = line
        self._written += len(text)
        if self._written > MOST_OUTPUT:
            raise self._source.error(f"the template writes more than {MOST_OUTPUT} characters", at)
        if text:
            self.pieces.append(text)

    def _write_choice(self, statement: nodes.If | nodes.With, dot: Value, about_value: bool) -> None:
        known = len(self._variables)
        value = self._pipeline(statement.pipeline, dot)
        if is_true(value):
            self._write_body(statement.body, value if about_value else dot)
        else:
            self._write_body(statement.otherwise, dot)
        del self._variables[known:]

    def _write_range(self, statement: nodes.Range, dot: Value) -> None:
        known = len(self._variables)
        pipeline = statement.pipeline
        entries = self._entries(pipeline, self._pipeline(pipeline, dot, declares=False))
        inner = len(self._variables)
        if not entries:
            self._write_body(statement.otherwise, dot)
        for key, element in entries:
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise self._source.error(
                    f"ranges go through more than {MOST_STEPS} elements", statement.start
                )
            self._bind(pipeline, [element] if len(pipeline.variables) == 1 else [key, element])
            try:
                self._write_body(statement.body, element)
            except _Continued:
                continue
            except _Broken:
                break
            finally:
                del self._variables[inner:]
        del self._variables[known:]

    def _entries(self, pipeline: nodes.Pipeline, value: Value) -> Sequence[tuple[Value, Value]]:
        """What a range goes through: keys and elements."""
        match value:
            case None:
                return ()
            case list():
                return list(enumerate(value))
            case Mapping():
                return sorted(value.items())
            case int() if not isinstance(value, bool):
                if len(pipeline.variables) > 1:
                    raise self._error(f"can't use {value} to iterate over more than one variable", pipeline)
                if value > MOST_STEPS:
                    raise self._error(f"ranges go through more than {MOST_STEPS} elements", pipeline)
                return list(enumerate(range(value)))
        raise self._error(f"range can't iterate over {write_value(value)}", pipeline)

    def _write_invocation(self, statement: nodes.Invocation, dot: Value) -> None:
        body = self._template.definitions.get(statement.name)
        if body is None:
            raise self._source.error(f'template "{statement.name}" not defined', statement.start)
        about = None if statement.pipeline is None else self._pipeline(statement.pipeline, dot)
        self._depth += 1
        if self._depth > MOST_INVOCATIONS:
            raise self._source.error(
                f"templates invoke each other more than {MOST_INVOCATIONS} deep", statement.start
            )
        outer, self._variables = self._variables, [("$", about)]
        self._write_body(body, about)
        self._variables = outer
        self._depth -= 1

    # --- variables --------------------------------------------------------------------------

    def _bind(self, pipeline: nodes.Pipeline, values: Sequence[Value]) -> None:
        for name, value in zip(pipeline.variables, values, strict=False):
            if pipeline.assigns:
                self._assign(name, value, pipeline)
            else:
                self._variables.append((name, value))

    def _assign(self, name: str, value: Value, pipeline: nodes.Pipeline) -> None:
        for position in range(len(self._variables) - 1, -1, -1):
            if self._variables[position][0] == name:
                self._variables[position] = (name, value)
                return
        raise self._error(f"undefined variable: {name}", pipeline)

    def _look_up(self, name: str) -> Value:
        return next(value for known, value in reversed(self._variables) if known == name)

    # --- expressions ------------------------------------------------------------------------

    def _pipeline(self, pipeline: nodes.Pipeline, dot: Value, declares: bool = True) -> Value:
        value: Value = _ABSENT
        for command in pipeline.commands:
            value = self._command(command, dot, value)
        if declares:
            self._bind(pipeline, [value])
        return value

    def _command(self, command: nodes.Command, dot: Value, piped: Value) -> Value:
        first, *others = command.operands
        if isinstance(first, nodes.Function):
            return self._call(command, first, others, dot, piped)
        if others or piped is not _ABSENT:
            what = self._source.text[first.start : first.end]
            if isinstance(first, nodes.FieldPath | nodes.Chain):
                raise self._error(f"{what} is not a method but has arguments", first)
            raise self._error(f"can't give argument to non-function {what}", first)
        if isinstance(first, nodes.Nil):
            raise self._error("nil is not a command", first)
        return self._value(first, dot)

    def _value(self, operand: nodes.Operand, dot: Value) -> Value:
        match operand:
            case nodes.Literal():
                return operand.value
            case nodes.Dot():
                return dot
            case nodes.FieldPath():
                return self._field(dot, operand.names, operand)
            case nodes.Variable():
                return self._field(self._look_up(operand.name), operand.names, operand)
            case nodes.Chain():
                return self._field(self._value(operand.operand, dot), operand.names, operand)
            case nodes.Pipeline():
                return self._pipeline(operand, dot)
            case nodes.Function():
                return self._call(operand, operand, (), dot, _ABSENT)
        return None

    def _field(self, value: Value, names: Sequence[str], at: nodes.Expression) -> Value:
        for name in names:
            if value is None:
                return None
            if isinstance(value, Mapping):
                value = value.get(name)
                continue
            try:
                if not isinstance(value, NumberPair | Root):
                    raise KeyError(name)
                value = value.field(name)
            except KeyError:
                raise self._error(f"can't evaluate field {name} in type {type_name(value)}", at) from None
        return value

    def _call(
        self,
        at: nodes.Expression,
        function: nodes.Function,
        operands: Sequence[nodes.Operand],
        dot: Value,
        piped: Value,
    ) -> Value:
        name = function.name
        if name in _LAZY_FUNCTIONS:
            return self._call_lazily(function, operands, dot, piped)
        builtin = FUNCTIONS[name]
        given = len(operands) + (piped is not _ABSENT)
        if not builtin.least <= given <= builtin.most:
            wanted = f"at least {builtin.least}" if builtin.most > builtin.least else str(builtin.least)
            raise self._error(f"wrong number of args for {name}: want {wanted} got {given}", function)
        arguments = [
            self._text(operand, dot) if position < builtin.texts else self._value(operand, dot)
            for position, operand in enumerate(operands)
        ]
        if piped is not _ABSENT:
            if len(arguments) < builtin.texts and not isinstance(piped, str):
                raise self._error(_not_a_text(piped), at)
            arguments.append(piped)
        try:
            return builtin.call(*arguments)
        except FunctionError as error:
            raise self._error(f"error calling {name}: {error}", at) from None

    def _call_lazily(
        self, function: nodes.Function, operands: Sequence[nodes.Operand], dot: Value, piped: Value
    ) -> Value:
        if not operands and piped is _ABSENT:
            raise self._error(f"wrong number of args for {function.name}: want at least 1 got 0", function)
        value: Value = None
        for operand in operands:
            value = self._value(operand, dot)
            if is_true(value) == (function.name == "or"):
                return value
        return value if piped is _ABSENT else piped

    def _text(self, operand: nodes.Operand, dot: Value) -> Value:
        """An argument that must be a text."""
        if isinstance(operand, nodes.Nil):
            raise self._error("cannot assign nil to string", operand)
        value = self._value(operand, dot)
        if isinstance(value, str):
            return value
        if isinstance(operand, nodes.Literal):
            what = self._source.text[operand.start : operand.end]
            raise self._error(f"expected string; found {what}", operand)
        raise self._error(_not_a_text(value), operand)

    def _error(self, reason: str, expression: nodes.Expression) -> TemplateError:
        return self._source.error(reason, expression.start, expression.end)


def _not_a_text(value: Value) -> str:
    if value is None:
        return "invalid value; expected string"
    return f"wrong type for value; expected string; got {type_name(value)}"
