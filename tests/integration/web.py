"""Users and services of HTTP/1.1, as h11 reads and writes it: whatever stands between them is strict, too."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl

import h11
from attrs import field, frozen

from tests.integration.traffic import FROM_SERVICE, FROM_USER, PIECE_BYTES, Pattern, dial, echo

__all__ = ["HINT", "Answer", "Site", "WebUser", "basic"]

HINT = "</style.css>; rel=preload"
"""What a site hints at before it answers."""

Fields = Sequence[tuple[str, str]]


def basic(user: str, name: str = "Authorization") -> tuple[str, str]:
    """The field by which a user proves who it is; it is given with its password."""
    return name, f"Basic {base64.b64encode(user.encode()).decode()}"


@frozen
class Answer:
    """What a user got for a request."""

    status: int
    reason: str
    fields: Fields
    body: bytes = b""
    trailers: Fields = ()
    interim: Sequence[int] = ()
    """The statuses of the responses before."""

    def get(self, name: str) -> str | None:
        """The value of a field, several of them joined by commas; None without."""
        return _get(self.fields, name)

    @property
    def told(self) -> Told:
        """What a site answered that told what it had been asked."""
        assert self.status == 200, self
        return Told(**json.loads(self.body))


@frozen
class Told:
    """What a site was asked."""

    site: str
    connection: int
    """How many connections it had had, with that of the request."""
    method: str
    target: str
    fields: Fields
    bytes: int
    """Of the body."""
    trailers: Fields = field(default=())

    def get(self, name: str) -> str | None:
        """The value of a field, several of them joined by commas; None without."""
        return _get(self.fields, name)


class _Peer:
    """One end of a connection."""

    def __init__(self, connection: socket.socket, role: Any) -> None:
        self.connection = connection
        self.peer = h11.Connection(role)

    def next_event(self) -> Any:
        """What comes next."""
        while (event := self.peer.next_event()) is h11.NEED_DATA:
            self.peer.receive_data(self.connection.recv(PIECE_BYTES))
        return event

    def send(self, *events: Any, behind: bytes = b"") -> None:
        """Sends these in one piece, and bytes behind them."""
        self.connection.sendall(b"".join(self.peer.send(event) or b"" for event in events) + behind)

    def send_body(self, pattern: Pattern, count: int, trailers: Fields = ()) -> None:
        """Sends a body of so many bytes, and its end."""
        for position in range(0, count, PIECE_BYTES):
            self.send(h11.Data(data=pattern.at(position, min(PIECE_BYTES, count - position))))
        self.send(h11.EndOfMessage(headers=list(trailers)))

    def next_cycle(self) -> bool:
        """Whether the connection can be used for one more request; gets ready for it."""
        if self.peer.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        self.peer.start_next_cycle()
        return True


class WebUser(_Peer):
    """One connection of a user, for one request after the other."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection, h11.CLIENT)
        self.is_open = True
        """Whether it may ask once more."""

    @classmethod
    @contextlib.contextmanager
    def dial(cls, port: int, host: str = "127.0.0.1") -> Iterator[WebUser]:
        """A user of a port."""
        with dial(port, host) as connection:
            yield cls(connection)

    def ask(
        self,
        host: str,
        target: str = "/",
        *fields: tuple[str, str],
        method: str = "GET",
        upload: int | None = None,
        trailers: Fields = (),
        behind: bytes = b"",
    ) -> Answer:
        """Sends a request, and reads the answer to its end, or to that of HTTP.

        :param upload: the size of a body, which has to be announced by one of the fields; with the field
            ``Expect`` it is sent when the server wants it.
        :param behind: what is sent at once behind the request.
        """
        request = h11.Request(method=method, target=target, headers=[("Host", host), *fields])
        if upload is None:
            self.send(request, h11.EndOfMessage(), behind=behind)
            return self.read_answer()
        self.send(request)
        interim: list[int] = []
        if self.peer.client_is_waiting_for_100_continue:
            if not isinstance(event := self.next_event(), h11.InformationalResponse):
                self.is_open = False
                return self._read_rest(event, interim)
            interim.append(event.status_code)
        # Who has answered already may take no more of it.
        with contextlib.suppress(ConnectionError):
            self.send_body(FROM_USER, upload, trailers)
        return self.read_answer(interim)

    def read_answer(self, interim: Sequence[int] = ()) -> Answer:
        """The next answer."""
        interim = list(interim)
        while isinstance(event := self.next_event(), h11.InformationalResponse):
            interim.append(event.status_code)
            if event.status_code == 101:
                break
        return self._read_rest(event, interim)

    def events(self, host: str) -> Iterator[bytes]:
        """Each event of a stream of them, as soon as it is there."""
        self.send(h11.Request(method="GET", target="/", headers=[("Host", host)]), h11.EndOfMessage())
        assert isinstance(self.next_event(), h11.Response)
        data = b""
        while isinstance(part := self.next_event(), h11.Data):
            data += part.data
            while (end := data.find(b"\n\n") + 2) > 1:
                yield data[:end]
                data = data[end:]

    def take_tunneled(self, count: int) -> bytes:
        """So many bytes behind an answer that ended HTTP, or fewer if it ends before."""
        data, _ = self.peer.trailing_data
        while len(data) < count and (piece := self.connection.recv(count - len(data))):
            data += piece
        return data

    def _read_rest(self, event: Any, interim: Sequence[int]) -> Answer:
        assert isinstance(event, h11.Response | h11.InformationalResponse), event
        body = bytearray()
        trailers: Fields = ()
        if self.peer.their_state is not h11.SWITCHED_PROTOCOL:
            while isinstance(part := self.next_event(), h11.Data):
                body += part.data
            assert isinstance(part, h11.EndOfMessage), part
            trailers = _texts(part.headers)
            self.is_open = self.next_cycle()
        return Answer(
            event.status_code,
            event.reason.decode(),
            _texts(event.headers),
            bytes(body),
            trailers,
            tuple(interim),
        )


class Site:
    """A web service that tells what it was asked, as :class:`Told`.

    A query may want something else:

    * ``hints``: one more response before;
    * ``status=204``: that one, without a body;
    * ``length=9``, ``chunked=9``: so many bytes, with their length or in chunks and with a trailer;
    * ``close``: the connection ends with the answer, ``drop``: without one.

    Who asks for a tunnel gets one to an echo.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._connections = itertools.count(1)

    def __call__(self, connection: socket.socket) -> None:
        """Serves one connection."""
        peer = _Peer(connection, h11.SERVER)
        number = next(self._connections)
        # Who has no more to ask may reset it.
        with contextlib.suppress(ConnectionError):
            while self._serve(peer, number) and peer.next_cycle():
                pass

    def _serve(self, peer: _Peer, number: int) -> bool:
        """Answers one request: whether there was one, and may be another one."""
        request = peer.next_event()
        if not isinstance(request, h11.Request):
            return False
        target = request.target.decode()
        wanted = dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))
        if peer.peer.they_are_waiting_for_100_continue:
            peer.send(h11.InformationalResponse(status_code=100, headers=[]))
        length, trailers = self._read_body(peer)
        if "drop" in wanted:
            return False
        upgrade = _get(_texts(request.headers), "upgrade")
        if upgrade is not None or request.method == b"CONNECT":
            self._tunnel(peer, upgrade)
            return False
        if "hints" in wanted:
            peer.send(h11.InformationalResponse(status_code=103, headers=[("Link", HINT)]))
        closing = (("Connection", "close"),) if "close" in wanted else ()
        if "status" in wanted:
            peer.send(_response(int(wanted["status"]), ("ETag", '"x"'), *closing), h11.EndOfMessage())
        elif "length" in wanted:
            peer.send(_response(200, ("Content-Length", wanted["length"]), *closing))
            peer.send_body(FROM_SERVICE, int(wanted["length"]))
        elif "chunked" in wanted:
            peer.send(_response(200, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum"), *closing))
            peer.send_body(FROM_SERVICE, int(wanted["chunked"]), [("X-Sum", wanted["chunked"])])
        else:
            said = {
                "site": self.name,
                "connection": number,
                "method": request.method.decode(),
                "target": target,
                "fields": _texts(request.headers),
                "bytes": length,
                "trailers": trailers,
            }
            body = json.dumps(said).encode()
            head = _response(200, ("Content-Length", str(len(body))), ("X-Site", self.name), *closing)
            sent = b"" if request.method == b"HEAD" else body
            peer.send(head, h11.Data(data=sent), h11.EndOfMessage())
        return True

    def _read_body(self, peer: _Peer) -> tuple[int, Fields]:
        position = 0
        while isinstance(event := peer.next_event(), h11.Data):
            for at in range(0, len(event.data), PIECE_BYTES):
                data = bytes(event.data[at : at + PIECE_BYTES])
                if data != FROM_USER.at(position, len(data)):
                    raise AssertionError(f"the body is another one from its byte {position} on")
                position += len(data)
        assert isinstance(event, h11.EndOfMessage), event
        return position, _texts(event.headers)

    def _tunnel(self, peer: _Peer, upgrade: str | None) -> None:
        if upgrade is None:
            peer.send(h11.Response(status_code=200, reason="Tunnel To " + self.name, headers=[]))
        else:
            fields = [("Connection", "Upgrade"), ("Upgrade", upgrade), ("X-Site", self.name)]
            peer.send(h11.InformationalResponse(status_code=101, headers=fields))
        early, _ = peer.peer.trailing_data
        peer.connection.sendall(early)
        echo(peer.connection)


def _response(status: int, *fields: tuple[str, str]) -> h11.Response:
    return h11.Response(status_code=status, reason="As Asked", headers=list(fields))


def _texts(fields: Any) -> Fields:
    return [(name.decode(), value.decode("latin-1")) for name, value in fields]


def _get(fields: Fields, name: str) -> str | None:
    values = [value for each, value in fields if each == name.lower()]
    return ", ".join(values) if values else None
