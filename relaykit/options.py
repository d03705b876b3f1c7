"""Options: how a class declares its configuration keys and what of them travels.

Every table of a configuration file is a frozen subclass of :class:`Options`.  A field's
configuration key is its name in camel case (or ``msgspec.field(name=...)``).  What a proxy's
options send to the other end is declared at the field too::

    class KnockOptions(Options, frozen=True, kw_only=True):
        remote_port: Annotated[int, wire("remote_port"), doc("Port on the server; 0 picks one.")] = 0
        open_seconds: Annotated[
            int, msgspec.Meta(ge=1), extension("open_seconds"), doc("Seconds that a knock opens it for.")
        ] = 60
        greeting: Annotated[str, doc("A line that each user gets first.")] = ""

:func:`wire` names a field of frp's NewProxy message, so that real ``frps`` and ``frpc`` understand
it; :func:`extension` a field of relaykit's own part of that message, which only relaykit reads.  A
field with neither stays on its side.  Limits that msgspec knows are checked at both ends.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from attrs import Factory, frozen

from relaykit.values import Secret

__all__ = [
    "EXTENSION_KEY",
    "HealthCheck",
    "HttpHeader",
    "LoadBalancer",
    "OneLine",
    "OptionField",
    "Options",
    "Problem",
    "ProxyCommon",
    "ProxyTransport",
    "VisitorCommon",
    "VisitorTransport",
    "convert",
    "doc",
    "extension",
    "from_wire",
    "option_fields",
    "options_class",
    "to_wire",
    "wire",
]

EXTENSION_KEY = "relaykit"
"""The one key of NewProxy under which relaykit's own fields travel; frp ignores it."""


def doc(text: str) -> msgspec.Meta:
    """Says what a key means, for the generated reference: one sentence, with the unit."""
    return msgspec.Meta(description=text)


def wire(key: str) -> msgspec.Meta:
    """Lets a field travel as field ``key`` of frp's NewProxy."""
    return msgspec.Meta(extra={"wire": key})


def extension(key: str) -> msgspec.Meta:
    """Lets a field travel as field ``key`` of relaykit's own part of NewProxy."""
    return msgspec.Meta(extra={"extension": key})


@frozen
class Problem:
    """One thing that is wrong with a value: its key, dotted from the table it is in, and why."""

    key: str
    reason: str


class Options(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A table of options; see the module for how its fields are declared."""

    def problems(self) -> Iterable[Problem]:
        """What single values cannot tell: rules between fields, ranges, required fields."""
        return ()


@frozen
class OptionField:
    """One field of an options class, as loaders, codecs and the reference see it.

    ``declared`` is its type with all annotations, such as limits: what :func:`convert` checks.
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


@frozen(kw_only=True)
class OneLine:
    """A command that runs one proxy, or one visitor, without a file: ``relaykit COMMAND WORD [flags]``.

    The word is the local service, or the proxy that is visited.  The flags come from the options that the
    entry of a file would have: a key of the type is a flag of the same name (``remotePort`` is
    ``--remote-port``), and one that holds a secret names a file (``secretKey`` is ``--secret-key-file``).

    :ivar command: what is typed after ``relaykit``.
    :ivar summary: one line for people.
    :ivar visits: whether it runs a visitor.
    :ivar flags: other names for flags, by the key: ``{"customDomains": "domain"}``.
    :ivar from_token: keys of secrets that, when they are not given, are made of the server's token and the
        proxy's name, so that whoever knows the token needs no second secret.
    """

    command: str
    summary: str
    visits: bool = False
    flags: Mapping[str, str] = Factory(dict)
    from_token: tuple[str, ...] = ()


OptionsT = TypeVar("OptionsT", bound=Options)


@functools.cache
def option_fields(cls: type[Options]) -> tuple[OptionField, ...]:
    """The fields of an options class, in order of declaration."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(_option_field(info, hints[info.name]) for info in msgspec.structs.fields(cls))


def options_class(declared: Any) -> type[Options] | None:
    """The options class behind a field's type (``X``, ``X | None``), or None for plain values."""
    if isinstance(declared, type) and issubclass(declared, Options):
        return declared
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        for member in typing.get_args(declared):
            found = options_class(member)
            if found is not None:
                return found
    return None


def convert(value: Any, declared: Any) -> Any:
    """Turns a plain value (as JSON or TOML gives it) into a field's type.

    :raises msgspec.ValidationError: it does not fit.
    """
    return msgspec.convert(value, declared, strict=True, dec_hook=_decode_special)


def to_wire(options: Options) -> dict[str, Any]:
    """What of these options travels, as fields of NewProxy; fields with default values are left out."""
    fields: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for field, value in _walk(options):
        if value == field.default:
            continue
        if field.wire is not None:
            fields[field.wire] = _encode(value)
        elif field.extension is not None:
            own[field.extension] = _encode(value)
    if own:
        fields[EXTENSION_KEY] = own
    return fields


def from_wire(cls: type[OptionsT], fields: Mapping[str, Any]) -> OptionsT:
    """Builds options from the fields of a NewProxy message; what did not travel has its default.

    :raises msgspec.ValidationError: a field has the wrong type, or is missing and has no default.
    """
    own = fields.get(EXTENSION_KEY)
    if not isinstance(own, Mapping):
        own = {}
    values: dict[str, Any] = {}
    for field in option_fields(cls):
        nested = options_class(field.type)
        if nested is not None:
            table = from_wire(nested, fields)
            if field.default is not None or table != nested():
                values[field.name] = table
        elif field.wire is not None and field.wire in fields:
            values[field.name] = convert(fields[field.wire], field.declared)
        elif field.extension is not None and field.extension in own:
            values[field.name] = convert(own[field.extension], field.declared)
        elif field.required:
            raise msgspec.ValidationError(f"`{field.key}` is missing")
    return cls(**values)


def _option_field(info: msgspec.structs.FieldInfo, declared: Any) -> OptionField:
    wire_key = extension_key = None
    description = ""
    if typing.get_origin(declared) is typing.Annotated:
        for meta in typing.get_args(declared)[1:]:
            extra = meta.extra or {}
            wire_key = extra.get("wire", wire_key)
            extension_key = extra.get("extension", extension_key)
            description = meta.description or description
    default = info.default
    if info.default_factory is not msgspec.NODEFAULT:
        default = info.default_factory()
    plain = typing.get_args(declared)[0] if typing.get_origin(declared) is typing.Annotated else declared
    return OptionField(
        name=info.name,
        key=info.encode_name,
        type=plain,
        declared=declared,
        default=default,
        required=info.required,
        wire=wire_key,
        extension=extension_key,
        description=description,
    )


def _walk(options: Options) -> Iterator[tuple[OptionField, Any]]:
    for field in option_fields(type(options)):
        value = getattr(options, field.name)
        if isinstance(value, Options):
            yield from _walk(value)
        else:
            yield field, value


def _encode(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else msgspec.to_builtins(value)


def _decode_special(declared: type, value: Any) -> Any:
    if declared is Secret:
        if not isinstance(value, str):
            raise msgspec.ValidationError(f"Expected `str`, got `{type(value).__name__}`")
        return Secret(value)
    raise NotImplementedError(f"options of type {declared!r}")


class ProxyTransport(Options, frozen=True, kw_only=True):
    """How the work connections of a proxy carry their bytes."""

    use_encryption: typing.Annotated[
        bool,
        wire("use_encryption"),
        doc("Encrypt work connections with a key made from the token (frp's cipher, no integrity)."),
    ] = False
    use_compression: typing.Annotated[
        bool, wire("use_compression"), doc("Compress work connections with snappy.")
    ] = False
    bandwidth_limit: typing.Annotated[
        str, wire("bandwidth_limit"), doc("Bytes a second, such as 1MB or 512KB; empty for no limit.")
    ] = ""
    bandwidth_limit_mode: typing.Annotated[
        str, wire("bandwidth_limit_mode"), doc("Which end limits: client or server.")
    ] = "client"
    proxy_protocol_version: typing.Annotated[
        str, doc("Announce the user's address to the local service: v1, v2 or empty.")
    ] = ""


class LoadBalancer(Options, frozen=True, kw_only=True):
    """Several proxies behind one exposure."""

    group: typing.Annotated[str, wire("group"), doc("Proxies of the same group share one exposure.")] = ""
    group_key: typing.Annotated[
        Secret, wire("group_key"), doc("What a proxy must know to join the group.")
    ] = Secret("")


class HttpHeader(Options, frozen=True, kw_only=True):
    """One header of a health check's request."""

    name: typing.Annotated[str, doc("Name of the header.")] = ""
    value: typing.Annotated[str, doc("Its value.")] = ""


class HealthCheck(Options, frozen=True, kw_only=True):
    """Registers the proxy only while its local service answers."""

    type: typing.Annotated[str, doc("tcp, http, or empty for no check.")] = ""
    timeout_seconds: typing.Annotated[int, doc("Seconds until a check counts as failed.")] = 0
    max_failed: typing.Annotated[int, doc("Failures in a row that withdraw the proxy.")] = 0
    interval_seconds: typing.Annotated[int, doc("Seconds between two checks.")] = 0
    path: typing.Annotated[str, doc("Path that an http check asks for.")] = ""
    http_headers: typing.Annotated[tuple[HttpHeader, ...], doc("Headers that an http check sends.")] = ()


class ProxyCommon(Options, frozen=True, kw_only=True):
    """The keys that every proxy has, whatever its type."""

    name: typing.Annotated[str, doc("Name of the proxy, unique in the file.")] = ""
    type: typing.Annotated[str, doc("The proxy type, such as tcp or stcp.")] = ""
    enabled: typing.Annotated[bool, doc("False leaves this entry out.")] = True
    annotations: typing.Annotated[
        dict[str, str], wire("annotations"), doc("Labels for people and programs that watch the server.")
    ] = msgspec.field(default_factory=dict)
    metadatas: typing.Annotated[
        dict[str, str], wire("metas"), doc("Values handed to the server's plugins.")
    ] = msgspec.field(default_factory=dict)
    transport: ProxyTransport = ProxyTransport()
    load_balancer: LoadBalancer = LoadBalancer()
    health_check: HealthCheck = HealthCheck()
    local: typing.Annotated[
        str, doc("The local service as a Twisted endpoint string, such as unix:/run/app.sock.")
    ] = ""
    local_ip: typing.Annotated[str, doc("Host of the local service.")] = msgspec.field(
        default="127.0.0.1", name="localIP"
    )
    local_port: typing.Annotated[int, doc("Port of the local service.")] = 0

    @property
    def local_endpoint(self) -> str:
        """The endpoint string of the local service, whichever way it was configured."""
        if self.local:
            return self.local
        host = self.local_ip.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
        return f"tcp:{host}:{self.local_port}"


class VisitorTransport(Options, frozen=True, kw_only=True):
    """How the visits of a visitor carry their bytes."""

    use_encryption: typing.Annotated[
        bool, doc("Encrypt visits with a key made from the secret (frp's cipher, no integrity).")
    ] = False
    use_compression: typing.Annotated[bool, doc("Compress visits with snappy.")] = False


class VisitorCommon(Options, frozen=True, kw_only=True):
    """The keys that every visitor has, whatever its type."""

    name: typing.Annotated[str, doc("Name of the visitor, unique in the file.")] = ""
    type: typing.Annotated[str, doc("The proxy type that it visits, such as stcp.")] = ""
    enabled: typing.Annotated[bool, doc("False leaves this entry out.")] = True
    transport: VisitorTransport = VisitorTransport()
    secret_key: typing.Annotated[Secret, doc("The secret key of the proxy.")] = Secret("")
    server_user: typing.Annotated[
        str, doc("User of the client that has the proxy; empty for the own user.")
    ] = ""
    server_name: typing.Annotated[str, doc("Name of the proxy to visit, without its user.")] = ""
    bind_addr: typing.Annotated[str, doc("Address to listen on.")] = "127.0.0.1"
    bind_port: typing.Annotated[
        int, doc("Port to listen on; negative: no port, only what other code hands over.")
    ] = 0
