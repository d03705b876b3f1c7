"""How a class declares its configuration keys, and the limits of their numbers."""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar

import msgspec
from attrs import field, frozen

from relaykit.values import HIGHEST_PORT

__all__ = [
    "Bandwidth",
    "Count",
    "CountOrOff",
    "Domains",
    "Effect",
    "FileUse",
    "Host",
    "HostAndPort",
    "ListeningPort",
    "ListeningPortOrOff",
    "NamedFile",
    "OptionField",
    "Options",
    "Port",
    "PortOrOff",
    "Problem",
    "RemotePort",
    "Seconds",
    "SecondsOrOff",
    "SecretRule",
    "VisitorName",
    "advanced",
    "choice",
    "doc",
    "effect",
    "extension",
    "file",
    "file_key",
    "flag",
    "is_led_back",
    "limits_of",
    "listened_ports",
    "named_visitors",
    "option_fields",
    "options_class",
    "plain_type",
    "secret",
    "wire",
    "with_files",
]

GREATEST_NUMBER = 2**31 - 1
"""Of seconds and of what is counted: 68 years, or more of anything than there is memory for."""

LEAST_NUMBER = -(2**31)
"""Of numbers whose negative values mean "off": as frp, all of them do."""

_PORT = {"unit": "port"}
_LISTENED = {"listened": True, **_PORT}
_DURATION = {"unit": "seconds"}

Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_PORT, extra=_PORT)]
"""A port; 0 means "off" or "pick one"."""

PortOrOff: TypeAlias = Annotated[int, msgspec.Meta(ge=LEAST_NUMBER, le=HIGHEST_PORT, extra=_PORT)]
"""A port; a negative one means "off"."""

ListeningPort: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_PORT, extra=_LISTENED)]
"""A port that is listened on; see :func:`listened_ports`."""

ListeningPortOrOff: TypeAlias = Annotated[
    int, msgspec.Meta(ge=LEAST_NUMBER, le=HIGHEST_PORT, extra=_LISTENED)
]
"""A port that is listened on; a negative one means "off"."""

RemotePort: TypeAlias = Annotated[
    int, msgspec.Meta(ge=0, le=HIGHEST_PORT, extra={"exclusive": True, **_PORT})
]
"""A port of the server that one proxy has to itself, among those of its type; 0: the server picks one."""

Seconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=GREATEST_NUMBER, extra=_DURATION)]
"""A time in whole seconds."""

SecondsOrOff: TypeAlias = Annotated[int, msgspec.Meta(ge=LEAST_NUMBER, le=GREATEST_NUMBER, extra=_DURATION)]
"""A time in whole seconds, whose negative values have a meaning of their own."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=GREATEST_NUMBER)]
"""How many, or how large in bytes."""

CountOrOff: TypeAlias = Annotated[int, msgspec.Meta(ge=LEAST_NUMBER, le=GREATEST_NUMBER)]
"""How many, where negative values have a meaning of their own."""

Bandwidth: TypeAlias = Annotated[str, msgspec.Meta(extra={"unit": "bandwidth"})]
"""Bytes a second, such as ``512KB``, or empty; see :func:`~relaykit.options.parse_bandwidth`."""

Host: TypeAlias = Annotated[str, msgspec.Meta(extra={"names": "host"})]
"""A host name, an IP address without a port, or empty; a file may have brackets around it."""

HostAndPort: TypeAlias = Annotated[str, msgspec.Meta(extra={"names": "host and port"})]
"""A host with or without a port, such as ``example.com:3478`` or ``[2001:db8::1]:3478``, or empty."""

Domains: TypeAlias = Annotated[tuple[str, ...], msgspec.Meta(extra={"names": "domain"})]
"""A list of host names, of which ``*.example.com`` stands for all below it, and ``*`` for all there are."""

VisitorName: TypeAlias = Annotated[str, msgspec.Meta(extra={"visitor": True})]
"""Another visitor of the same client, which users may be handed to, or empty."""


def doc(text: str) -> msgspec.Meta:
    """Says what a key means, for the generated reference: one sentence, with the unit."""
    return msgspec.Meta(description=text)


def choice(*values: str) -> msgspec.Meta:
    """Says which texts a field may have, for those who fill in a form; ``problems`` refuses all others."""
    return msgspec.Meta(extra={"choices": values})


def advanced() -> msgspec.Meta:
    """Says that few people need a field, so that a form need not show it at once."""
    return msgspec.Meta(extra={"advanced": True})


def wire(key: str) -> msgspec.Meta:
    """Lets a field travel as field ``key`` of frp's NewProxy."""
    return msgspec.Meta(extra={"wire": key})


def extension(key: str) -> msgspec.Meta:
    """Lets a field travel as field ``key`` of relaykit's own part of NewProxy."""
    return msgspec.Meta(extra={"extension": key})


def file_key(path: str) -> msgspec.Meta:
    """Places a field at a key of the file, beside the table that its class is for.

    ``path`` is dotted from the top: of the server's file for ``ingress_options``, such as ``vhostHTTPPort``;
    of the client's file for ``proxy_options`` and ``visitor_options``.  As everywhere there, 0 and an empty
    text mean the default.  Types may share a key: each of them gets its value, by its own declaration.
    """
    return msgspec.Meta(extra={"file_key": path})


class FileUse(enum.Enum):
    """What a file is for that a key names."""

    CERTIFICATE = "certificate"
    """A certificate with its chain, in PEM."""
    KEY = "key"
    """The private key of the certificate in the same table, in PEM."""
    AUTHORITIES = "authorities"
    """What others' certificates are verified by, in PEM."""
    SECRET = "secret"
    """Read, and nobody else's business."""
    READ = "read"
    """Read."""
    WRITTEN = "written"
    """Written, or a folder in which files are."""


def file(use: FileUse) -> msgspec.Meta:
    """Says that a text is the path of a file; see :func:`with_files`."""
    return msgspec.Meta(extra={"file": use})


class Effect(enum.Enum):
    """When a key counts that was changed while the program runs, and whose file was read again."""

    AT_ONCE = "at once"
    """From then on."""
    AT_LOGIN = "at a login"
    """In sessions that begin from then on, of which a client begins one."""
    AFTER_RESTART = "after a restart"
    """Not before the program is started again."""


def effect(when: Effect) -> msgspec.Meta:
    """Says when a key counts that was changed, and those in its table; without this it is as with its table,
    and at the top after a restart.
    """
    return msgspec.Meta(extra={"effect": when})


def flag(name: str) -> msgspec.Meta:
    """Makes a key that every proxy has a flag of one-line commands: ``flag("group")`` is ``--group``.

    The own keys of a type are flags without it, by their own names.
    """
    return msgspec.Meta(extra={"flag": name})


@frozen(kw_only=True)
class SecretRule:
    """When a secret must be there, as :func:`secret` says it."""

    # Sphinx shows declarations by their repr, and makes nothing of one with commas.
    needed_with: str = field(default="", repr=False)
    optional: bool = field(default=False, repr=False)
    may_be_empty: bool = field(default=False, repr=False)


def secret(*, needed_with: str = "", optional: bool = False, may_be_empty: bool = False) -> msgspec.Meta:
    """Says when a secret must be there; without this, always, and never an empty one.

    ``needed_with`` is the name of a field or property beside it: only where that has a value, it is needed;
    one that is ``optional`` never is.  Where it ``may_be_empty``, whoever wants that writes it out: what is
    forgotten is not the same.  See :func:`secret_problems`.
    """
    rule = SecretRule(needed_with=needed_with, optional=optional, may_be_empty=may_be_empty)
    return msgspec.Meta(extra={"secret": rule})


@frozen
class Problem:
    """One thing that is wrong with a value: its key, dotted from the table it is in, and why.

    An empty key means the table itself.
    """

    key: str
    reason: str


class Options(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A table of options; see the module for how its fields are declared.

    :cvar without_effect: keys that people may expect here because others have them, with why they would do
        nothing.
    :cvar shown: keys of a proxy that whoever administers the server gets to see, with whether also when they
        are empty; never secrets.
    """

    without_effect: ClassVar[Mapping[str, str]] = MappingProxyType({})
    shown: ClassVar[Mapping[str, bool]] = MappingProxyType({})

    def problems(self) -> Iterable[Problem]:
        """What single values cannot tell: rules between fields, ranges, required fields."""
        return ()

    @classmethod
    def widened(cls, keys: Iterable[str]) -> type[Self]:
        """What reads a table with these keys, in small letters: the class, or one with more fields.

        For tables that installed packages add keys to.

        :raises PluginError: such a package cannot be used.
        """
        return cls


OptionsT = TypeVar("OptionsT", bound=Options)


@frozen
class OptionField:
    """One field of an options class, as loaders, codecs and the reference see it.

    ``declared`` is its type with all annotations, such as limits: what :func:`~relaykit.options.convert`
    checks.  ``least`` and ``greatest`` are the limits of a number, None where it has none.
    ``names`` is "host", "host and port" or "domain" for a text that must be that, else empty.
    ``file``, ``file_key``, ``flag``, ``effect``, ``listened``, ``exclusive`` and ``visitor`` are what
    :func:`file`, :func:`file_key`, ``flag``, :func:`effect`, ``ListeningPort``, ``RemotePort`` and
    ``VisitorName`` declare; ``secret`` is when it must be there, if it is one.  ``unit`` is "port", "seconds"
    or "bandwidth" for a value that is that, else empty; ``choices`` and ``advanced`` are what :func:`choice`
    and :func:`advanced` declare.
    """

    name: str
    key: str
    type: Any
    declared: Any
    default: Any
    required: bool
    wire: str | None
    extension: str | None
    description: str
    names: str
    file: FileUse | None
    file_key: str | None
    flag: str | None
    effect: Effect | None
    listened: bool
    exclusive: bool
    visitor: bool
    secret: SecretRule
    least: float | None
    greatest: float | None
    unit: str
    choices: tuple[str, ...]
    advanced: bool


@functools.cache
def option_fields(cls: type[Options]) -> tuple[OptionField, ...]:
    """The fields of an options class, in order of declaration."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(_option_field(info, hints[info.name]) for info in msgspec.structs.fields(cls))


def plain_type(declared: Any) -> Any:
    """A type without annotations, and without the None of one that may be absent."""
    origin = typing.get_origin(declared)
    if origin is Annotated:
        return plain_type(typing.get_args(declared)[0])
    if origin in (typing.Union, types.UnionType):
        members = [each for each in typing.get_args(declared) if each is not type(None)]
        return plain_type(members[0]) if len(members) == 1 else declared
    return declared


def options_class(declared: Any) -> type[Options] | None:
    """The options class behind a field's type (``X``, ``X | None``), or None for plain values."""
    plain = plain_type(declared)
    return plain if isinstance(plain, type) and issubclass(plain, Options) else None


def limits_of(declared: Any) -> tuple[float | None, float | None]:
    """The least and the greatest number that a type has, None for none."""
    metas = typing.get_args(declared)[1:] if typing.get_origin(declared) is Annotated else ()
    least = next((meta.ge for meta in metas if meta.ge is not None), None)
    return least, next((meta.le for meta in metas if meta.le is not None), None)


def listened_ports(options: Options) -> frozenset[int]:
    """The ports that these options, and those inside them, ask to listen on."""
    found: set[int] = set()
    for each in option_fields(type(options)):
        value = getattr(options, each.name)
        if isinstance(value, Options):
            found |= listened_ports(value)
        elif each.listened and value > 0:
            found.add(value)
    return frozenset(found)


def named_visitors(options: Options) -> dict[str, str]:
    """The other visitors that a visitor's options name, by key."""
    named = [(each.key, getattr(options, each.name)) for each in option_fields(type(options)) if each.visitor]
    return {key: name for key, name in named if name}


def is_led_back(visitor: str, to: str, options_of: Callable[[str], Options | None]) -> bool:
    """Whether users of a visitor that are handed to another one may come back to it.

    ``options_of`` answers the options of a visitor, or None for one that there is not.
    """
    seen: set[str] = set()
    ahead = [to]
    while ahead:
        name = ahead.pop()
        if name == visitor:
            return True
        options = options_of(name)
        if options is not None and name not in seen:
            ahead.extend(named_visitors(options).values())
        seen.add(name)
    return False


@frozen
class NamedFile:
    """A file that a key names: the key, dotted from the top, the path as it is written, and its use."""

    key: str
    path: str
    use: FileUse


def with_files(options: OptionsT, path_of: Callable[[NamedFile], str], prefix: str = "") -> OptionsT:
    """The same options, and those inside them, with other paths for the files that they name.

    :param prefix: stands before the keys; those of a type that are at the top of the file go without.
    """
    changes: dict[str, Any] = {}
    for each in option_fields(type(options)):
        value = getattr(options, each.name)
        key = each.file_key or prefix + each.key
        if isinstance(value, Options):
            changed: Any = with_files(value, path_of, f"{key}.")
        elif isinstance(value, tuple) and any(isinstance(item, Options) for item in value):
            changed = tuple(
                with_files(item, path_of, f"{key}[{position}].") if isinstance(item, Options) else item
                for position, item in enumerate(value)
            )
        elif each.file is not None and value:
            changed = path_of(NamedFile(key, value, each.file))
        else:
            continue
        if changed is not value:
            changes[each.name] = changed
    return msgspec.structs.replace(options, **changes) if changes else options


def _option_field(info: msgspec.structs.FieldInfo, declared: Any) -> OptionField:
    plain, *metas = typing.get_args(declared) if typing.get_origin(declared) is Annotated else (declared,)
    extra: dict[str, Any] = {}
    for meta in metas:
        extra |= meta.extra or {}
    least, greatest = limits_of(declared)
    default = info.default
    if info.default_factory is not msgspec.NODEFAULT:
        default = info.default_factory()
    return OptionField(
        name=info.name,
        key=info.encode_name,
        type=plain,
        declared=declared,
        default=default,
        required=info.required,
        wire=extra.get("wire"),
        extension=extra.get("extension"),
        description=next((meta.description for meta in reversed(metas) if meta.description), ""),
        names=extra.get("names", ""),
        file=extra.get("file"),
        file_key=extra.get("file_key"),
        flag=extra.get("flag"),
        effect=extra.get("effect"),
        listened=extra.get("listened", False),
        exclusive=extra.get("exclusive", False),
        visitor=extra.get("visitor", False),
        secret=extra.get("secret", SecretRule()),
        least=least,
        greatest=greatest,
        unit=extra.get("unit", ""),
        choices=extra.get("choices", ()),
        advanced=extra.get("advanced", False),
    )
