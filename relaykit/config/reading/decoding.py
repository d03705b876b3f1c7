"""From plain tables to options, key by key, so that every mistake is found and has its place.

Keys are compared without regard to case; null is as good as absent.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from attrs import define, field, frozen

from relaykit.config.problems import ConfigurationProblem, Findings, Report
from relaykit.config.reading.type_keys import TypeKeys
from relaykit.config.schema.addresses import (
    bare_host,
    domain_problem,
    host_and_port_problem,
    host_problem,
)
from relaykit.config.template.source import Missing
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
from relaykit.errors import PluginError
from relaykit.options import (
    OptionField,
    Options,
    convert,
    limits_of,
    option_fields,
    options_class,
    plain_type,
)
from relaykit.values import Secret

__all__ = ["ABSENT", "Given", "Reader", "nearest", "own_keys"]

OptionsT = TypeVar("OptionsT", bound=Options)

LEAST_SIMILARITY = 0.7
"""Of the key that was meant, from 0 to 1: lets two letters of eight be wrong."""

_FAILED = object()
ABSENT = object()
"""What stands for a value that is not there, or of no use."""

_WORDS = {
    str: "a text",
    Secret: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
_CHECKS: Mapping[str, Callable[[str], str]] = {
    "host": host_problem,
    "host and port": host_and_port_problem,
    "domain": domain_problem,
}
"""What is wrong with a text, by what it must name."""

_ZEROS: Mapping[type, object] = {str: "", Secret: "", bool: False, int: 0, float: 0.0}
"""What null is in a list or a map; for a key, it is as good as absent."""


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
    were.  ``main`` reads the file that includes this one, and has these keys for both.  ``missing`` is what
    had no value where the file is a template, by the path in lower case of what was made of it.  Without
    ``strict``, unknown keys are ignored; those of an INI file are warned of.  With ``texts_from_scalars``, a
    number or a boolean passes for a text.
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
    missing: Mapping[KeyPath, Missing] = field(factory=dict)
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

        What follows from a value that could not be read, below or above, is left out.
        """
        fresh = [(each, (*path, *key_path(each.key))) for each in found.problems]
        fresh = [
            (each, full)
            for each, full in fresh
            if self._blamed.isdisjoint(_beginnings(full)) and not self.is_blamed(full)
        ]
        for each, full in fresh:
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
            key=self.document.spelled.get(fold(path)) or dotted(path),
            hint=hint,
            subject=subject,
            file=self.file,
            line=None if line is None else self.source_line(line),
        )

    def written_for(self, missing: Missing) -> ConfigurationProblem:
        """The warning of what was written for something in a template that had no value."""
        return ConfigurationProblem(
            what=f'{missing} and was written as "{missing.written}"',
            hint=missing.remedy,
            file=self.file,
            line=missing.line,
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
        if found is None or (found.value is None and not self._is_of_nothing(each.type, path)):
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
        if (not value and value is not False) or path in self._blamed or self.is_blamed(path):
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
            if key in folded or self._is_of_type(here, each.value):
                continue
            if self.document.format is Format.INI:
                self.warning(here, "is ignored: it is no key of this type", subject=subject)
            elif self.strict:
                hint = self._at_the_top(key) or (elsewhere or self.elsewhere)(each.key)
                if not hint and (meant := nearest(each.key, (*known, *self._type_keys_in(path)))):
                    hint = f"did you mean {meant}?"
                    if meant.casefold() not in given:
                        # Nothing can be said of the value that it should have.
                        self._blamed.add((*path, meant))
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
        try:
            cls = cls.widened(given)
        except PluginError as error:
            self.problem(path, str(error), subject=subject)
        self.unknown_keys(given, own_keys(cls), path, subject=subject)
        return self.options(cls, given, path, subject=subject)

    # --- values -----------------------------------------------------------------------------

    def _field(self, each: OptionField, value: Any, path: KeyPath, subject: str) -> Any:
        converted = self._value(value, each.declared, path, subject)
        if converted is _FAILED or not each.names:
            return converted
        return self._hosts(converted, each, path, subject)

    def _value(self, value: Any, declared: Any, path: KeyPath, subject: str) -> Any:
        """What a field, an element or an entry of this type gets; nothing else converts or checks it."""
        plain = plain_type(declared)
        if self._is_of_nothing(plain, path):
            self._made_of_nothing(self.missing[fold(path)], path, subject)
            return _FAILED
        nested = options_class(plain)
        if nested is not None:
            found = self.table(nested, {} if value is None else value, path, subject=subject)
            return _FAILED if found is None else found
        if typing.get_origin(plain) is tuple:
            return self._elements(value, typing.get_args(plain)[0], path, subject)
        if typing.get_origin(plain) is dict:
            return self._entries(value, typing.get_args(plain)[1], path, subject)
        if value is None and plain in _ZEROS:
            value = _ZEROS[plain]
        if plain in (str, Secret) and self.texts_from_scalars and isinstance(value, bool | int | float):
            value = written(value)
        try:
            if plain is int and isinstance(value, float):
                raise msgspec.ValidationError("has a fraction, if only .0")
            return convert(value, declared)
        except msgspec.ValidationError as error:
            self.problem(path, _reason(value, declared, error), hint=_hint(value, plain), subject=subject)
            return _FAILED

    def _made_of_nothing(self, missing: Missing, path: KeyPath, subject: str) -> None:
        """Reports a secret that was, which is more than a warning."""
        warnings, warning = self.report.warnings, self.written_for(missing)
        if warning in warnings:
            warnings.remove(warning)
        what = f"{missing}, and a secret is not made of nothing"
        self.problem(path, what, hint="set the variable", subject=subject)

    def _is_of_nothing(self, plain: Any, path: KeyPath) -> bool:
        """Whether a secret was made of something in a template that had no value."""
        return plain is Secret and fold(path) in self.missing

    def _elements(self, value: Any, declared: Any, path: KeyPath, subject: str) -> Any:
        if not isinstance(value, list):
            self.problem(path, f"must be a list, not {kind_of(value)}", subject=subject)
            return _FAILED
        items = tuple(self._value(each, declared, (*path, at), subject) for at, each in enumerate(value))
        return _FAILED if _FAILED in items else items

    def _entries(self, value: Any, declared: Any, path: KeyPath, subject: str) -> Any:
        if not isinstance(value, Mapping):
            self.problem(path, f"must be a table, not {kind_of(value)}", subject=subject)
            return _FAILED
        texts_from_scalars, self.texts_from_scalars = self.texts_from_scalars, False
        entries = {key: self._value(each, declared, (*path, key), subject) for key, each in value.items()}
        self.texts_from_scalars = texts_from_scalars
        return _FAILED if _FAILED in entries.values() else entries

    def _hosts(self, value: Any, each: OptionField, path: KeyPath, subject: str) -> Any:
        """What names a host, or a list of that: without brackets, and only if it can be a host."""
        if isinstance(value, tuple):
            hosts = tuple(self._hosts(host, each, (*path, at), subject) for at, host in enumerate(value))
            return _FAILED if _FAILED in hosts else hosts
        if value and (reason := _CHECKS[each.names](value)):
            self.problem(path, reason, subject=subject)
            return _FAILED
        return bare_host(value)


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


def _reason(value: Any, declared: Any, error: msgspec.ValidationError) -> str:
    """Why a value does not fit: in the words of all messages where that is its kind, or its limits."""
    plain = plain_type(declared)
    if type(value) is int and plain in (int, float):
        least, greatest = limits_of(declared)
        if least is not None and greatest is not None:
            if least < 0 and value > greatest:
                return f"must be at most {greatest}, not {value}"
            return f"must be in the range {least}..{greatest}, not {value}"
        return f"{error}"
    if plain not in _WORDS:
        return f"{error}"
    return f"must be {_WORDS[plain]}, not {kind_of(value) if plain is Secret else shown(value)}"


def _hint(value: Any, plain: Any) -> str:
    if plain in (str, Secret) and isinstance(value, bool | int | float):
        return "put it in quotes"
    if plain in (int, bool) and isinstance(value, str) and (value.isdecimal() or value in ("true", "false")):
        return "leave out the quotes"
    return ""
