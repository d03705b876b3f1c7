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

from relaykit.config.addresses import bare_host, host_and_port_problem, host_problem
from relaykit.config.documents import Document, Format, KeyPath, dotted, key_path, kind_of, shown
from relaykit.config.numerals import GREATEST_INTEGER, LEAST_INTEGER
from relaykit.config.problems import ConfigurationProblem, Findings, Report
from relaykit.config.template.values import write_value
from relaykit.options import OptionField, Options, convert, option_fields, options_class
from relaykit.values import Secret

__all__ = ["Given", "Reader"]

OptionsT = TypeVar("OptionsT", bound=Options)

_FAILED = object()
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
    belongs that is not known where it stands, or answers an empty text.  Without ``strict``, unknown
    keys are ignored.  With ``texts_from_scalars``, a number or a boolean passes for a text.
    """

    report: Report
    document: Document
    file: str = ""
    strict: bool = True
    texts_from_scalars: bool = False
    source_line: Callable[[int], int] = lambda line: line
    elsewhere: Callable[[str], str] = lambda key: ""
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
        entries: Iterable[tuple[str, Any]] = table.items()
        if self.document.format is not Format.JSON:
            entries = sorted(table.items(), key=lambda entry: entry[0].encode("utf-8", "surrogateescape"))
        given: dict[str, Given] = {}
        for key, value in entries:
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
            found = given.get(each.key.casefold())
            if found is None or found.value is None:
                if each.required:
                    self.problem((*path, each.key), "must be given", subject=subject)
                continue
            value = self._field(each, found.value, (*path, each.key), subject)
            if value is _FAILED:
                self._blamed.add((*path, each.key))
            else:
                values[each.name] = value
        if any(each.required and each.name not in values for each in option_fields(cls)):
            return None
        return cls(**values)

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
        if not self.strict:
            return
        known = tuple(known)
        folded = {each.casefold() for each in known}
        for key, each in given.items():
            if key not in folded:
                hint = (elsewhere or self.elsewhere)(each.key)
                if not hint and (meant := _nearest(each.key, known)):
                    hint = f"did you mean {meant}?"
                what = "unknown key" if each.key else "the empty text is no key"
                self.problem((*path, each.key), what, hint=hint, subject=subject)

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
        self.unknown_keys(given, (each.key for each in option_fields(cls)), path, subject=subject)
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
            value = write_value(value)
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


def _beginnings(path: KeyPath) -> Iterator[KeyPath]:
    """The paths of everything around a value, and its own."""
    return (path[:end] for end in range(1, len(path) + 1))


def _nearest(key: str, known: Iterable[str]) -> str:
    # difflib is only needed once something is wrong.
    from relaykit.config.hints import nearest

    return nearest(key, known)


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
