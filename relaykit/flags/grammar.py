"""The command line grammar of frp's programs: a pure function from words to a call.

Commands and their flags are data, :class:`Command` and :class:`Flag`; :func:`parse` reads the words
that a user typed and answers which command is meant with which values.  Nothing here is printed or
run, and no command is imported.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from relaykit.flags.flag_types import BOOLEAN, FlagType, quoted

__all__ = [
    "Call",
    "Command",
    "CommandLineError",
    "Flag",
    "Help",
    "Path",
    "UnknownCommand",
    "command_of",
    "flags_of",
    "parse",
    "path_text",
]


@frozen
class Flag:
    """One flag.  An underscore in ``name``, as in what is typed, is the same as a dash.

    :ivar key: the dotted key of a configuration that it sets; empty for none.
    """

    name: str
    type: FlagType
    summary: str
    default: Any = None
    key: str = ""
    short: str = ""


@frozen
class Command:
    """One command.

    :ivar action: ``module:function`` that runs it, imported when it is run; empty for a command that
        only has children and shows its help.
    :ivar flags: its own flags.
    :ivar persistent: flags that its children take too.
    :ivar most_arguments: how many words it takes beside flags; None for any number.
    """

    name: str
    summary: str
    action: str = ""
    flags: tuple[Flag, ...] = ()
    persistent: tuple[Flag, ...] = ()
    children: tuple[Command, ...] = ()
    most_arguments: int | None = None

    def child(self, name: str) -> Command | None:
        return next((child for child in self.children if child.name == name), None)


Path = tuple[Command, ...]
"""A command and its parents, the root first."""


@frozen
class Call:
    """A command that is to be run: every flag's value by its name with dashes, and other words."""

    path: Path
    values: Mapping[str, Any]
    given: frozenset[str]
    arguments: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@frozen
class Help:
    """Somebody asked for the help text of a command; ``unknown`` are words that name none."""

    path: Path
    unknown: tuple[str, ...] = ()


class CommandLineError(Exception):
    """The words do not fit the grammar: the text says why, ``path`` whose usage to show."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


class UnknownCommand(CommandLineError):
    """The root has no such command; the text holds suggestions."""


_HELP_FLAG = Flag("help", BOOLEAN, "show this help", default=False, short="h")


def parse(root: Command, words: Sequence[str]) -> Call | Help:
    """Reads a command line.

    :raises CommandLineError: it does not fit.
    """
    path, rest = _find(root, words)
    call = _parse_flags(path, rest)
    if call["help"]:
        return Help(path)
    command = path[-1]
    if command.name == "help" and len(path) == 2:
        return _help_topic(root, call.arguments)
    if not command.action:
        return Help(path)
    if command.most_arguments is not None and len(call.arguments) > command.most_arguments:
        surplus = call.arguments[command.most_arguments]
        what = "unknown command" if command.most_arguments == 0 else "unexpected argument"
        raise CommandLineError(path, f"{what} {quoted(surplus)} for {quoted(path_text(path))}")
    return call


def path_text(path: Path) -> str:
    """The words that call this command."""
    return " ".join(command.name for command in path)


def flags_of(path: Path) -> tuple[tuple[Flag, ...], tuple[Flag, ...]]:
    """The flags of the last command of a path: its own ones, and those of its parents; by name."""
    command = path[-1]
    own = {flag.name.replace("_", "-"): flag for flag in (*command.flags, *command.persistent, _HELP_FLAG)}
    inherited = {
        flag.name.replace("_", "-"): flag
        for parent in path[:-1]
        for flag in parent.persistent
        if flag.name.replace("_", "-") not in own
    }
    return _by_name(own), _by_name(inherited)


def _by_name(flags: Mapping[str, Flag]) -> tuple[Flag, ...]:
    return tuple(flags[name] for name in sorted(flags))


def command_of(root: Command, words: Sequence[str]) -> Path:
    """The command that the words name so far."""
    try:
        return _find(root, words)[0]
    except UnknownCommand as error:
        return error.path


# --- which command is meant -----------------------------------------------------------------


def _find(root: Command, words: Sequence[str]) -> tuple[Path, list[str]]:
    """The command that the words name, and the other words.

    :raises UnknownCommand: the first word that is no flag names no command of the root.
    """
    path: Path = (root,)
    rest = list(words)
    while True:
        position = next(_command_positions(path, rest), None)
        if position is None:
            return path, rest
        child = path[-1].child(rest[position])
        if child is None:
            break
        del rest[position]
        path = (*path, child)
    if len(path) == 1 and root.children:
        typed = rest[position]
        raise UnknownCommand(
            path, f"unknown command {quoted(typed)} for {quoted(root.name)}{_suggestions(root, typed)}"
        )
    return path, rest


def _command_positions(path: Path, words: Sequence[str]) -> Iterator[int]:
    """Where the words are that may name a command: neither flags nor, as far as known, their values."""
    table = _FlagTable(path)
    position = 0
    while position < len(words):
        word = words[position]
        if word == "--":
            return
        if table.takes_next_word(word):
            if position + 2 >= len(words):
                return
            position += 1
        elif word and not word.startswith("-"):
            yield position
        position += 1


def _suggestions(parent: Command, typed: str) -> str:
    names = [child.name for child in parent.children if child.name != "help"]
    return _meant(difflib.get_close_matches(typed, names, n=1))


def _meant(close: Sequence[str], before: str = "") -> str:
    return f"\n\nDid you mean this?\n\t{before}{close[0]}\n" if close else ""


def _help_topic(root: Command, words: tuple[str, ...]) -> Help:
    try:
        path, _ = _find(root, words)
    except UnknownCommand:
        return Help((root,), unknown=words)
    return Help(path)


# --- flags and their values -----------------------------------------------------------------


class _FlagTable:
    """The flags that a command takes, by long and by short name."""

    def __init__(self, path: Path) -> None:
        own, inherited = flags_of(path)
        self.by_name = {flag.name.replace("_", "-"): flag for flag in (*inherited, *own)}
        self.by_letter = {flag.short: flag for flag in self.by_name.values() if flag.short}

    def named(self, typed: str) -> Flag | None:
        return self.by_name.get(typed.replace("_", "-"))

    def takes_next_word(self, word: str) -> bool:
        """Whether a word is a flag whose value is the word after it, unknown flags included."""
        if "=" in word:
            return False
        if word.startswith("--"):
            flag = self.named(word[2:])
        elif word.startswith("-") and len(word) == 2:
            flag = self.by_letter.get(word[1])
        else:
            return False
        return flag is None or flag.type.implied is None


class _FlagParser:
    """Takes the flags out of the words of one command."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table = _FlagTable(path)
        self._given: dict[str, Any] = {}

    def parse(self, words: Sequence[str]) -> Call:
        arguments: list[str] = []
        rest = list(reversed(words))
        while rest:
            word = rest.pop()
            if word == "--":
                arguments += reversed(rest)
                break
            if word.startswith("--"):
                self._long(word, rest)
            elif word.startswith("-") and len(word) > 1:
                self._letters(word[1:], rest)
            else:
                arguments.append(word)
        values = {name: flag.default for name, flag in self._table.by_name.items()}
        return Call(self._path, {**values, **self._given}, frozenset(self._given), tuple(arguments))

    def _long(self, word: str, rest: list[str]) -> None:
        name, sign, value = word[2:].partition("=")
        if not name or name[0] == "-":
            raise CommandLineError(self._path, f"bad flag syntax: {word}")
        flag = self._table.named(name)
        if flag is None:
            close = difflib.get_close_matches(name.replace("_", "-"), self._table.by_name, n=1)
            raise CommandLineError(self._path, f"unknown flag: --{name}{_meant(close, '--')}")
        if not sign:
            if flag.type.implied is not None:
                value = flag.type.implied
            elif rest:
                value = rest.pop()
            else:
                raise CommandLineError(self._path, f"flag needs an argument: {word}")
        self._set(flag, value)

    def _letters(self, letters: str, rest: list[str]) -> None:
        while letters:
            letter, after = letters[0], letters[1:]
            flag = self._table.by_letter.get(letter)
            if flag is None:
                raise CommandLineError(self._path, f"unknown shorthand flag: '{letter}' in -{letters}")
            letters = ""
            if len(after) > 1 and after[0] == "=":
                value = after[1:]
            elif flag.type.implied is not None:
                value, letters = flag.type.implied, after
            elif after:
                value = after
            elif rest:
                value = rest.pop()
            else:
                raise CommandLineError(self._path, f"flag needs an argument: '{letter}' in -{letter}")
            self._set(flag, value)

    def _set(self, flag: Flag, text: str) -> None:
        name = flag.name.replace("_", "-")
        try:
            value = flag.type.read(text)
        except ValueError as error:
            shown = f"-{flag.short}, --{name}" if flag.short else f"--{name}"
            raise CommandLineError(
                self._path, f"invalid argument {quoted(text)} for {quoted(shown)} flag: {error}"
            ) from error
        if flag.type.join is not None and name in self._given:
            value = flag.type.join(self._given[name], value)
        self._given[name] = value


def _parse_flags(path: Path, words: Sequence[str]) -> Call:
    return _FlagParser(path).parse(words)
