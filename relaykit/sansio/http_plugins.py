"""What a server asks plugins over HTTP, and what they answer, in frp's words (``httpPlugins``).

A question is the body of a POST; see :func:`target` for where it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from relaykit.sansio.contract import Buffer
from relaykit.sansio.wire import gojson
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import Login, Message, NewWorkConn, Ping

__all__ = [
    "Answer",
    "User",
    "question",
    "read_answer",
    "target",
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


def target(addr: str, path: str, operation: str) -> str:
    """The URL for questions about an operation; ``addr`` is ``host:port`` or begins a URL."""
    begun = addr if addr.startswith(("http://", "https://")) else f"http://{addr}"
    return f"{begun}{path}?op={operation}&version={VERSION}"


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
