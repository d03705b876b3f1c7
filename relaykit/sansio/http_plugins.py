"""What a server asks plugins over HTTP, and what they answer, in frp's words (``httpPlugins``).

A question is the body of a POST to a :class:`Place`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Self, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec
from attrs import field, frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.wire import gojson
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import Login, Message, NewProxy, NewWorkConn, Ping

__all__ = [
    "Answer",
    "Place",
    "User",
    "changed_login",
    "changed_proxy",
    "question",
    "read_answer",
    "to_close_proxy",
    "to_login",
    "to_new_proxy",
    "to_new_user_connection",
    "to_new_work_connection",
    "to_ping",
]

VERSION = "0.1.0"
"""Of this protocol, as frp numbers it."""

_OK = 200

MessageT = TypeVar("MessageT", bound=Message)


class User(msgspec.Struct, frozen=True, kw_only=True):
    """The client that something is asked about.

    ``metas`` are those of its login, which may be secret; None for none.
    """

    user: str
    metas: dict[str, str] | None
    run_id: str

    @classmethod
    def of(cls, user: str, metas: Mapping[str, str], run_id: str) -> Self:
        """A client of that name and run id."""
        return cls(user=user, metas=dict(metas) or None, run_id=run_id)

    def __repr__(self) -> str:
        return f"User(user={self.user!r}, run_id={self.run_id!r})"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin decides.

    ``content`` takes the place of all that was asked, unless ``unchange``; what it leaves out is empty.
    It may be secret.
    """

    reject: bool = False
    reject_reason: str = ""
    unchange: bool = False
    content: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Answer(reject={self.reject!r}, unchange={self.unchange!r})"


@frozen(kw_only=True)
class Place:
    """Where a plugin is asked.  Its path, and what gives access, may be secret.

    :ivar authorization: value of that header, empty for none.
    """

    is_secure: bool
    host: str
    port: int
    authorization: str = field(default="", repr=False)
    _url: str = field(repr=False)

    @classmethod
    def of(cls, addr: str, path: str) -> Self:
        """From the words of a file: ``addr`` is ``host:port`` or begins a URL, with a user and a password
        where one is needed, and ``path`` follows it.

        :raises ValueError: they name no place; the text says why, without showing them.
        """
        begun = addr if addr.startswith(("http://", "https://")) else f"http://{addr}"
        whole = begun + path
        if not whole.isascii() or not whole.isprintable() or " " in whole:
            raise ValueError("has characters that no URL has: write them as %XX")
        try:
            parts = urlsplit(whole)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError("is no host:port, and begins no URL") from error
        if not host or port == 0:
            raise ValueError("names no host, or no port that can be dialled")
        if "#" in whole:
            raise ValueError('has a "#", after which nothing is sent')
        user, at, netloc = parts.netloc.rpartition("@")
        rest = whole[len(parts.scheme) + len("://") + len(parts.netloc) :]
        is_secure = parts.scheme == "https"
        return cls(
            is_secure=is_secure,
            host=host,
            port=port or (443 if is_secure else 80),
            authorization=_basic(user) if at else "",
            url=f"{parts.scheme}://{netloc}{rest}",
        )

    def url(self, operation: str) -> str:
        """The URL for questions about an operation."""
        return f"{self._url}?op={operation}&version={VERSION}"

    def __str__(self) -> str:
        """Without anything secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"


def _basic(user: str) -> str:
    """RFC 7617 section 2, from the part of a URL for it (RFC 3986 section 3.2.1)."""
    name, _, password = user.partition(":")
    pair = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def question(operation: str, content: Mapping[str, Any]) -> bytes:
    """The body that asks about an operation; the content keeps its order."""
    head = gojson.encode_object({"version": VERSION, "op": operation})
    return head.removesuffix(b"}") + b',"content":' + gojson.encode_object(content) + b"}"


def to_login(login: Login, source: str) -> dict[str, Any]:
    """The content of Login; ``source`` is the ``host:port`` that the client comes from.

    It has the proof of the login, which may be an access token.
    """
    return _said(login, *Login.__struct_fields__) | {"client_address": source}


def to_new_proxy(user: User, name: str, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The content of NewProxy; ``fields`` are what else the client said of it, in its order."""
    return {"user": user, "proxy_name": name, "proxy_type": kind, **fields}


def to_close_proxy(user: User, name: str) -> dict[str, Any]:
    """The content of CloseProxy."""
    return {"user": user, "proxy_name": name}


def to_new_user_connection(user: User, name: str, kind: str, source: str) -> dict[str, Any]:
    """The content of NewUserConn; ``source`` is the ``host:port`` that the user comes from."""
    return {"user": user, "proxy_name": name, "proxy_type": kind, "remote_addr": source}


def to_ping(user: User, ping: Ping) -> dict[str, Any]:
    """The content of Ping, with its proof."""
    return {"user": user} | _said(ping, "privilege_key", "timestamp")


def to_new_work_connection(user: User, offered: NewWorkConn) -> dict[str, Any]:
    """The content of NewWorkConn, with its proof, but without the binding, which frp does not know."""
    return {"user": user} | _said(offered, "run_id", "privilege_key", "timestamp")


def _said(message: Message, *names: str) -> dict[str, Any]:
    """These fields of a message, but the empty ones; structs count as full."""
    return {name: value for name in names if (value := getattr(message, name))}


def read_answer(status: int, body: Buffer) -> Answer:
    """What a plugin answers; keys match whatever their case, unknown ones are ignored.

    frp takes an answer that decides nothing for one that empties what was asked, which helps nobody:
    here it is malformed.

    :raises MalformedMessage: it is no answer.  The text does not show what it contains.
    """
    if status != _OK:
        raise MalformedMessage(f"the answer has status {status}, not {_OK}")
    try:
        answer = msgspec.convert(gojson.decode_object(body) or {}, Answer)
    except msgspec.ValidationError as error:
        raise MalformedMessage(f"the answer is malformed: {error}") from None
    if not (answer.reject or answer.unchange or answer.content is not None):
        raise MalformedMessage("the answer neither rejects, nor has unchange or content")
    return answer


def changed_login(content: Mapping[str, Any]) -> Login:
    """The login that a plugin wants to be dealt with; what it leaves out is empty.

    :raises MalformedMessage: it is none.
    """
    return _message(Login, content)


def changed_proxy(content: Mapping[str, Any], name: str, kind: str) -> dict[str, Any]:
    """The fields of the proxy that a plugin wants to be opened, as they travel.

    A client would not know a proxy under another name, nor have what serves the users of another type.

    :raises MalformedMessage: it is none, or another one than what was asked about.
    """
    proxy = _message(NewProxy, content)
    if (proxy.proxy_name, proxy.proxy_type) != (name, kind):
        raise MalformedMessage("the answer changes proxy_name or proxy_type, which its client would not know")
    return {key: value for key, value in proxy.options.items() if key != "user"}


def _message(cls: type[MessageT], content: Mapping[str, Any]) -> MessageT:
    message = cls.from_json(gojson.encode_object(content))
    assert message is not None, "an object is not null"
    return message
