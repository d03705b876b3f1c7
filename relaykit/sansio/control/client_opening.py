"""How a client opens work connections and visits: what it sends first, and how it reads the answer.

Write the opening on a new leg, then take the answer with :func:`work_answer` or :func:`visit_answer`;
what follows the answer is payload and stays in the leg.  A work connection is answered when a user
comes, maybe never; a visit within :data:`VISIT_TIMEOUT_S`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.escaping import told
from relaykit.sansio.control.credentials import NO_PROOF, Proof, digest
from relaykit.sansio.control.server_opening import OPENING_MESSAGES, visitor_user_of
from relaykit.sansio.parsers.proxy_protocol import unpack_tlvs
from relaykit.sansio.wire.framing import MAGIC, MAX_PAYLOAD, V2, Framing
from relaykit.sansio.wire.messages import (
    Message,
    NewVisitorConn,
    NewVisitorConnResp,
    NewWorkConn,
    StartWorkConn,
)
from relaykit.values import Address, Origin, Secret

__all__ = [
    "VISIT_TIMEOUT_S",
    "OneMessage",
    "Refusal",
    "VisitAccepted",
    "WorkAssigned",
    "handed_message",
    "open_visit",
    "open_work",
    "opening",
    "visit_answer",
    "work_answer",
]

VISIT_TIMEOUT_S = 10.0
"""Seconds that a client waits for the answer to a visit; frp's figure."""

_LONGEST_HEADER = 16
"""More than the header of any version's frame."""

MessageT = TypeVar("MessageT", bound=Message)
AnswerT = TypeVar("AnswerT")


@frozen
class WorkAssigned:
    """The connection serves this proxy (its name on the server) and this user, or a probe, from here on."""

    proxy_name: str
    origin: Origin
    is_probe: bool = False


@frozen
class VisitAccepted:
    """The server connects the visit; payload may be sent."""


@frozen
class Refusal:
    """The server says no and closes; ``text`` is for the log."""

    text: str


def opening(framing: Framing, message: Message) -> bytes:
    """What a client sends first on a logical connection that begins with this message."""
    start = MAGIC if framing is V2 else b""
    return start + framing.encode(message)


def open_work(framing: Framing, run_id: str, proof: Proof = NO_PROOF, binding: bytes = b"") -> bytes:
    """Offers the server a work connection of the session with this run id.

    ``proof`` is what is proven where that scope is; ``binding`` is the proof of a bound session that this
    connection belongs to it.
    """
    return opening(
        framing,
        NewWorkConn(
            run_id=run_id,
            privilege_key=proof.privilege_key,
            timestamp=proof.timestamp,
            binding=binding,
        ),
    )


def open_visit(
    framing: Framing,
    run_id: str,
    proxy_name: str,
    secret: Secret,
    unix_time: float,
    *,
    use_encryption: bool = False,
    use_compression: bool = False,
    binding: bytes = b"",
    user: Address | None = None,
) -> bytes:
    """Asks to be connected with a proxy, proving that its secret is known.

    The flags say how this client wraps the payload of its own leg; ``binding`` as for :func:`open_work`;
    ``user`` is where the visitor's user comes from, if the server wants to know.
    """
    timestamp = int(unix_time)
    return opening(
        framing,
        NewVisitorConn(
            run_id=run_id,
            proxy_name=proxy_name,
            sign_key=digest(secret.to_bytes(), timestamp),
            timestamp=timestamp,
            use_encryption=use_encryption,
            use_compression=use_compression,
            binding=binding,
            visitor_user_addr=user.host if user else "",
            visitor_user_port=user.port if user else 0,
        ),
    )


class OneMessage(Generic[MessageT, AnswerT]):
    """Takes one message of known types from the beginning of a stream, and nothing behind it.

    Provides :class:`relaykit.sansio.contract.PrefixParser`; the answer is what ``understand`` makes of
    the message.
    """

    limit = _LONGEST_HEADER + MAX_PAYLOAD

    def __init__(
        self,
        framing: Framing,
        expected: type[MessageT] | tuple[type[MessageT], ...],
        understand: Callable[[MessageT], AnswerT],
    ) -> None:
        self._framing = framing
        self._expected = expected if isinstance(expected, tuple) else (expected,)
        self._table = OPENING_MESSAGES.extended(*self._expected)
        self._understand = understand

    def feed(self, data: bytes) -> tuple[AnswerT, int] | None:
        decoder = self._framing.make_decoder(self._table)
        decoder.receive(data)
        message = decoder.next_message()
        if message is None:
            return None
        if not isinstance(message, self._expected):
            expected = " or ".join(each.__name__ for each in self._expected)
            raise RemoteProtocolError(f"expected {expected}, got {type(message).__name__}")
        return self._understand(message), len(data) - len(decoder.unread())


def work_answer(framing: Framing) -> OneMessage[StartWorkConn, WorkAssigned | Refusal]:
    """The parser of the answer to a work connection."""
    return OneMessage(framing, StartWorkConn, _assignment)


def handed_message(framing: Framing, classes: tuple[type[Message], ...]) -> OneMessage[Message, Message]:
    """The parser of a message of a proxy type that a work connection was assigned for."""
    return OneMessage(framing, classes, lambda message: message)


def visit_answer(framing: Framing) -> OneMessage[NewVisitorConnResp, VisitAccepted | Refusal]:
    """The parser of the answer to a visit."""
    return OneMessage(framing, NewVisitorConnResp, _admission)


def _assignment(message: StartWorkConn) -> WorkAssigned | Refusal:
    if message.error:
        return Refusal(told(message.error))
    return WorkAssigned(
        message.proxy_name,
        Origin(
            _address(message.src_addr, message.src_port),
            _address(message.dst_addr, message.dst_port),
            visitor_user=visitor_user_of(message),
            tlvs=unpack_tlvs(message.tlvs),
        ),
        message.probe,
    )


def _admission(message: NewVisitorConnResp) -> VisitAccepted | Refusal:
    return Refusal(told(message.error)) if message.error else VisitAccepted()


def _address(host: str, port: int) -> Address | None:
    return Address(host, port) if host else None
