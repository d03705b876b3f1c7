"""What an SSH client asks for: its command, in frp's words, made a proxy and a login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import field, frozen

from relaykit.escaping import told
from relaykit.flags.grammar import Call, Command, CommandLineError, Help, parse
from relaykit.flags.proxies import ANNOTATIONS, CLIENT_ID, METADATAS, PROXY_NAME, TOKEN, TYPE_FLAGS, USER
from relaykit.flags.tables import table_of
from relaykit.flags.usage import flags_text
from relaykit.options import Options, ProxyCommon, convert, option_fields, to_wire
from relaykit.plugins import ProxyTypes
from relaykit.values import NO_SECRET, Secret

__all__ = ["MOST_COMMAND_BYTES", "TYPES", "CommandRefused", "TunnelRequest", "UsageAsked", "read_command"]

TYPES = ("tcp", "http", "https", "tcpmux", "stcp")
"""The proxy types that can be asked for: those of streams whose other end needs no client of its own."""

MOST_COMMAND_BYTES = 8 * 1024
"""Bytes of a command: with all of them escaped it fits into a message of the control session."""

_FLAGS = (PROXY_NAME, METADATAS, ANNOTATIONS, USER, CLIENT_ID, TOKEN)
_USAGE = "Usage:\n  ssh v0@{address} [command] [flags]\n"

_COMMANDS: Mapping[str, Command] = {
    name: Command(name, f"Publish one {name} proxy", action=name, flags=(*_FLAGS, *TYPE_FLAGS[name]))
    for name in TYPES
}


class CommandRefused(Exception):
    """The command means nothing; its text is for whoever gave it."""


class UsageAsked(Exception):
    """The command asks how commands are; its text is the answer."""


@frozen(kw_only=True)
class TunnelRequest:
    """The proxy that is asked for, and who asks.

    :ivar name: without the prefix of the user.
    :ivar fields: what the server is told of its options.
    """

    type: str
    name: str
    user: str = ""
    client_id: str = ""
    token: Secret = NO_SECRET
    metadatas: Mapping[str, str] = field(factory=dict, repr=False)
    fields: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def full_name(self) -> str:
        """What the server calls the proxy."""
        return f"{self.user}.{self.name}" if self.user else self.name


def read_command(command: bytes, types: ProxyTypes, random: bytes) -> TunnelRequest:
    """What a command asks for; its words are between spaces, without quotes of a shell.

    :param random: makes the name of a proxy that was given none.
    :raises CommandRefused: it cannot be understood.
    :raises UsageAsked: it asks for help.
    """
    if len(command) > MOST_COMMAND_BYTES:
        raise CommandRefused(f"the command is longer than {MOST_COMMAND_BYTES} bytes")
    try:
        words = [word for word in command.decode("utf-8").split(" ") if word]
    except UnicodeDecodeError:
        raise CommandRefused("the command is not in UTF-8") from None
    type_name, *rest = words or [""]
    if type_name in ("help", "--help", "-h"):
        raise UsageAsked(f"{_USAGE}\nCommands:\n{_types_text()}")
    if type_name not in _COMMANDS:
        raise CommandRefused(f"invalid proxy type: {told(type_name)}, support types: [{' '.join(TYPES)}]")
    try:
        call = parse(_COMMANDS[type_name], rest)
    except CommandLineError as error:
        raise CommandRefused(str(error)) from None
    if isinstance(call, Help):
        raise UsageAsked(f"{_USAGE}\n{flags_text(call.path)}")
    return _request(call, type_name, types, random)


def _request(call: Call, type_name: str, types: ProxyTypes, random: bytes) -> TunnelRequest:
    table = table_of(call, call.path[-1].flags)
    common = _options(ProxyCommon, table)
    assert isinstance(common, ProxyCommon)
    options = _options(types.get(type_name).proxy_options, table)
    return TunnelRequest(
        type=type_name,
        name=common.name or f"sshtunnel-{type_name}-{random.hex()}",
        user=call["user"],
        client_id=call["client-id"],
        token=Secret(call["token"]),
        metadatas=common.metadatas,
        fields={**to_wire(common), **to_wire(options)},
    )


def _options(cls: type[Options], table: Mapping[str, Any]) -> Options:
    """The options of a class that a table has; keys of others are theirs."""
    values = {}
    for each in option_fields(cls):
        if each.key not in table:
            continue
        try:
            values[each.name] = convert(table[each.key], each.type)
        except msgspec.ValidationError as error:
            raise CommandRefused(f"{each.key}: {error}") from None
    return cls(**values)


def _types_text() -> str:
    return "".join(f"  {name:8}{command.summary}\n" for name, command in _COMMANDS.items())
