"""A wire with scissors: forwards connections to a port, and cuts all of them when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

from tests.integration.programs import PATIENCE_S
from tests.integration.traffic import LOOPBACK, PIECE_BYTES

__all__ = ["Cutter"]

_RESET = struct.pack("ii", 1, 0)


class Cutter:
    """Forwards what comes to :attr:`port`, until :meth:`stop`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: dict[asyncio.StreamWriter, None] = {}
        """Both ends of each connection, the oldest first."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        threading.Thread(target=self._run, name="cutter", daemon=True).start()
        assert self._ready.wait(PATIENCE_S), "the wire does not stand"

    def cut(self, kept: int = 0) -> None:
        """Resets every connection, at both ends, but for the oldest ``kept``."""
        self._loop.call_soon_threadsafe(self._cut, kept)

    def stop(self) -> None:
        """Cuts, and takes no more connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accepted, LOOPBACK, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._cut()
        self._loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self._loop), return_exceptions=True))
        self._loop.close()

    def _cut(self, kept: int = 0) -> None:
        for writer in list(self._open)[2 * kept :]:
            plain: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer: None, far_writer: None}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            del self._open[writer], self._open[far_writer]
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
