"""From plain tables to options, key by key, so that every mistake is found and has its place.

Keys are compared without regard to case; null is as good as absent.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from attrs import define, field, frozen

from relaykit.config.problems import ConfigurationProblem, Findings, Report
from relaykit.config.reading.type_keys import TypeKeys
from relaykit.config.schema.addresses import bare_host, host_and_port_problem, host_problem
from relaykit.config.text.documents import (
    Document,
    Format,
    KeyPath,
    dotted,
    fold,
    key_path,
    kind_of,
    shown,
    written,
)
from relaykit.config.text.numerals import GREATEST_INTEGER, LEAST_INTEGER
from relaykit.options import OptionField, Options, convert, option_fields, options_class
from relaykit.values import Secret

__all__ = ["ABSENT", "Given", "Reader", "nearest", "own_keys"]

OptionsT = TypeVar("OptionsT", bound=Options)

LEAST_SIMILARITY = 0.7
"""Of the key that was meant, from 0 to 1: lets two letters of eight be wrong."""

_FAILED = object()
ABSENT = object()
"""What stands for a value that is not there, or of no use."""

_SCALARS: Mapping[Any, tuple[str, tuple[type, ...]]] = {
    str: ("a text", (str,)),
    Secret: ("a text", (str,)),
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
}


@frozen
class Given:
    """One key of a table: as it was spelled, and its value."""

    key: str
    value: Any


@define
class Reader:
    """Turns the tables of one document into options; what is wrong goes to the report.

    ``source_line`` maps the lines of the document to those of the file; ``elsewhere`` says where a key
    belongs that is not known where it stands, or answers an empty text.  ``type_keys`` answers the keys of
    proxy types, and is asked only about keys that nobody else knows; ``type_keys_met`` is which of them there
    were.  ``main`` reads the file that includes this one, and has these keys for both.  Without ``strict``,
    unknown keys are ignored.  With ``texts_from_scalars``, a number or a boolean passes for a text.
    """

    report: Report
    document: Document
    file: str = ""
    strict: bool = True
    texts_from_scalars: bool = False
    source_line: Callable[[int], int] = lambda line: line
    elsewhere: Callable[[str], str] = lambda key: ""
    type_keys: Callable[[], TypeKeys] = dict
    main: Reader | None = None
    type_keys_met: set[KeyPath] = field(factory=set, init=False)
    _blamed: set[KeyPath] = field(factory=set, init=False)
    _around_blamed: set[KeyPath] = field(factory=set, init=False)

    def problem(self, path: KeyPath, what: str, *, hint: str = "", subject: str = "") -> None:
        """Reports that the value of a key cannot be used."""
        self._blamed.add(path)
        self._around_blamed.update(_beginnings(path))
        self.report.problems.append(self.placed(path, what, hint, subject))

    def warning(self, path: KeyPath, what: str, *, hint: str = "", subject: str = "") -> None:
        """Reports something about a key that people should know."""
        self.report.warnings.append(self.placed(path, what, hint, subject))

    def findings(self, found: Findings, path: KeyPath, *, subject: str = "") -> None:
        """Reports what a check found in the table at this path.

        What follows from a value that could not be read is left out, and so is that a key is not
        available where something is wrong with it or below it.
        """
        fresh = [(each, (*path, *key_path(each.key))) for each in found.problems]
        fresh = [(each, full) for each, full in fresh if self._blamed.isdisjoint(_beginnings(full))]
        for each, full in fresh:
            self.problem(full, each.reason, subject=subject)
        for each in found.unavailable:
            full = (*path, *key_path(each.key))
            if not self.is_blamed(full):
                self.problem(full, each.reason, subject=subject)
        for each in found.warnings:
            full = (*path, *key_path(each.key))
            if self._blamed.isdisjoint(_beginnings(full)):
                self.warning(full, each.reason, subject=subject)

    def is_blamed(self, path: KeyPath) -> bool:
        """Whether a problem was reported about the value at this path, or about one below it."""
        return path in self._around_blamed

    def placed(self, path: KeyPath, what: str, hint: str = "", subject: str = "") -> ConfigurationProblem:
        """A problem or a warning about a key, with its place; not reported yet."""
        line = self.document.line_of(path)
        return ConfigurationProblem(
            what=what,
            key=dotted(path),
            hint=hint,
            subject=subject,
            file=self.file,
            line=None if line is None else self.source_line(line),
        )

    # --- tables -----------------------------------------------------------------------------

    def keys(self, table: Mapping[str, Any], path: KeyPath) -> dict[str, Given]:
        """The keys of a table without regard to case, as frp reads them: of two spellings, the last counts.

        "Last" is by order in JSON, else by the bytes of the key.
        """
        given: dict[str, Given] = {}
        for key, value in self._ordered(table):
            folded = key.casefold()
            if folded in given:
                self.warning((*path, key), f"is also given as {given[folded].key}; {key} counts")
            given[folded] = Given(key, value)
        return given

    def options(
        self,
        cls: type[OptionsT],
        given: Mapping[str, Given],
        path: KeyPath,
        *,
        subject: str = "",
    ) -> OptionsT | None:
        """Builds options from the keys that they know; a value that cannot be used leaves the default.

        None if a key is not there that has no default.
        """
        values: dict[str, Any] = {}
        for each in option_fields(cls):
            if each.file_key is not None:
                value = (self.main or self).file_value(each)
            else:
                value = self._given_value(each, given, path, subject)
            if value is not ABSENT:
                values[each.name] = value
        if any(each.required and each.name not in values for each in option_fields(cls)):
            return None
        return cls(**values)

    def _given_value(self, each: OptionField, given: Mapping[str, Given], path: KeyPath, subject: str) -> Any:
        found = given.get(each.key.casefold())
        path = (*path, each.key)
        if found is None or found.value is None:
            if each.required:
                self.problem(path, "must be given", subject=subject)
            return ABSENT
        value = self._field(each, found.value, path, subject)
        if value is _FAILED:
            self._blamed.add(path)
            return ABSENT
        return value

    def file_value(self, each: OptionField) -> Any:
        """The value of a type's key at the top of the file; ``ABSENT`` if that is the default or no use."""
        value: Any = self.document.value
        path = key_path(each.file_key or "")
        for key in path:
            if not isinstance(value, Mapping):
                return ABSENT
            same = [entry for name, entry in self._ordered(value) if name.casefold() == str(key).casefold()]
            value = same[-1] if same else None
        if (not value and value is not False) or path in self._blamed:
            return ABSENT
        value = self._field(each, value, path, "")
        return ABSENT if value is _FAILED else value

    def _ordered(self, table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        if self.document.format is Format.JSON:
            return table.items()
        return sorted(table.items(), key=lambda entry: entry[0].encode("utf-8", "surrogateescape"))

    def unknown_keys(
        self,
        given: Mapping[str, Given],
        known: Iterable[str],
        path: KeyPath,
        *,
        subject: str = "",
        elsewhere: Callable[[str], str] | None = None,
    ) -> None:
        """Reports keys that are not known; ``elsewhere`` may say whose key it is."""
        known = tuple(known)
        folded = {each.casefold() for each in known}
        for key, each in given.items():
            here = (*path, each.key)
            if key not in folded and not self._is_of_type(here, each.value) and self.strict:
                hint = self._at_the_top(key) or (elsewhere or self.elsewhere)(each.key)
                if not hint and (meant := nearest(each.key, (*known, *self._type_keys_in(path)))):
                    hint = f"did you mean {meant}?"
                what = "unknown key" if each.key else "the empty text is no key"
                self.problem(here, what, hint=hint, subject=subject)

    def _is_of_type(self, path: KeyPath, value: Any) -> bool:
        """Whether a key is one of a proxy type, or a table with such keys, which is looked into."""
        path = fold(path)
        known = self.type_keys()
        if path in known:
            self.type_keys_met.add(path)
            return True
        if not isinstance(value, Mapping) or not any(each[: len(path)] == path for each in known):
            return False
        self.unknown_keys(self.keys(value, path), (), path)
        return True

    def _at_the_top(self, key: str) -> str:
        """Says where a type's key belongs that is in a table of the type by mistake."""
        for owner, *_ in self.type_keys().values():
            place = owner.option.file_key or ""
            if key in (owner.option.key.casefold(), place.casefold()):
                return f"it belongs at the top of the file, as {place}"
        return ""

    def _type_keys_in(self, path: KeyPath) -> Iterator[str]:
        for each, (owner, *_) in self.type_keys().items():
            if each[:-1] == fold(path):
                yield str(key_path(owner.option.file_key or "")[-1])

    def table(
        self,
        cls: type[OptionsT],
        table: Any,
        path: KeyPath,
        *,
        subject: str = "",
    ) -> OptionsT | None:
        """Builds options from a table that has no other keys; None if it is no table."""
        if not isinstance(table, Mapping):
            self.problem(path, f"must be a table, not {kind_of(table)}", subject=subject)
            return None
        given = self.keys(table, path)
        self.unknown_keys(given, own_keys(cls), path, subject=subject)
        return self.options(cls, given, path, subject=subject)

    # --- values -----------------------------------------------------------------------------

    def _field(self, each: OptionField, value: Any, path: KeyPath, subject: str) -> Any:
        converted = self._value(value, each.type, path, subject)
        if converted is _FAILED or options_class(each.type) is not None:
            return converted
        if isinstance(converted, int | float) and not _within(converted, each):
            self.problem(path, f"must be {_range(each)}, not {converted}", subject=subject)
            return _FAILED
        if each.names:
            converted = self._hosts(converted, each, path, subject)
            if converted is _FAILED:
                return _FAILED
        try:
            return convert(converted, each.declared)
        except msgspec.ValidationError as error:
            self.problem(path, _lowered(str(error)), subject=subject)
            return _FAILED

    def _hosts(self, value: Any, each: OptionField, path: KeyPath, subject: str) -> Any:
        """What names a host, or a list of that: without brackets, and only if it can be a host."""
        if isinstance(value, tuple):
            hosts = [self._hosts(host, each, (*path, at), subject) for at, host in enumerate(value)]
            return _FAILED if any(host is _FAILED for host in hosts) else tuple(hosts)
        check = host_and_port_problem if each.names == "host and port" else host_problem
        if value and (reason := check(value)):
            self.problem(path, reason, subject=subject)
            return _FAILED
        return bare_host(value)

    def _value(self, value: Any, declared: Any, path: KeyPath, subject: str) -> Any:
        origin, arguments = typing.get_origin(declared), typing.get_args(declared)
        if origin is typing.Annotated:
            return self._value(value, arguments[0], path, subject)
        if origin in (typing.Union, types.UnionType):
            choices = [each for each in arguments if each is not type(None)]
            return self._value(value, choices[0], path, subject) if len(choices) == 1 else value
        if origin is tuple:
            return self._list(value, arguments[0], path, subject)
        if origin is dict:
            return self._map(value, arguments[1], path, subject)
        nested = options_class(declared)
        if nested is not None:
            found = self.table(nested, {} if value is None else value, path, subject=subject)
            return _FAILED if found is None else found
        return self._scalar(value, declared, path, subject)

    def _list(self, value: Any, declared: Any, path: KeyPath, subject: str) -> Any:
        if not isinstance(value, list):
            self.problem(path, f"must be a list, not {kind_of(value)}", subject=subject)
            return _FAILED
        items = [self._value(each, declared, (*path, at), subject) for at, each in enumerate(value)]
        return _FAILED if any(each is _FAILED for each in items) else tuple(items)

    def _map(self, value: Any, declared: Any, path: KeyPath, subject: str) -> Any:
        if not isinstance(value, Mapping):
            self.problem(path, f"must be a table, not {kind_of(value)}", subject=subject)
            return _FAILED
        strict_texts, self.texts_from_scalars = self.texts_from_scalars, False
        entries = {key: self._value(each, declared, (*path, key), subject) for key, each in value.items()}
        self.texts_from_scalars = strict_texts
        return _FAILED if any(each is _FAILED for each in entries.values()) else entries

    def _scalar(self, value: Any, declared: Any, path: KeyPath, subject: str) -> Any:
        if declared not in _SCALARS:
            return value
        wanted, accepted = _SCALARS[declared]
        if value is None:
            return accepted[0]()
        if str in accepted and self.texts_from_scalars and isinstance(value, bool | int | float):
            value = written(value)
        if not isinstance(value, accepted) or (isinstance(value, bool) and declared is not bool):
            found = kind_of(value) if declared is Secret else shown(value)
            self.problem(
                path,
                f"must be {wanted}, not {found}",
                hint=_hint(value, declared),
                subject=subject,
            )
            return _FAILED
        if isinstance(value, int) and not LEAST_INTEGER <= value <= GREATEST_INTEGER:
            self.problem(path, "the number is too large", subject=subject)
            return _FAILED
        return value


def own_keys(cls: type[Options]) -> tuple[str, ...]:
    """The keys that the table of an options class has."""
    return tuple(each.key for each in option_fields(cls) if each.file_key is None)


def _beginnings(path: KeyPath) -> Iterator[KeyPath]:
    """The paths of everything around a value, and its own."""
    return (path[:end] for end in range(1, len(path) + 1))


def nearest(key: str, known: Iterable[str]) -> str:
    """The known key that is most like this one, or an empty text; case and underscores do not matter."""
    # Only a mistake needs it.
    import difflib

    plain = {_plain(each): each for each in known}
    matches = difflib.get_close_matches(_plain(key), plain, n=1, cutoff=LEAST_SIMILARITY)
    return plain[matches[0]] if matches else ""


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").casefold()


def _hint(value: Any, declared: Any) -> str:
    if declared in (str, Secret) and isinstance(value, bool | int | float):
        return "put it in quotes"
    if (
        declared in (int, bool)
        and isinstance(value, str)
        and (value.isdecimal() or value in ("true", "false"))
    ):
        return "leave out the quotes"
    return ""


def _within(value: float, each: OptionField) -> bool:
    return (each.least is None or value >= each.least) and (each.greatest is None or value <= each.greatest)


def _range(each: OptionField) -> str:
    """The limits of a number, as an error says them."""
    if each.least is None or each.greatest is None:
        return f"at least {each.least}" if each.greatest is None else f"at most {each.greatest}"
    return f"in the range {each.least}..{each.greatest}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
