"""Users of a folder over HTTP/1.1, on twisted.web's parser.

Whatever may wait for a disk does so in threads; of a file no more is in memory than one piece for each user.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, succeed
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web import http

from relaykit.local_services.static_file.folder import FileChanged, Folder, Listed, OpenedFile
from relaykit.local_services.static_file.listing import LISTING_POLICY, link_to, listing_page
from relaykit.local_services.static_file.paths import Asked, Moved, parse_path
from relaykit.local_services.static_file.types import type_of
from relaykit.sansio.http.conditions import Outcome
from relaykit.sansio.http.credentials import Credentials, parse_basic
from relaykit.sansio.http.ranges import ByteRange, NotSatisfiable, parse_ranges
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime

__all__ = ["FILE_PIECE_BYTES", "MOST_AT_DISK", "REFUSED_S", "STEP_S", "FolderSite", "InThread"]

InThread: TypeAlias = Callable[[Callable[[], Any]], "Deferred[Any]"]
"""Makes a call that may block."""

STEP_S: Final = 60.0
"""Seconds for each step: until the next request is complete, as with frp, until a disk has answered, and
until a user has taken a piece, which over the slowest of lines takes half of that."""

REFUSED_S: Final = 0.2
"""Seconds until a wrong password is answered; frp's figure."""

MOST_AT_DISK: Final = 16
"""Calls for one folder that wait for a disk at once, each with a thread: more than a disk does at a time."""

FILE_PIECE_BYTES: Final = 512 * 1024
"""Bytes of a file that are read at once: a slow user has two of these in memory, one on its way and the next;
with a quarter of that, most of the time goes into changes between threads."""

MOST_HEADERS: Final = 100
"""Headers of one request; browsers send some twenty."""

MOST_HEAD_BYTES: Final = 32 * 1024
"""Bytes of the head of one request: long paths and cookies have room."""

MOST_BODY_BYTES: Final = 64 * 1024
"""Bytes of a body that are passed over: nobody has to send one, since nothing is taken here."""

_BOUNDARY_BYTES: Final = 12


@frozen
class _Piece:
    """Bytes that are there, or a part of the file."""

    text: bytes = b""
    part: ByteRange = (0, 0)

    @property
    def size(self) -> int:
        return len(self.text) + self.part[1] - self.part[0]


class _Request(http.Request):
    """One request; its body is passed over."""

    channel: _Channel | None  # type: ignore[assignment]
    is_gone = False
    _body_bytes = 0

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > MOST_BODY_BYTES and self.channel is not None:
            self.channel.drop()

    def handleContentChunk(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > MOST_BODY_BYTES and self.channel is not None:
            self.channel.drop()

    def parseCookies(self) -> None:
        """There are none."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        channel = self.channel
        if channel is None:
            return
        self.method, self.uri, self.clientproto = command, path, version
        Deferred.fromCoroutine(channel.site.serve(self, channel))

    def connectionLost(self, reason: Any) -> None:
        self.is_gone = True
        super().connectionLost(reason)

    def field(self, name: bytes) -> bytes | None:
        """The value of a field; all of them where there are several."""
        values = self.requestHeaders.getRawHeaders(name)
        return None if values is None else b", ".join(values)

    def begin(self, status: int, size: int | None, fields: dict[bytes, bytes]) -> None:
        """Says what comes."""
        self.setResponseCode(status, http.RESPONSES.get(status, b"-"))
        self.setHeader(b"Date", http.datetimeToString())
        self.setHeader(b"X-Content-Type-Options", b"nosniff")
        for name, value in fields.items():
            self.setHeader(name, value)
        if size is not None:
            self.setHeader(b"Content-Length", b"%d" % size)

    def tell(self, status: int, **fields: bytes) -> None:
        """Answers in a few words."""
        words = http.RESPONSES.get(status, b"")
        text = b"" if status in (301, 304) else b"%d %b\n" % (status, words)
        named = {name.replace("_", "-").title().encode(): value for name, value in fields.items()}
        if text:
            named[b"Content-Type"] = b"text/plain; charset=utf-8"
        self.begin(status, None if status == 304 else len(text), named)
        self.write(text)


class _Channel(http.HTTPChannel):
    """One user; the next step has a deadline, whichever that is."""

    maxHeaders = MOST_HEADERS
    totalHeadersSize = MOST_HEAD_BYTES
    requestFactory = _Request
    factory: FolderSite

    def __init__(self, site: FolderSite) -> None:
        super().__init__()
        self.site = site
        self._timer = Timer(site.clock, self.drop)
        self._is_full = False
        self._room: Deferred[None] | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.step()

    def allContentReceived(self) -> None:
        self.step()
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        self.step()
        super().requestDone(request)

    def pauseProducing(self) -> None:
        self._is_full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._is_full = False
        super().resumeProducing()
        self._go_on()

    def connectionLost(self, reason: Any = None) -> None:
        self._timer.stop()
        super().connectionLost(reason)
        self._go_on()

    def step(self) -> None:
        """The next step begins."""
        self._timer.set(self.site.clock.seconds() + STEP_S)

    def drop(self) -> None:
        """Ends it at once: also in the middle of an answer, which its reader then knows not to have."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def room(self) -> Deferred[None]:
        """Fires once the user takes more, or is gone."""
        self.step()
        if not self._is_full:
            return succeed(None)
        self._room = Deferred()
        return self._room

    def _go_on(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)


class FolderSite(ServerFactory):
    """Serves a folder.

    :param prefix: what all paths begin with, and files do not.
    :param expected: the credentials that users need, if any.
    :param in_thread: makes calls that may block.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        folder: Folder,
        prefix: str,
        expected: Credentials | None,
        clock: IReactorTime,
        in_thread: InThread,
    ) -> None:
        self.clock = clock
        self._folder = folder
        self._prefix = prefix
        self._expected = expected
        self._in_thread = in_thread
        self._at_disk = DeferredSemaphore(MOST_AT_DISK)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        channel = _Channel(self)
        channel.factory = self
        channel.timeOut = None  # the channel has a timer of its own
        return channel

    def log(self, request: http.Request) -> None:
        """Is told of each request that is over."""

    async def serve(self, request: _Request, channel: _Channel) -> None:
        """Answers a request; nothing that goes wrong with it gets out of here."""
        try:
            await self._serve(request, channel)
            if not request.is_gone:
                await channel.room()
            if not request.is_gone:
                request.finish()
        except (OSError, FileChanged) as error:
            # Its length is promised already.
            self._log.warn(
                "a file in {folder} is sent in part only: {error!r}", folder=self._folder.path, error=error
            )
            channel.drop()
        except CancelledError:
            channel.drop()
        except Exception:
            self._log.failure("a defect while a folder was served")
            channel.drop()

    async def _serve(self, request: _Request, channel: _Channel) -> None:
        asked = parse_path(request.uri, self._prefix)
        if request.method not in (b"GET", b"HEAD"):
            request.tell(405, allow=b"GET, HEAD")
        elif asked is None:
            request.tell(404)
        elif isinstance(asked, Moved):
            request.tell(301, location=asked.location.encode("latin-1", "replace"))
        elif not self._admits(request):
            await deferLater(self.clock, REFUSED_S)
            if not request.is_gone:
                request.tell(401, www_authenticate=b'Basic realm="Restricted", charset="UTF-8"')
        elif not asked.is_folder and asked.names[-1] == "index.html":
            request.tell(301, location=b"./")
        else:
            await self._find(request, channel, asked)

    def _admits(self, request: _Request) -> bool:
        if self._expected is None:
            return True
        given = parse_basic(request.field(b"Authorization"))
        return given is not None and given.match(self._expected)

    async def _find(self, request: _Request, channel: _Channel, asked: Asked) -> None:
        try:
            found = await self._call(lambda: self._folder.open(asked.names, wants_folder=asked.is_folder))
        except (OSError, ValueError) as error:
            if not request.is_gone:
                request.tell(403 if isinstance(error, PermissionError) else 404)
            return
        if isinstance(found, OpenedFile):
            try:
                if not request.is_gone:
                    name = "index.html" if asked.is_folder else asked.names[-1]
                    await self._send(request, channel, found, type_of(name).encode())
            finally:
                found.close()
        elif request.is_gone:
            return
        elif found is None:
            request.tell(301, location=f"./{link_to(asked.names[-1])}/".encode())
        else:
            await self._list(request, asked, found)

    async def _list(self, request: _Request, asked: Asked, listed: Listed) -> None:
        # Thousands of lines take a while, and others are not to wait for them.
        page = await self._call(lambda: listing_page(asked.path, listed, has_parent=bool(asked.names)))
        if request.is_gone:
            return
        fields = {
            b"Content-Type": b"text/html; charset=utf-8",
            b"Content-Security-Policy": LISTING_POLICY.encode(),
            b"Cache-Control": b"no-cache",
        }
        request.begin(200, len(page), fields)
        request.write(page)

    async def _send(self, request: _Request, channel: _Channel, file: OpenedFile, kind: bytes) -> None:
        validators = file.validators
        outcome = validators.judge(request.field)
        fields = {
            b"Accept-Ranges": b"bytes",
            b"ETag": validators.tag,
            b"Last-Modified": validators.date,
        }
        if outcome is not Outcome.SENT:
            request.tell(outcome.value, etag=validators.tag, last_modified=validators.date)
            return
        asked = request.field(b"Range") if request.method == b"GET" else None
        parts: Sequence[ByteRange] = ()
        if asked is not None and validators.continues(request.field(b"If-Range")):
            try:
                parts = parse_ranges(asked, file.size)
            except NotSatisfiable:
                request.tell(416, content_range=b"bytes */%d" % file.size)
                return
        pieces = [_Piece(part=each) for each in parts or [(0, file.size)]]
        if len(parts) == 1:
            fields[b"Content-Range"] = _content_range(parts[0], file.size)
        elif parts:
            boundary = os.urandom(_BOUNDARY_BYTES).hex().encode()
            pieces = _multipart(parts, file.size, kind, boundary)
            kind = b"multipart/byteranges; boundary=" + boundary
        fields[b"Content-Type"] = kind
        request.begin(206 if parts else 200, sum(each.size for each in pieces), fields)
        if request.method == b"HEAD":
            request.write(b"")
            return
        for piece in pieces:
            await self._send_piece(request, channel, file, piece)
        request.write(b"")

    async def _send_piece(
        self, request: _Request, channel: _Channel, file: OpenedFile, piece: _Piece
    ) -> None:
        if piece.text:
            request.write(piece.text)
        at, end = piece.part
        ahead = self._read(file, at, end)
        try:
            while at < end and not request.is_gone:
                reading, ahead = ahead, succeed(b"")
                data = await reading
                at += len(data)
                ahead = self._read(file, at, end)
                request.write(data)
                await channel.room()
        finally:
            # Whoever closes the file must not take it from under a thread that reads.
            await ahead.addErrback(lambda failure: None)

    def _read(self, file: OpenedFile, at: int, end: int) -> Deferred[bytes]:
        """Begins to read the next bytes, while those before are on their way."""
        if at >= end:
            return succeed(b"")
        return self._at_disk.run(self._in_thread, partial(file.read, at, min(FILE_PIECE_BYTES, end - at)))

    async def _call(self, function: Callable[[], Any]) -> Any:
        return await self._at_disk.run(self._in_thread, function)


def _content_range(part: ByteRange, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (part[0], part[1] - 1, size)


def _multipart(parts: Sequence[ByteRange], size: int, kind: bytes, boundary: bytes) -> list[_Piece]:
    """Source: RFC 9110 section 14.6."""
    pieces: list[_Piece] = []
    for part in parts:
        head = b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n" % (
            *(boundary, kind),
            _content_range(part, size),
        )
        pieces += (_Piece(head), _Piece(part=part))
    return [*pieces, _Piece(b"\r\n--%b--\r\n" % boundary)]
