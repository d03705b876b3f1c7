"""The beginning of a logical connection as the server sees it, and the server's answers to it.

:class:`ServerOpening` reads until the first message: a login, a work connection or a visit.  A login
goes on in :mod:`relaykit.sansio.control.server_control`; the other two are answered with the functions here,
in the version of the wire that the connection began with, and then carry payload.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.extensions import (
    BOUND,
    EXTENSIONS,
    IDENTITY,
    NO_CARRIERS,
    PROBE,
    TLVS,
    VISITOR_USER,
    Agreement,
    answer_offer,
)
from relaykit.sansio.control.texts import MISSING_HELLO
from relaykit.sansio.parsers.first_bytes import LOGICAL_CONNECTION, Spoken
from relaykit.sansio.parsers.proxy_protocol import pack_tlvs
from relaykit.sansio.wire.extension_messages import ProvenLogin
from relaykit.sansio.wire.framing import (
    MAGIC,
    V1,
    V2,
    Decoder,
    Framing,
    HelloFrame,
    V1Decoder,
    V2Decoder,
    encode_hello,
)
from relaykit.sansio.wire.hello import RANDOM_LENGTH, HelloRefused, ServerHello
from relaykit.sansio.wire.messages import (
    CORE_MESSAGES,
    Login,
    LoginResp,
    MessageTable,
    NewVisitorConn,
    NewVisitorConnResp,
    NewWorkConn,
    StartWorkConn,
)
from relaykit.values import Address, Ended, Origin

__all__ = [
    "OPENING_MESSAGES",
    "OPENING_TIMEOUT_S",
    "FirstMessage",
    "OpeningEnded",
    "OpeningEvent",
    "ServerOpening",
    "StrangeProtocol",
    "accept_visit",
    "assign_work",
    "refuse_visit",
    "refuse_work",
    "visitor_user_of",
]

OPENING_TIMEOUT_S = 10.0
"""Seconds from the connection to the end of its first message; frp's figure."""


OPENING_MESSAGES = MessageTable(
    {kind: message for kind, message in CORE_MESSAGES.by_type_byte.items() if message is not None},
    {number: message for number, message in CORE_MESSAGES.by_number.items() if message is not None},
)
"""The core's messages and no others: where exactly one is expected, none is skipped."""

_WITH_PROVEN_LOGIN = OPENING_MESSAGES.extended(ProvenLogin)
_PROOFS = frozenset({BOUND, IDENTITY})


class StrangeProtocol(RemoteProtocolError):
    """The peer speaks something else; ``spoken`` says what."""

    def __init__(self, spoken: Spoken) -> None:
        super().__init__(f"{spoken.value} where a client's first message belongs")
        self.spoken = spoken


@frozen
class FirstMessage:
    """What the connection is for.

    ``framing`` is the version of the wire that all answers must have.  ``hello`` is what both ends
    agreed on before, None without a hello: always with version 1, normally for work and visits.
    ``unsent`` goes out before any answer; for a login the session does that.
    """

    message: Login | ProvenLogin | NewWorkConn | NewVisitorConn
    framing: Framing
    hello: Agreement | None = None
    unsent: bytes = b""


@frozen
class OpeningEnded:
    """There was no first message: the peer closed, or took too long.  Close the connection."""

    why: Ended


OpeningEvent: TypeAlias = FirstMessage | OpeningEnded


class ServerOpening:
    """Reads a logical connection up to its first message; one event, then it is done.

    Once done, :meth:`unread` gives what came behind the first message, and the connection passes to
    who takes over: a :class:`~relaykit.sansio.control.server_control.ServerControl` for a login.

    :param version: what the server calls its version, for a client that must be refused here.
    :param entropy: answers this many random bytes.
    :param salt: what the token is derived with, where a bound login is possible.
    :param secure: whether TLS ends here, with something to bind a login to.
    :param carriers: the ports of carriers that have some of their own, which clients are told.
    """

    def __init__(
        self,
        now: float,
        version: str,
        entropy: Callable[[int], bytes],
        extensions: frozenset[str] = EXTENSIONS,
        timeout_s: float = OPENING_TIMEOUT_S,
        *,
        salt: bytes = b"",
        secure: bool = False,
        carriers: Mapping[str, int] = NO_CARRIERS,
    ) -> None:
        self._version = version
        self._entropy = entropy
        self._extensions = extensions
        self._salt = salt
        self._secure = secure
        self._carriers = carriers
        self._deadline: float | None = now + timeout_s
        self._first = b""
        self._framing: Framing | None = None
        self._decoder: Decoder = V1Decoder(OPENING_MESSAGES)
        self._hello: Agreement | None = None
        self._out: list[bytes] = []
        self._events: list[OpeningEvent] = []

    @property
    def has_input(self) -> bool:
        """Never: there is one message."""
        return False

    @property
    def done(self) -> bool:
        """Whether nothing more is read here."""
        return self._deadline is None

    def receive(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the peer.

        :raises StrangeProtocol: this is no client of ours.
        :raises RemoteProtocolError: it breaks the rules; the answer that it gets is in :meth:`to_send`.
        """
        if self._framing is None:
            self._first += bytes(data)
            self._recognize()
        else:
            self._decoder.receive(data)
        while self._framing is not None and not self.done:
            received = self._decoder.next_message()
            if received is None:
                break
            if isinstance(received, HelloFrame):
                self._answer_hello(received)
            elif isinstance(received, Login | ProvenLogin | NewWorkConn | NewVisitorConn):
                self._finish(received, self._framing)
            else:
                raise RemoteProtocolError(f"a connection begins with {type(received).__name__}")

    def end_received(self, now: float) -> None:
        """Tells that the peer will send no more."""
        self._end(Ended.FINISHED)

    def to_send(self, now: float) -> Sequence[Buffer]:
        """Takes what must go out."""
        out, self._out = self._out, []
        return out

    def next_wakeup(self) -> float | None:
        """The deadline, until done."""
        return self._deadline

    def wake(self, now: float) -> None:
        """Gives up when it took too long."""
        if self._deadline is not None and now >= self._deadline:
            self._end(Ended.TIMEOUT)

    def events(self) -> Sequence[OpeningEvent]:
        """Takes the one event, once."""
        events, self._events = self._events, []
        return events

    def unread(self) -> bytes:
        """Takes what came behind the first message."""
        return self._decoder.unread()

    def _recognize(self) -> None:
        found = LOGICAL_CONNECTION.feed(self._first)
        if found is None:
            return
        spoken = found[0] or Spoken.UNKNOWN
        if spoken is Spoken.WIRE_V1:
            self._framing = V1
            self._decoder.receive(self._first)
        elif spoken is Spoken.WIRE_V2:
            self._framing = V2
            self._decoder = V2Decoder(OPENING_MESSAGES)
            self._decoder.receive(memoryview(self._first)[len(MAGIC) :])
        else:
            raise StrangeProtocol(spoken)
        self._first = b""

    def _answer_hello(self, frame: HelloFrame) -> None:
        if self._hello is not None:
            raise RemoteProtocolError("a second hello")
        if frame.sender != "client":
            raise RemoteProtocolError("a server's hello from a client")
        try:
            answer, self._hello = answer_offer(
                frame,
                self._entropy(RANDOM_LENGTH),
                self._extensions,
                self._salt,
                secure=self._secure,
                carriers=self._carriers,
            )
        except HelloRefused as refusal:
            self._out.append(encode_hello(ServerHello.refusing(refusal.text).to_frame()))
            raise
        if self._hello.extensions & _PROOFS:
            self._decoder.messages = _WITH_PROVEN_LOGIN
        self._out.append(encode_hello(answer))

    def _finish(self, message: Login | ProvenLogin | NewWorkConn | NewVisitorConn, framing: Framing) -> None:
        if isinstance(message, Login) and framing is V2 and self._hello is None:
            self._out.append(framing.encode(LoginResp(version=self._version, error=MISSING_HELLO)))
            raise RemoteProtocolError(MISSING_HELLO)
        self._deadline = None
        unsent, self._out = b"".join(self._out), []
        self._events.append(FirstMessage(message, framing, self._hello, unsent))

    def _end(self, why: Ended) -> None:
        if not self.done:
            self._deadline = None
            self._events.append(OpeningEnded(why))


def visitor_user_of(message: NewVisitorConn | StartWorkConn) -> Address | None:
    """Where a visitor says that its user comes from; None if it says nothing, or what is no IP address.

    The address is without a zone, which would be any text.
    """
    host, port = message.visitor_user_addr.partition("%")[0], message.visitor_user_port
    try:
        return Address(str(ipaddress.ip_address(host)), port)
    except ValueError:
        return None


def assign_work(
    framing: Framing,
    proxy_name: str,
    origin: Origin,
    extensions: Collection[str] = (),
    is_probe: bool = False,
) -> bytes:
    """Tells the client which proxy its work connection serves, and for whom; payload follows.

    :param extensions: what was agreed on with it.
    :param is_probe: whether it is for nobody but to be answered, if that was agreed on.
    """
    source, destination = origin.source, origin.destination
    user = origin.visitor_user if VISITOR_USER in extensions else None
    return framing.encode(
        StartWorkConn(
            proxy_name=proxy_name,
            src_addr=source.host if source else "",
            src_port=source.port if source else 0,
            dst_addr=destination.host if destination else "",
            dst_port=destination.port if destination else 0,
            visitor_user_addr=user.host if user else "",
            visitor_user_port=user.port if user else 0,
            tlvs=pack_tlvs(origin.tlvs) if TLVS in extensions else b"",
            probe=is_probe and PROBE in extensions,
        )
    )


def refuse_work(framing: Framing, text: str) -> bytes:
    """Tells the client that its work connection is not wanted; close it then."""
    return framing.encode(StartWorkConn(error=text))


def accept_visit(framing: Framing, proxy_name: str) -> bytes:
    """Tells the visitor that it is connected; payload follows."""
    return framing.encode(NewVisitorConnResp(proxy_name=proxy_name))


def refuse_visit(framing: Framing, proxy_name: str, text: str) -> bytes:
    """Tells the visitor no; close the connection then."""
    return framing.encode(NewVisitorConnResp(proxy_name=proxy_name, error=text))
