"""From a template's tokens to its tree."""

from __future__ import annotations

import ast
import re

from attrs import define, field

from relaykit.config.template import nodes
from relaykit.config.template.functions import FUNCTIONS, NOT_SUPPORTED
from relaykit.config.template.lexing import Kind, Token, tokens
from relaykit.config.template.source import Source, TemplateError
from relaykit.config.text.numerals import parse_integer

__all__ = ["parse"]

MOST_NESTING = 100
"""Control words and parentheses inside each other: far below where the interpreter's stack would end."""

_BLOCKS = ("if", "range", "with")
_JUMPS = {"break": True, "continue": False}
_ENDS = ("end", "else")
_NAMED = ("block", "define", "template")
_LAZY = {"and": False, "or": True}
_CONSTANTS = {"true": True, "false": False, "nil": None}
_ESCAPES = re.compile(
    r'"(?:[^\\]|\\(?:[abfnrtv\\"]|x[0-7][0-9a-fA-F]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}))*"', re.DOTALL
)
"""What Go and Python read alike in a text between double quotes."""


def parse(source: Source) -> nodes.Body:
    """Reads a template.

    :raises TemplateError: at the first thing that is wrong.
    """
    body, _ = _Parser(source, tokens(source)).body("")
    return body


@define
class _Parser:
    _source: Source
    _tokens: list[Token]
    _at: int = 0
    _variables: list[str] = field(factory=lambda: ["$"])
    _open: list[str] = field(factory=list)

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self, kind: Kind | None = None) -> Token:
        token = self._next
        if kind is not None and token.kind is not kind:
            raise self._unexpected(token)
        self._at += token.kind is not Kind.END
        return token

    def _takes(self, *marks: str) -> str:
        """Goes past one of these marks, if it is the next token, and answers it."""
        found = self._next.text if self._next.kind is Kind.MARK and self._next.text in marks else ""
        self._at += bool(found)
        return found

    def _unexpected(self, token: Token) -> TemplateError:
        what = f'"{token.text}"' if token.text else "EOF"
        return self._source.error(f"unexpected {what}", token.start)

    # --- statements -----------------------------------------------------------------------------

    def body(self, opener: str) -> tuple[nodes.Body, str]:
        """Statements, up to the word that ends them, or to the end of the template if nothing is open."""
        statements: list[nodes.Statement] = []
        known = len(self._variables)
        while True:
            token = self._take()
            if token.kind is Kind.TEXT:
                statements.append(nodes.Text(token.text, token.start))
                continue
            if token.kind is Kind.END:
                if opener:
                    raise self._unexpected(token)
                return statements, ""
            word = self._next
            if word.kind is Kind.NAME and word.text in _ENDS:
                if not opener:
                    raise self._source.error(f"unexpected {{{{{word.text}}}}}", word.start)
                del self._variables[known:]
                return statements, self._take().text
            statements.append(self._statement(word))

    def _statement(self, word: Token) -> nodes.Statement:
        if word.kind is not Kind.NAME or word.text not in (*_BLOCKS, *_JUMPS, *_NAMED):
            action = nodes.Action(self._pipeline())
            self._take(Kind.RIGHT)
            return action
        self._take()
        if word.text in _NAMED:
            raise self._source.error(f"{{{{{word.text}}}}} is not supported", word.start)
        if word.text in _BLOCKS:
            return self._block(word)
        if "range" not in self._open:
            raise self._source.error(f"{{{{{word.text}}}}} outside {{{{range}}}}", word.start)
        self._take(Kind.RIGHT)
        return nodes.Jump(_JUMPS[word.text])

    def _block(self, word: Token) -> nodes.Statement:
        self._enter(word)
        known = len(self._variables)
        pipeline = self._pipeline(most_variables=2 if word.text == "range" else 1)
        self._take(Kind.RIGHT)
        body, end = self.body(word.text)
        otherwise: nodes.Body = ()
        chained = self._next if end == "else" and self._next.kind is Kind.NAME else None
        if chained is not None and chained.text == word.text != "range":
            otherwise = (self._block(self._take()),)
        elif end == "else":
            self._take(Kind.RIGHT)
            self._open[-1] = end
            otherwise, end = self.body(word.text)
            if end == "else":
                raise self._source.error("expected end; found {{else}}", self._next.start)
            self._take(Kind.RIGHT)
        else:
            self._take(Kind.RIGHT)
        del self._variables[known:]
        self._open.pop()
        if word.text == "range":
            return nodes.Loop(pipeline, body, otherwise)
        return nodes.Choice(pipeline, body, otherwise, word.text == "with")

    def _enter(self, opener: Token) -> None:
        self._open.append(opener.text)
        if len(self._open) > MOST_NESTING:
            raise self._source.error(f"nested more than {MOST_NESTING} deep", opener.start)

    # --- expressions ----------------------------------------------------------------------------

    def _pipeline(self, most_variables: int = 1) -> nodes.Pipeline:
        start = self._next
        names, mark = self._declared(most_variables)
        expression = self._command(None)
        while self._takes("|"):
            expression = self._command(expression)
        end = self._tokens[self._at - 1].end
        if mark == ":=":
            self._variables.extend(names)
        return nodes.Pipeline(expression, names, mark == "=", start.start, end)

    def _declared(self, most: int) -> tuple[tuple[str, ...], str]:
        """The variables that a pipeline sets, and whether it declares or assigns them."""
        begin = self._at
        names: list[str] = []
        while self._next.kind is Kind.VARIABLE:
            names.append(self._take().text)
            mark = self._takes(":=", "=", ",")
            if mark == ",":
                continue
            if mark and len(names) > most:
                raise self._source.error("too many declarations", self._tokens[begin].start)
            if mark == "=":
                self._check_known(names, self._tokens[begin])
            if mark:
                return tuple(names), mark
            break
        self._at = begin
        return (), ""

    def _check_known(self, names: list[str], at: Token) -> None:
        for name in names:
            if name not in self._variables:
                raise self._source.error(f'undefined variable "{name}"', at.start)

    def _command(self, piped: nodes.Expression | None) -> nodes.Expression:
        """An operand, or a function with its arguments, of which ``piped`` is the last."""
        first = self._next
        if first.kind in (Kind.RIGHT, Kind.CLOSE) or first.text == "|":
            raise self._source.error("missing value for command", first.start)
        if first.kind is Kind.NAME and first.text not in _CONSTANTS:
            self._check_function(self._take())
            arguments = [*self._arguments(), *([] if piped is None else [piped])]
            return self._call(first, tuple(arguments), self._tokens[self._at - 1].end)
        operand = self._operand()
        if piped is not None or not self._ends_command():
            what = self._source.text[first.start : self._tokens[self._at - 1].end]
            raise self._source.error(
                f"can't give argument to non-function {what}", first.start, first.start + len(what)
            )
        if first.text == "nil":
            raise self._source.error("nil is not a command", first.start, first.end)
        return operand

    def _call(self, name: Token, arguments: tuple[nodes.Expression, ...], end: int) -> nodes.Expression:
        if name.text not in _LAZY:
            return nodes.Call(name.text, FUNCTIONS[name.text], arguments, name.start, end)
        if not arguments:
            raise self._source.error(f"wrong number of args for {name.text}: got 0", name.start, end)
        return nodes.LazyCall(_LAZY[name.text], arguments)

    def _check_function(self, name: Token) -> None:
        if name.text in NOT_SUPPORTED:
            raise self._source.error(f"the function {name.text} is not supported", name.start)
        if name.text not in FUNCTIONS and name.text not in _LAZY:
            raise self._source.error(f'function "{name.text}" not defined', name.start)

    def _arguments(self) -> list[nodes.Expression]:
        found: list[nodes.Expression] = []
        while not self._ends_command():
            found.append(self._operand())
        return found

    def _ends_command(self) -> bool:
        return self._next.kind in (Kind.RIGHT, Kind.CLOSE) or self._next.text == "|"

    def _operand(self) -> nodes.Expression:
        token = self._take()
        match token.kind:
            case Kind.STRING:
                return nodes.Literal(self._unquoted(token))
            case Kind.NUMBER:
                return nodes.Literal(self._number(token))
            case Kind.FIELD:
                return nodes.Fields(None, tuple(token.text.split(".")[1:]), token.start, token.end)
            case Kind.VARIABLE:
                name, *names = token.text.split(".")
                self._check_known([name], token)
                return nodes.Fields(nodes.Variable(name), tuple(names), token.start, token.end)
            case Kind.NAME if token.text in _CONSTANTS:
                return nodes.Literal(_CONSTANTS[token.text])
            case Kind.NAME:
                self._check_function(token)
                return self._call(token, (), token.end)
            case Kind.MARK if token.text == ".":
                return nodes.Fields(None, (), token.start, token.end)
            case Kind.MARK if token.text == "(":
                self._enter(token)
                inner = self._pipeline()
                close = self._take(Kind.CLOSE)
                self._open.pop()
                return nodes.Fields(inner, tuple(close.text.split(".")[1:]), token.start, close.end)
        raise self._unexpected(token)

    def _number(self, token: Token) -> int:
        try:
            return parse_integer(token.text, prefixed=True)
        except ValueError:
            raise self._source.error(f'"{token.text}" is no whole number', token.start) from None

    def _unquoted(self, token: Token) -> str:
        if token.text[0] == "`":
            return token.text[1:-1].replace("\r", "")
        if not _ESCAPES.fullmatch(token.text):
            raise self._source.error(f"invalid escape in {token.text}", token.start)
        return str(ast.literal_eval(token.text))
