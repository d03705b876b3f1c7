"""A wire with scissors: forwards connections to a port, and cuts all of them when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

from tests.integration.traffic import LOOPBACK, PIECE_BYTES

__all__ = ["Cutter"]

_RESET = struct.pack("ii", 1, 0)


class Cutter:
    """Forwards what comes to :attr:`port`, until :meth:`stop`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        threading.Thread(target=self._run, name="cutter", daemon=True).start()
        self._ready.wait(10)

    def cut(self) -> None:
        """Resets every connection, at both ends."""
        self._loop.call_soon_threadsafe(self._cut)

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

    def _cut(self) -> None:
        for writer in list(self._open):
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
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
