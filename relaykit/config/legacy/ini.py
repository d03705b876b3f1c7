"""INI text as frp's library for it reads it: sections, keys, and the comments before them.

Source: the behavior of gopkg.in/ini.v1, by frp's options for it: nothing after a value is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import field, frozen

from relaykit.config.text.documents import FormatError

__all__ = ["COMMON", "Entry", "Ini", "Section", "is_legacy", "read_ini"]

COMMON = "common"
"""The section that makes an INI file one of frp's; spelled exactly so."""

_QUOTED_KEY = re.compile(r'"""(?P<a>(?:(?!""").)*)"""|(?!""")"(?P<b>[^"]*)"|`(?P<c>[^`]*)`')
_MANY_LINES = ('"""', "`")
"""What values begin and end with that may have several lines."""


@frozen
class Entry:
    """A key and its value, on the line where the key is; ``comments`` are those before it, as written."""

    key: str
    value: str = field(repr=False)
    line: int
    comments: tuple[str, ...] = ()


@frozen
class Section:
    """A section; its name is empty for what is before the first one."""

    name: str
    line: int
    comments: tuple[str, ...] = ()
    entries: list[Entry] = field(factory=list, repr=False)

    def values(self) -> dict[str, Entry]:
        """The entries by key: of several with one key, the last counts."""
        return {each.key: each for each in self.entries}


@frozen
class Ini:
    """A file: its sections in order, each name once, and the comments after the last entry."""

    sections: tuple[Section, ...]
    comments: tuple[str, ...] = ()


def is_legacy(text: str) -> bool:
    """Whether a text is INI throughout and has a section named exactly ``common``."""
    try:
        found = read_ini(text, bare_keys=False)
    except FormatError:
        return False
    return any(section.name == COMMON for section in found.sections)


def read_ini(text: str, *, bare_keys: bool = True) -> Ini:
    """Reads an INI text.  With ``bare_keys``, a line without a delimiter is a key that is true.

    :raises FormatError: a line is neither a section, a key with a value nor a comment.
    """
    sections: dict[str, Section] = {}
    current = sections.setdefault("", Section("", 1))
    comments: list[str] = []
    lines = enumerate(text.split("\n"), 1)
    for number, raw in lines:
        line = raw.strip()
        if not line:
            continue
        if line[0] in "#;":
            comments.append(line)
            continue
        taken, comments = tuple(comments), []
        if line[0] == "[":
            name, closing, _ = line[1:].rpartition("]")
            if not closing:
                raise FormatError("the name of a section does not end", number)
            current = sections.setdefault(name, Section(name, number, taken))
            continue
        key, value = _divided(line, number, bare_keys)
        current.entries.append(Entry(key, _whole(value, lines, number), number, taken))
    return Ini(tuple(sections.values()), tuple(comments))


def _divided(line: str, number: int, bare_keys: bool) -> tuple[str, str]:
    """The key of a line, and what follows its ``=`` or ``:``."""
    quoted = _QUOTED_KEY.match(line)
    if quoted is None and line[0] in '"`':
        raise FormatError("the quotes around a key do not end", number)
    name = next(each for each in quoted.groups() if each is not None) if quoted else ""
    start = quoted.end() if quoted else 0
    ends = [end for delimiter in "=:" if (end := line.find(delimiter, start)) >= 0]
    if not ends and bare_keys:
        return name if quoted else line, "true"
    if not ends:
        raise FormatError("this is neither a key with a value nor a section's name in brackets", number)
    if min(ends) == 0:
        raise FormatError("there is no key before the delimiter", number)
    key = name if quoted else line[: min(ends)]
    return key.strip(), line[min(ends) + 1 :].strip()


def _whole(value: str, lines: Iterator[tuple[int, str]], number: int) -> str:
    """A value that may go on in the next lines, without its quotes."""
    for quote in _MANY_LINES:
        if value.startswith(quote):
            rest = value[len(quote) :]
            pieces = []
            while quote not in rest:
                pieces.append(rest)
                following = next(lines, None)
                if following is None:
                    raise FormatError("the quotes around a value do not end", number)
                rest = following[1]
            return "\n".join((*pieces, rest[: rest.rfind(quote)]))
    if value.endswith("\\"):
        return _continued(value, lines)
    if len(value) > 1 and value[0] in "\"'" and value.find(value[0], 1) == len(value) - 1:
        return value[1:-1]
    return value


def _continued(value: str, lines: Iterator[tuple[int, str]]) -> str:
    whole = ""
    while value.endswith("\\"):
        whole += value[:-1]
        value = next(lines, (0, ""))[1].strip()
    return whole + value
