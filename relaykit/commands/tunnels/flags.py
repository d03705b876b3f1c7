"""The flags of a proxy type's command: each stands for a key of the one proxy, or visitor, that it runs.

They are made of what the options declare: a type's own keys, all of them, and the keys of every proxy that
have a :func:`relaykit.options.fields.flag`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
from attrs import frozen
from zope.interface import Interface

from relaykit.assembly import read_secret_file
from relaykit.commands.flags import BOOLEAN_FLAG, PAIRS, PORT, WORDS, several
from relaykit.interfaces import IDatagramProxyType, IGroupableProxyType
from relaykit.options import OneLine, OptionField, Options, ProxyCommon, option_fields, options_class
from relaykit.values import HIGHEST_PORT, Secret

__all__ = ["KeyFlag", "flags_of", "sentence"]

_FLAG_TYPES: Mapping[Any, dict[str, Any]] = {
    int: {"type": int},
    str: {"type": str},
    bool: BOOLEAN_FLAG,
    tuple[str, ...]: {"type": WORDS},
    dict[str, str]: {"type": PAIRS},
    Secret: {"type": click.Path()},
}
"""Keys of other types, such as tables, and keys in tables at the top of a file take a file."""

_NEEDED: Mapping[str, type[Interface]] = {"loadBalancer": IGroupableProxyType}
"""What a type must provide for keys in a table that all proxies have to mean anything."""

_MEANINGLESS: Mapping[str, type[Interface]] = {"healthCheck": IDatagramProxyType}
"""What it may not provide."""


@frozen(kw_only=True)
class KeyFlag:
    """A flag, and the key that it stands for.

    :ivar name: without its dashes.
    :ivar table: the table within the proxy's where the key is; empty for that of the proxy itself.
    :ivar from_token: whether a secret that nobody gave is made of the token.
    """

    option: OptionField
    name: str
    table: str = ""
    from_token: bool = False

    @property
    def key(self) -> str:
        """The key in a file, dotted from the proxy's table, or from the top."""
        own = self.option.file_key or self.option.key
        return f"{self.table}.{own}" if self.table else own

    @property
    def is_secret(self) -> bool:
        """Whether it names a file, and the environment may have the value."""
        return self.option.type is Secret

    @property
    def parameter(self) -> str:
        """The name of the value; it cannot be that of a flag that all commands have."""
        return "own_" + self.name.replace("-", "_")

    def click_option(self) -> click.Option:
        """The flag for click."""
        option, names = self.option, (self.parameter, f"--{self.name}")
        about = sentence(option.description)
        if self.is_secret:
            made = "; else made of the token" if self.from_token else ""
            about = f"file with it: {about}; else {self._variable}{made}"
        kind = _FLAG_TYPES[option.type]
        if kind["type"] in (WORDS, PAIRS):
            return several(*names, type=kind["type"], help=about)
        if option.type is int and option.greatest == HIGHEST_PORT and not option.least:
            kind = PORT
        if option.default and not self.is_secret:
            about += f"  [default: {option.default}]"
        return click.Option(names, default=None, help=about, **kind)

    def put(self, value: Any, proxy: dict[str, Any], top: dict[str, Any]) -> None:
        """Puts what was given, if anything was, into the table of the proxy or into that of the file."""
        if value in (None, ()):
            return
        if self.option.type == dict[str, str]:
            value = dict(value)
        elif isinstance(value, tuple):
            value = list(value)
        if self.option.file_key is not None:
            top[self.option.file_key] = value
        else:
            where = proxy.setdefault(self.table, {}) if self.table else proxy
            where[self.option.key] = value

    def given_secret(self, path: str | None, environ: Mapping[str, str]) -> Secret:
        """The secret in a file or in the environment; empty, if there is none.

        :raises RelaykitError: the file cannot be read.
        """
        return read_secret_file(path, "secret") if path else Secret(environ.get(self._variable, ""))

    @property
    def _variable(self) -> str:
        """The environment variable that may hold a secret."""
        return f"RELAYKIT_{self.option.name.upper()}"


def flags_of(proxy_type: Any, line: OneLine) -> list[KeyFlag]:
    """The flags of a command: the type's own keys, then those of every proxy that mean something for it."""
    own: type[Options] = proxy_type.visitor_options if line.visits else proxy_type.proxy_options
    flags = [
        _flag(
            each,
            line.flags.get(each.key) or each.name.replace("_", "-"),
            from_token=each.key in line.from_token,
        )
        for each in option_fields(own)
        if each.type in _FLAG_TYPES and "." not in (each.file_key or "")
    ]
    names = {each.name for each in flags}
    if not line.visits:
        flags += [each for each in _common_flags(proxy_type) if each.name not in names]
    return flags


def sentence(text: str) -> str:
    """A sentence as the help of a flag has it."""
    text = text.rstrip(".")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _flag(option: OptionField, name: str, **more: Any) -> KeyFlag:
    return KeyFlag(option=option, name=f"{name}-file" if option.type is Secret else name, **more)


def _common_flags(proxy_type: Any) -> Iterator[KeyFlag]:
    for table in option_fields(ProxyCommon):
        inside = options_class(table.type)
        if inside is not None and _applies(table.key, proxy_type):
            for each in option_fields(inside):
                if each.flag:
                    yield _flag(each, each.flag, table=table.key)


def _applies(table: str, proxy_type: Any) -> bool:
    needed, meaningless = _NEEDED.get(table), _MEANINGLESS.get(table)
    return (needed is None or needed.providedBy(proxy_type)) and not (
        meaningless is not None and meaningless.providedBy(proxy_type)
    )
