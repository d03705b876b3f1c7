"""QUIC as a load: a service that echoes streams, and a client that checks every byte of them."""

from __future__ import annotations

import asyncio
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tests.integration.certificates import Certified
from tests.integration.programs import PATIENCE_S
from tests.integration.traffic import FROM_USER, LOOPBACK, PIECE_BYTES

__all__ = ["QuicEcho", "exchange_quic", "missing_quic"]

_LIBRARY = next((name for name in ("qh3", "aioquic") if find_spec(name)), "")
"""Two libraries with the same interface."""

_PROTOCOL = "echo"


def missing_quic() -> str | None:
    """Why QUIC cannot be tried; None where it can."""
    return None if _LIBRARY else "neither qh3 nor aioquic is installed"


def _module(name: str) -> Any:
    return import_module(f"{_LIBRARY}.{name}")


def _configuration(**settings: Any) -> Any:
    return _module("quic.configuration").QuicConfiguration(alpn_protocols=[_PROTOCOL], **settings)


class QuicEcho:
    """A service that sends back what it gets on each stream, in a thread of its own."""

    def __init__(self, certified: Certified) -> None:
        self.port = 0
        self._certified = certified
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(PATIENCE_S):
            raise AssertionError("the QUIC service does not start")

    def stop(self) -> None:
        """Ends it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self) -> None:
        configuration = _configuration(is_client=False)
        configuration.load_cert_chain(self._certified.certificate, self._certified.key)
        server = await _module("asyncio").serve(
            LOOPBACK, 0, configuration=configuration, stream_handler=self._accepted
        )
        self.port = server._transport.get_extra_info("sockname")[1]

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._loop.create_task(_echo(reader, writer))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE_BYTES):
        writer.write(data)
    writer.write_eof()


def exchange_quic(port: int, authority: str, count: int) -> None:
    """A user of that service who sends so many bytes and compares all that comes back."""
    asyncio.run(asyncio.wait_for(_exchange(port, authority, count), PATIENCE_S))


async def _exchange(port: int, authority: str, count: int) -> None:
    configuration = _configuration(is_client=True, server_name="echo.example")
    configuration.load_verify_locations(authority)
    async with _module("asyncio").connect(LOOPBACK, port, configuration=configuration) as connection:
        reader, writer = await connection.create_stream()
        for position in range(0, count, PIECE_BYTES):
            writer.write(FROM_USER.at(position, min(PIECE_BYTES, count - position)))
        writer.write_eof()
        position = 0
        while data := await reader.read(PIECE_BYTES):
            if data != FROM_USER.at(position, len(data)):
                raise AssertionError(f"the {len(data)} bytes from {position} on are not those that were sent")
            position += len(data)
        if position != count:
            raise AssertionError(f"the stream ended after {position} of {count} bytes")
