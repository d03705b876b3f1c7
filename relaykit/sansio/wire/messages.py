"""The messages of a session, in both versions of the wire.

Each class is one message: who sends it, when, and what answers it.  A field is named as on the
wire; one that is empty does not travel, and what did not travel is empty.  :data:`CORE_MESSAGES`
lists what the core of a session acts on; what a proxy type sends beyond that (datagrams, hole
punching) is in modules of its own, added with :meth:`MessageTable.extended`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

import msgspec
from attrs import evolve, frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.wire import gojson
from relaykit.sansio.wire.gojson import MalformedMessage

__all__ = [
    "CORE_MESSAGES",
    "FREE_NUMBERS",
    "MOST_NAME",
    "ClientSpec",
    "CloseProxy",
    "Login",
    "LoginResp",
    "Message",
    "MessageTable",
    "Name",
    "NewProxy",
    "NewProxyResp",
    "NewVisitorConn",
    "NewVisitorConnResp",
    "NewWorkConn",
    "Ping",
    "Pong",
    "Port",
    "ReqWorkConn",
    "StartWorkConn",
    "Whole",
]

MOST_NAME = 255
"""Characters of a name on the wire: of proxies and visitors, users, client ids, run ids, hosts.  Names of
hosts and of files have no more, so whoever makes names of those has room.  In JSON a character has six bytes
at most: a message of version 1 holds six such names, and an answer that repeats two of them always fits."""

FREE_NUMBERS = range(0x8000, 0x10000)
"""Numbers for messages of proxy types that come with other packages; such a message is in version 2 only.

Nobody hands them out: a package takes some at random, and two that have the same are not used together.  On a
control connection relaykit skips those that it does not know; frp's programs end the session at one."""

Name = Annotated[str, msgspec.Meta(max_length=MOST_NAME)]
"""A field that names something; what has more characters is malformed, whoever sends it."""
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer field."""
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
"""A field that is a port; 0 for none."""

_Texts = dict[str, str]
_DEFAULT_PROXY_TYPE = "tcp"


class _Hidden:
    """Stands in a ``repr`` for what must not be seen."""

    def __repr__(self) -> str:
        return "<secret>"


_HIDDEN = _Hidden()


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all messages have.  The ``repr`` of a message hides its :attr:`secret_fields`."""

    type_byte: ClassVar[int | None]
    """Its type in version 1, or None where only version 2 has it."""
    number: ClassVar[int]
    """Its type in version 2."""
    secret_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that must not be seen in logs."""

    def to_json(self) -> bytes:
        """The body of the message."""
        return gojson.encode(self)

    @classmethod
    def from_json(cls, body: Buffer) -> Self | None:
        """The message with this body; None for ``null``.

        :raises MalformedMessage: the body is not JSON, or a field has the wrong type.
        """
        return gojson.decode(body, cls)

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, _HIDDEN if name in self.secret_fields else value) for name, value in fields if value]


class ClientSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What kind of client logs in; a server ignores it on connections from the network."""

    type: str = ""
    always_auth_pass: bool = False


class Login(Message, frozen=True, kw_only=True):
    """From the client, first on a control connection.  Answered by :class:`LoginResp`.

    ``privilege_key`` proves the token for ``timestamp`` (seconds of the Unix era), or is an access
    token.  ``run_id`` is empty at the first login, then what the server gave.  ``pool_count`` is how
    many work connections the client offers ahead of need.
    """

    type_byte = 0x6F
    number = 1
    secret_fields = frozenset({"privilege_key", "metas"})

    version: Name = ""
    hostname: Name = ""
    os: Name = ""
    arch: Name = ""
    user: Name = ""
    privilege_key: str = ""
    timestamp: Whole = 0
    run_id: Name = ""
    client_id: Name = ""
    metas: _Texts = msgspec.field(default_factory=dict)
    client_spec: ClientSpec = msgspec.field(default_factory=ClientSpec)
    pool_count: Whole = 0


class LoginResp(Message, frozen=True, kw_only=True):
    """From the server, answers :class:`Login`: the session's ``run_id``, or an ``error``."""

    type_byte = 0x31
    number = 2

    version: Name = ""
    run_id: Name = ""
    error: str = ""


class NewProxy(Message, frozen=True, kw_only=True):
    """From the client, on the control connection.  Answered by :class:`NewProxyResp` of that name.

    ``options`` are all other fields, opaque: those of the proxy type and those that all types share,
    in the order in which they travel.  Names are in lower case; fields that are ``null`` are left out.
    """

    type_byte = 0x70
    number = 3
    secret_fields = frozenset({"options"})

    proxy_name: str = ""
    proxy_type: str = _DEFAULT_PROXY_TYPE
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def to_json(self) -> bytes:
        named = {"proxy_name": self.proxy_name, "proxy_type": self.proxy_type}
        own = {name: value for name, value in named.items() if value}
        return gojson.encode_object(own | self.options | own)

    @classmethod
    def from_json(cls, body: Buffer) -> Self | None:
        fields = gojson.decode_object(body)
        if fields is None:
            return None
        proxy_name = fields.pop("proxy_name", "")
        proxy_type = fields.pop("proxy_type", "")
        for value in (proxy_name, proxy_type):
            if not isinstance(value, str) or len(value) > MOST_NAME:
                what = f"a proxy's name and type must be texts of {MOST_NAME} characters at most"
                raise MalformedMessage(f"NewProxy is malformed: {what}")
        return cls(proxy_name=proxy_name, proxy_type=proxy_type or _DEFAULT_PROXY_TYPE, options=fields)


class NewProxyResp(Message, frozen=True, kw_only=True):
    """From the server, answers :class:`NewProxy`: where users reach the proxy, or an ``error``."""

    type_byte = 0x32
    number = 4

    proxy_name: Name = ""
    remote_addr: str = ""
    error: str = ""

    @classmethod
    def from_json(cls, body: Buffer) -> Self | None:
        message = super().from_json(body)
        if message is not None and not message.remote_addr.isprintable():
            raise MalformedMessage("NewProxyResp is malformed: an address must be of printable characters")
        return message


class CloseProxy(Message, frozen=True, kw_only=True):
    """From the client, on the control connection: withdraws a proxy.  Not answered."""

    type_byte = 0x63
    number = 5

    proxy_name: Name = ""


class NewWorkConn(Message, frozen=True, kw_only=True):
    """From the client, first on a work connection.  Answered by :class:`StartWorkConn`, sooner or later.

    ``privilege_key`` and ``timestamp`` only where work connections are authenticated; ``binding`` only
    where the login of the session was bound, which is relaykit's own.
    """

    type_byte = 0x77
    number = 6
    secret_fields = frozenset({"privilege_key", "binding"})

    run_id: Name = ""
    privilege_key: str = ""
    timestamp: Whole = 0
    binding: bytes = b""


class ReqWorkConn(Message, frozen=True, kw_only=True):
    """From the server, on the control connection: asks for one work connection (:class:`NewWorkConn`)."""

    type_byte = 0x72
    number = 7


class StartWorkConn(Message, frozen=True, kw_only=True):
    """From the server, on a work connection: the proxy that it serves from here on, or an ``error``.

    The payload follows.  ``src`` is the user, ``dst`` what the user connected to; empty where there
    is no one user.  For ``visitor_user`` see :class:`NewVisitorConn`.  ``tlvs``, which is relaykit's own, is
    what a load balancer said of the user besides, as in a header of the PROXY protocol.  With ``probe``,
    which is relaykit's own, too, there is no user: see :mod:`relaykit.sansio.control.probing`.
    """

    type_byte = 0x73
    number = 8
    secret_fields = frozenset({"tlvs"})

    proxy_name: Name = ""
    src_addr: Name = ""
    dst_addr: Name = ""
    src_port: Port = 0
    dst_port: Port = 0
    error: str = ""
    visitor_user_addr: Name = ""
    visitor_user_port: Port = 0
    tlvs: bytes = b""
    probe: bool = False


class NewVisitorConn(Message, frozen=True, kw_only=True):
    """From a visiting client, first on a visitor connection.  Answered by :class:`NewVisitorConnResp`.

    ``sign_key`` proves the proxy's secret key for ``timestamp``; the flags say how the visitor wraps
    its own leg; ``binding`` as for :class:`NewWorkConn`.  ``visitor_user``, which is relaykit's own, is where
    the visitor says that its user comes from.
    """

    type_byte = 0x76
    number = 9
    secret_fields = frozenset({"sign_key", "binding"})

    run_id: Name = ""
    proxy_name: Name = ""
    sign_key: str = ""
    timestamp: Whole = 0
    use_encryption: bool = False
    use_compression: bool = False
    binding: bytes = b""
    visitor_user_addr: Name = ""
    visitor_user_port: Port = 0


class NewVisitorConnResp(Message, frozen=True, kw_only=True):
    """From the server, answers :class:`NewVisitorConn`; without ``error`` the payload follows."""

    type_byte = 0x33
    number = 10

    proxy_name: Name = ""
    error: str = ""


class Ping(Message, frozen=True, kw_only=True):
    """From the client: on the control connection, answered by :class:`Pong`; also on connections that
    carry datagrams, from the proxy's client, not answered.

    ``privilege_key`` and ``timestamp`` only where heartbeats are authenticated.
    """

    type_byte = 0x68
    number = 11
    secret_fields = frozenset({"privilege_key"})

    privilege_key: str = ""
    timestamp: Whole = 0


class Pong(Message, frozen=True, kw_only=True):
    """From the server, answers :class:`Ping`; with an ``error`` the client must log in again."""

    type_byte = 0x34
    number = 12

    error: str = ""


@frozen
class MessageTable:
    """The messages that one end understands, by their types on the wire.

    A type of frp's that is in no table here is known to be legal: a decoder skips such a message, as
    frp does with messages that it has no use for.
    """

    by_type_byte: Mapping[int, type[Message] | None]
    """Version 1; None: legal and skipped."""
    by_number: Mapping[int, type[Message] | None]
    """Version 2; None: legal and skipped."""
    skips_free: bool = False
    """Whether those of :data:`FREE_NUMBERS` are legal and skipped, too."""

    @classmethod
    def of(cls, messages: Iterable[type[Message]]) -> MessageTable:
        """A table of these messages."""
        return cls(dict.fromkeys(_FRP_TYPE_BYTES), dict.fromkeys(_FRP_NUMBERS)).extended(*messages)

    def extended(self, *messages: type[Message]) -> MessageTable:
        """This table and these messages.

        :raises ValueError: two different messages have one type.
        """
        by_type_byte, by_number = dict(self.by_type_byte), dict(self.by_number)
        for message in messages:
            if message.type_byte is not None:
                _add(by_type_byte, message.type_byte, message)
            _add(by_number, message.number, message)
        return evolve(self, by_type_byte=by_type_byte, by_number=by_number)


def _add(table: dict[int, type[Message] | None], key: int, message: type[Message]) -> None:
    present = table.get(key)
    if present is not None and present is not message:
        raise ValueError(f"{present.__name__} and {message.__name__} have the same type {key:#x}")
    table[key] = message


_FRP_TYPE_BYTES = b"o1p2cwrsv3h4uinm56"
_FRP_NUMBERS = range(1, 19)

CORE_MESSAGES = MessageTable.of(
    (
        Login,
        LoginResp,
        NewProxy,
        NewProxyResp,
        CloseProxy,
        NewWorkConn,
        ReqWorkConn,
        StartWorkConn,
        NewVisitorConn,
        NewVisitorConnResp,
        Ping,
        Pong,
    )
)
"""What the core of a session acts on."""
