"""From a template's tokens to its tree."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from attrs import define, field, frozen

from relaykit.config.numerals import parse_float, parse_integer
from relaykit.config.template import nodes
from relaykit.config.template.lexing import Kind, Token, tokens
from relaykit.config.template.source import Source, TemplateError

__all__ = ["Template", "parse"]

MOST_NESTING = 100
"""Control words and parentheses inside each other: far below where the interpreter's stack would end."""

_OPERANDS = frozenset(
    {Kind.BOOLEAN, Kind.CHARACTER, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER}
    | {Kind.RAW_STRING, Kind.STRING, Kind.VARIABLE, Kind.OPEN}
)
_STRINGS = (Kind.STRING, Kind.RAW_STRING)
_CONSTANTS = (nodes.Dot, nodes.Nil, nodes.Literal)
_ESCAPE = re.compile(
    r"\\(?:(?P<simple>[abfnrtv\\'\"])|x(?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<bad>.?))",
    re.DOTALL,
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

BlockT = TypeVar("BlockT", nodes.If, nodes.With, nodes.Range)


@frozen
class Template:
    """A template that was read: its main body, and those that it defines by name."""

    body: nodes.Body
    definitions: Mapping[str, nodes.Body]


def parse(source: Source, functions: Collection[str]) -> Template:
    """Reads a template in which these functions may be called.

    :raises TemplateError: at the first thing that is wrong.
    """
    return _Parser(source, functions, tokens(source)).template()


@define
class _Parser:
    _source: Source
    _functions: Collection[str]
    _tokens: Iterator[Token]
    _ahead: deque[Token] = field(factory=deque, init=False)
    _variables: list[str] = field(factory=lambda: ["$"], init=False)
    _definitions: dict[str, nodes.Body] = field(factory=dict, init=False)
    _nesting: int = field(default=0, init=False)
    _ranges: int = field(default=0, init=False)
    _end: int = field(default=0, init=False)

    def template(self) -> Template:
        statements: list[nodes.Statement] = []
        while (token := self._next()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                statements.append(nodes.Text(token.start, token.text))
                continue
            word = self._peek_word()
            if word.text == "define" and word.kind is Kind.KEYWORD:
                self._next_word()
                self._define()
                continue
            if word.kind is Kind.KEYWORD and word.text in ("end", "else"):
                raise self._source.error(f"unexpected {{{{{word.text}}}}}", word.start)
            statements.extend(self._action(token))
        return Template(tuple(statements), self._definitions)

    # --- tokens -----------------------------------------------------------------------------

    def _next(self) -> Token:
        token = self._ahead.popleft() if self._ahead else next(self._tokens)
        if token.kind is not Kind.SPACE:
            self._end = token.end
        return token

    def _peek(self) -> Token:
        if not self._ahead:
            self._ahead.append(next(self._tokens))
        return self._ahead[0]

    def _next_word(self) -> Token:
        """The next token that is no white space."""
        self._skip_space()
        return self._next()

    def _peek_word(self) -> Token:
        """The same, left where it is."""
        self._skip_space()
        return self._peek()

    def _skip_space(self) -> None:
        if self._peek().kind is Kind.SPACE:
            self._next()

    def _peek_after(self) -> tuple[Token, Token]:
        """The token after the next one, and the first after the next one that is no white space."""
        while len(self._ahead) < 2 or (len(self._ahead) == 2 and self._ahead[1].kind is Kind.SPACE):
            self._ahead.append(next(self._tokens))
        return self._ahead[1], self._ahead[-1]

    def _expect(self, kind: Kind, context: str) -> Token:
        token = self._next_word()
        if token.kind is not kind:
            raise self._unexpected(token, context)
        return token

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        return self._source.error(f"unexpected {token} in {context}", token.start)

    def _enter(self, at: int) -> None:
        self._nesting += 1
        if self._nesting > MOST_NESTING:
            raise self._source.error(f"nested more than {MOST_NESTING} deep", at)

    # --- statements -------------------------------------------------------------------------

    def _action(self, left: Token) -> list[nodes.Statement]:
        """What follows ``{{``; ``{{else}}`` and ``{{end}}`` are not for here."""
        word = self._peek_word()
        if word.kind is not Kind.KEYWORD or word.text == "nil":
            pipeline = self._pipeline("command", Kind.RIGHT)
            return [nodes.Action(left.start, pipeline)]
        self._next_word()
        match word.text:
            case "if":
                return [self._block(nodes.If, left.start, word.text)]
            case "with":
                return [self._block(nodes.With, left.start, word.text)]
            case "range":
                return [self._block(nodes.Range, left.start, word.text)]
            case "break" | "continue":
                return [self._jump(word, left.start)]
            case "template":
                return [self._invocation(left.start)]
            case "block":
                return [self._defined_here(left.start)]
        raise self._unexpected(word, "command")

    def _block(self, kind: type[BlockT], start: int, word: str) -> BlockT:
        self._enter(start)
        known = len(self._variables)
        pipeline = self._pipeline(word, Kind.RIGHT)
        self._ranges += kind is nodes.Range
        body, ending = self._body()
        self._ranges -= kind is nodes.Range
        otherwise: nodes.Body = ()
        if ending == "else":
            otherwise = self._otherwise(kind, start)
        del self._variables[known:]
        self._nesting -= 1
        return kind(start, pipeline, body, otherwise)

    def _otherwise(self, kind: type[BlockT], start: int) -> nodes.Body:
        """What follows ``{{else``: a body of its own, or the next ``if`` or ``with`` of a chain."""
        word = self._peek_word()
        chained = {"if": nodes.If, "with": nodes.With}.get(word.text)
        if word.kind is Kind.KEYWORD and chained is kind:
            self._next_word()
            return (self._block(kind, start, word.text),)
        self._expect(Kind.RIGHT, "else")
        body, ending = self._body()
        if ending != "end":
            raise self._source.error(f"expected end; found {{{{{ending}}}}}", self._end)
        return body

    def _body(self) -> tuple[nodes.Body, str]:
        """Statements up to ``{{end}}``, which is taken, or ``{{else``; and which of the two it was."""
        statements: list[nodes.Statement] = []
        while (token := self._next()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                statements.append(nodes.Text(token.start, token.text))
                continue
            word = self._peek_word()
            if word.kind is Kind.KEYWORD and word.text == "end":
                self._next_word()
                self._expect(Kind.RIGHT, "end")
                return tuple(statements), "end"
            if word.kind is Kind.KEYWORD and word.text == "else":
                self._next_word()
                return tuple(statements), "else"
            statements.extend(self._action(token))
        raise self._source.error("unexpected EOF", token.start)

    def _jump(self, word: Token, start: int) -> nodes.Statement:
        self._expect(Kind.RIGHT, f"{{{{{word.text}}}}}")
        if not self._ranges:
            raise self._source.error(f"{{{{{word.text}}}}} outside {{{{range}}}}", word.start)
        return nodes.Break(start) if word.text == "break" else nodes.Continue(start)

    def _invocation(self, start: int) -> nodes.Invocation:
        name = self._name("template clause")
        if self._peek_word().kind is Kind.RIGHT:
            self._next_word()
            return nodes.Invocation(start, name)
        return nodes.Invocation(start, name, self._pipeline("template clause", Kind.RIGHT))

    def _defined_here(self, start: int) -> nodes.Invocation:
        name = self._name("block clause")
        pipeline = self._pipeline("block clause", Kind.RIGHT)
        self._definition(name, start)
        return nodes.Invocation(start, name, pipeline)

    def _define(self) -> None:
        name = self._name("define clause")
        self._definition(name, self._expect(Kind.RIGHT, "define clause").start)

    def _definition(self, name: str, start: int) -> None:
        """The body of a template with a name; it sees no variables and no range of its surroundings."""
        self._enter(start)
        variables, self._variables = self._variables, ["$"]
        ranges, self._ranges = self._ranges, 0
        body, ending = self._body()
        if ending != "end":
            raise self._source.error("unexpected {{else}} in define clause", self._end)
        self._variables, self._ranges = variables, ranges
        self._nesting -= 1
        if body or name not in self._definitions:
            self._definitions[name] = body

    def _name(self, context: str) -> str:
        token = self._next_word()
        if token.kind not in _STRINGS:
            raise self._unexpected(token, context)
        return self._unquoted(token)

    # --- expressions ------------------------------------------------------------------------

    def _pipeline(self, context: str, closing: Kind) -> nodes.Pipeline:
        """Commands with bars between them, up to and including ``}}`` or a parenthesis."""
        start = self._peek_word().start
        variables, assigns = self._declarations(context)
        commands: list[nodes.Command] = []
        while (token := self._peek_word()).kind is not closing:
            if token.kind not in _OPERANDS and token != Token(Kind.KEYWORD, "nil", token.start):
                raise self._unexpected(token, context)
            commands.append(self._command())
        end = self._end
        self._next_word()
        if not commands:
            raise self._source.error(f"missing value for {context}", token.start)
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], _CONSTANTS):
                raise self._source.error(
                    f"non executable command in pipeline stage {stage}", command.start, command.end
                )
        return nodes.Pipeline(start, end, tuple(commands), tuple(variables), assigns)

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        """``$x :=`` or, for a range, ``$i, $x :=``; and whether it was ``=``."""
        names: list[str] = []
        while (token := self._peek_word()).kind is Kind.VARIABLE:
            after = self._peek_after()[1]
            if after.kind in (Kind.DECLARE, Kind.ASSIGN):
                names.append(self._take_declared(token))
                return names, after.kind is Kind.ASSIGN
            if after.text != "," or after.kind is not Kind.OTHER:
                break
            names.append(self._take_declared(token))
            if context != "range" or len(names) > 1:
                raise self._source.error(f"too many declarations in {context}", token.start)
            if self._peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.CLOSE):
                raise self._source.error("range can only initialize variables", token.start)
        return names, False

    def _take_declared(self, variable: Token) -> str:
        self._next_word()
        self._next_word()
        self._variables.append(variable.text)
        return variable.text

    def _command(self) -> nodes.Command:
        """Operands with white space between them, up to and including a bar."""
        start = self._peek_word().start
        operands: list[nodes.Operand] = []
        end = start
        while True:
            self._skip_space()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
                end = operand.end
            token = self._peek()
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                break
            self._next()
            if token.kind is Kind.PIPE:
                break
            if token.kind is not Kind.SPACE:
                raise self._unexpected(token, "operand")
        if not operands:
            raise self._source.error("empty command", start)
        return nodes.Command(start, end, tuple(operands))

    def _operand(self) -> nodes.Operand | None:
        """A term with the fields that directly follow it."""
        term = self._term()
        if term is None or self._peek().kind is not Kind.FIELD:
            return term
        if isinstance(term, _CONSTANTS):
            what = self._source.text[term.start : term.end]
            raise self._source.error(f"unexpected . after term {what}", self._peek().start)
        names: list[str] = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().text[1:])
        if isinstance(term, nodes.FieldPath):
            return nodes.FieldPath(term.start, self._end, term.names + tuple(names))
        if isinstance(term, nodes.Variable):
            return nodes.Variable(term.start, self._end, term.name, tuple(names))
        return nodes.Chain(term.start, self._end, term, tuple(names))

    def _term(self) -> nodes.Operand | None:
        token = self._peek()
        is_nil = token.kind is Kind.KEYWORD and token.text == "nil"
        if token.kind not in _OPERANDS and not is_nil:
            return None
        self._next()
        span = (token.start, token.end)
        match token.kind:
            case Kind.IDENTIFIER:
                if token.text not in self._functions:
                    raise self._source.error(f'function "{token.text}" not defined', token.start)
                return nodes.Function(*span, token.text)
            case Kind.DOT:
                return nodes.Dot(*span)
            case Kind.FIELD:
                return nodes.FieldPath(*span, (token.text[1:],))
            case Kind.VARIABLE:
                if token.text not in self._variables:
                    raise self._source.error(f'undefined variable "{token.text}"', token.start)
                return nodes.Variable(*span, token.text)
            case Kind.OPEN:
                return self._parenthesized(token)
            case Kind.KEYWORD:
                return nodes.Nil(*span)
        return nodes.Literal(*span, self._constant(token))

    def _parenthesized(self, opening: Token) -> nodes.Pipeline:
        self._enter(opening.start)
        pipeline = self._pipeline("parenthesized pipeline", Kind.CLOSE)
        self._nesting -= 1
        return nodes.Pipeline(
            opening.start, self._end, pipeline.commands, pipeline.variables, pipeline.assigns
        )

    # --- constants --------------------------------------------------------------------------

    def _constant(self, token: Token) -> str | int | float | bool:
        if token.kind is Kind.BOOLEAN:
            return token.text == "true"
        if token.kind is Kind.NUMBER:
            return self._number(token)
        text = self._unquoted(token)
        if token.kind is not Kind.CHARACTER:
            return text
        if len(text) != 1:
            raise self._source.error(f"malformed character constant: {token.text}", token.start)
        return ord(text)

    def _number(self, token: Token) -> int | float:
        try:
            return parse_integer(token.text, prefixed=True)
        except ValueError:
            pass
        try:
            value = parse_float(token.text)
        except ValueError:
            raise self._source.error(f'illegal number syntax: "{token.text}"', token.start) from None
        if not any(character in token.text for character in ".eEpP"):
            raise self._source.error(f'integer overflow: "{token.text}"', token.start)
        return value

    def _unquoted(self, token: Token) -> str:
        if token.kind is Kind.RAW_STRING:
            return token.text[1:-1].replace("\r", "")
        other = "'" if token.kind is Kind.STRING else '"'
        content = bytearray()
        at = 1
        for match in _ESCAPE.finditer(token.text, 1, len(token.text) - 1):
            content += token.text[at : match.start()].encode("utf-8", "surrogateescape")
            content += self._escaped(match, other, token)
            at = match.end()
        content += token.text[at:-1].encode("utf-8", "surrogateescape")
        return content.decode("utf-8", "surrogateescape")

    def _escaped(self, match: re.Match[str], forbidden: str, token: Token) -> bytes:
        """What an escape stands for; a single byte may be a part of a character."""
        if match["simple"] and match["simple"] != forbidden:
            return _SIMPLE.get(match["simple"], match["simple"]).encode()
        if match["byte"] or match["octal"]:
            value = int(match["byte"], 16) if match["byte"] else int(match["octal"], 8)
            if value < 256:
                return bytes((value,))
        elif code := match["short"] or match["long"]:
            value = int(code, 16)
            if value <= 0x10FFFF and not 0xD800 <= value < 0xE000:
                return chr(value).encode()
        raise self._source.error(f"invalid escape in {token.text}", token.start + match.start())
