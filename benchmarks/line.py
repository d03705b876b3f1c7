"""A slow line in a process of its own: ``python -m benchmarks.line PORT TARGET BYTES_A_SECOND``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time

__all__ = ["serve"]

_PIECE = 16 * 1024
_BUFFER = 64 * 1024
"""Size of the kernel's buffers: what a small router holds back."""


class Lane:
    """One direction of the line; its connections take turns."""

    def __init__(self, bytes_a_second: float) -> None:
        self._bytes_a_second = bytes_a_second
        self._free_at = time.monotonic()

    async def carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Carries what one end of a connection sends, until it ends."""
        with contextlib.suppress(OSError):
            while data := await source.read(_PIECE):
                self._free_at = max(self._free_at, time.monotonic()) + len(data) / self._bytes_a_second
                await asyncio.sleep(self._free_at - time.monotonic())
                target.write(data)
                await target.drain()
        target.close()


async def serve(port: int, target: int, bytes_a_second: float) -> None:
    """Carries connections from one port of the loopback to another for ever, so much each way in all."""
    there, back = Lane(bytes_a_second), Lane(bytes_a_second)

    async def accepted(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far_in, far_out = await asyncio.open_connection("127.0.0.1", target, limit=_PIECE)
        for writer in (near_out, far_out):
            plain = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writer.transport.set_write_buffer_limits(0)
        await asyncio.gather(there.carry(near_in, far_out), back.carry(far_in, near_out))

    server = await asyncio.start_server(accepted, "127.0.0.1", port, limit=_PIECE)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
