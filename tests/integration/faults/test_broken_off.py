"""Users who leave in the middle of something: the flow ends within moments, at both ends and in between."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping

from attrs import define, field

from relaykit.sansio.control.pool import POOL_HEADROOM
from tests.integration.faults.case import ALLOWANCE_S, FaultTestCase, why_short
from tests.integration.programs import PATIENCE_S, Program, free_ports, frp_command, missing_frp
from tests.integration.relays import SECRET_KEY, Way
from tests.integration.scenarios import EACH_CONNECTION, EVERY_CARRIER, test_each
from tests.integration.traffic import LOOPBACK, PIECE_BYTES, dial, receive_exactly

GONE_WITHIN_S = 2.0
"""How long a flow may outlive its user."""

SOON_S = 90.0
"""When that must be over on any machine: before the kernel has found out by itself that a peer is gone, for
which it takes a minute of silence and another one of questions."""

TAKEN_BYTES = 256 * 1024
"""What a user takes of a download before it leaves."""

AT_ONCE = 10
"""Users at a time."""

IDLE = POOL_HEADROOM + 1
"""Idle connections that may be left for the next users, without mux."""

ORDER = b"d"
"""Orders a download; any other byte is the beginning of an upload, which nobody reads."""

_RESET = struct.pack("ii", 1, 0)

WITH_FRP = (EVERY_CARRIER[0], *EACH_CONNECTION[:2])

Leave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""How a user goes."""


@define(eq=False)
class Supplier:
    """A local service that sends without end to whoever orders it, and knows to how many."""

    lock: threading.Lock = field(factory=threading.Lock)
    serving: int = 0

    def __call__(self, user: socket.socket) -> None:
        """Serves one user until it is gone."""
        with self.lock:
            self.serving += 1
        try:
            piece = bytes(PIECE_BYTES)
            user.settimeout(None)
            if receive_exactly(user, 1) == ORDER:
                while True:
                    user.sendall(piece)
            # The user uploads, and this service is busy until it is told that nobody is there.
            while user.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                threading.Event().wait(0.1)
        except ConnectionError:
            pass
        finally:
            with self.lock:
                self.serving -= 1


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes the connection, with unread bytes in it."""
    writer.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Resets the connection."""
    plain: socket.socket = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def shut_down_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends its direction, goes on reading for a moment, and closes."""
    writer.write_eof()
    await reader.readexactly(PIECE_BYTES)
    writer.close()


async def download(port: int, leave: Leave, host: str) -> None:
    """Orders a download, takes some of it, and leaves."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port, local_addr=(host, 0))
    writer.write(ORDER)
    await asyncio.wait_for(reader.readexactly(TAKEN_BYTES), PATIENCE_S)
    await leave(reader, writer)


async def upload(port: int, leave: Leave, host: str) -> None:
    """Uploads until nothing more is taken, and leaves."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port, local_addr=(host, 0))
    try:
        while True:
            writer.write(b"u" * PIECE_BYTES)
            await asyncio.wait_for(writer.drain(), 1.0)
    except TimeoutError:
        await reset(reader, writer)


def come_and_leave(
    what: Callable[[int, Leave, str], Awaitable[None]], port: int, leave: Leave, users: int
) -> None:
    """So many users, some of them at a time."""

    async def come(first: int) -> None:
        for number in range(first, users, AT_ONCE):
            await what(port, leave, f"127.{1 + number % 200}.{1 + number // 200 % 200}.2")

    async def all_of_them() -> None:
        await asyncio.gather(*(come(first) for first in range(min(AT_ONCE, users))))

    asyncio.run(all_of_them())


class BrokenOffTestCase(FaultTestCase):
    """A service that is published and visited, and users who leave."""

    users = 3 * AT_ONCE

    def begin(self, way: Way) -> Mapping[str, Program]:
        """A server, a client that publishes the service twice, and a client that visits it."""
        self.supplier = Supplier()
        service = self.start_service(self.supplier)
        self.port, self.visitor_port = free_ports(2)
        server = self.start_server(way.server(self.bind_port))
        client = self.start_client(
            way.client,
            [
                {"name": "open", "type": "tcp", "localPort": service.port, "remotePort": self.port},
                {"name": "secret", "type": "stcp", "localPort": service.port, "secretKey": SECRET_KEY},
            ],
        )
        client.wait_for("start proxy success", 2)
        visitor = self.start_client(
            way.client,
            visitors=[
                {
                    "name": "visitor",
                    "type": "stcp",
                    "serverName": "secret",
                    "secretKey": SECRET_KEY,
                    "bindPort": self.visitor_port,
                }
            ],
        )
        visitor.wait_for("start visitor success")
        return {"server": server, "client": client, "visitor": visitor}

    def check_left(self, way: Way) -> None:
        """Whoever leaves, and however: soon there is nothing left of it anywhere."""
        programs = self.begin(way)
        for port in (self.port, self.visitor_port):
            come_and_leave(download, port, reset, 2)
        self.until("nobody is served", lambda: not self.supplier.serving)
        self.rest(1.0)
        before = {name: program.sockets() for name, program in programs.items()}
        for name, port in (("tcp", self.port), ("stcp", self.visitor_port)):
            for what, leave in (
                (download, close),
                (download, reset),
                (download, shut_down_and_close),
                (upload, reset),
            ):
                come_and_leave(what, port, leave, self.users)

                def is_over() -> bool:
                    return not self.supplier.serving and all(
                        program.sockets() <= before[name] + IDLE for name, program in programs.items()
                    )

                took_s = self.until("nothing is left", is_over, SOON_S)
                how = f"{name}, {what.__name__}, {leave.__name__}"
                self.took(f"{how}: nothing left after", took_s, GONE_WITHIN_S + ALLOWANCE_S)


@test_each("check_left", [EVERY_CARRIER[0], *EACH_CONNECTION[:2]])
@test_each("check_left", EVERY_CARRIER[1:] + EACH_CONNECTION[2:], why_short())
class BrokenOffTests(BrokenOffTestCase):
    """Both ends ours."""

    def test_half_close(self) -> None:
        """A user who only ended its own direction gets all that the service has to say, for long."""
        self.begin(EVERY_CARRIER[0])
        for port in (self.port, self.visitor_port):
            with dial(port) as user:
                user.sendall(ORDER)
                user.shutdown(socket.SHUT_WR)
                for _ in range(5):
                    self.assertEqual(len(receive_exactly(user, 16 * TAKEN_BYTES)), 16 * TAKEN_BYTES)
                    self.rest(GONE_WITHIN_S / 2)


class ManyBrokenOffTestCase(BrokenOffTestCase):
    """Ten thousand users who left leave no descriptor and no memory behind."""

    skip = why_short()
    many = 10_000

    def check_left(self, way: Way) -> None:
        """Descriptors and memory after a thousand are those after ten times as many."""
        programs = self.begin(way)
        come_and_leave(download, self.port, close, self.many // 10)
        self.until("nobody is served", lambda: not self.supplier.serving)
        self.rest(5.0)
        before = {
            name: (program.descriptors(), program.resident_bytes()) for name, program in programs.items()
        }
        come_and_leave(download, self.port, close, self.many)
        self.until("nobody is served", lambda: not self.supplier.serving)
        self.rest(5.0)
        for name, program in programs.items():
            descriptors, memory = before[name]
            self.figure(f"descriptors of the {name} before", descriptors, "")
            self.figure(f"descriptors of the {name} after", program.descriptors(), "")
            self.figure(f"memory of the {name} before", memory / 2**20, "MiB")
            self.figure(f"memory of the {name} after", program.resident_bytes() / 2**20, "MiB")
        for name, program in programs.items():
            self.assertLessEqual(program.descriptors(), before[name][0] + 1)
            self.assertLess(program.resident_bytes(), before[name][1] * 1.2)


@test_each("check_left", EVERY_CARRIER + EACH_CONNECTION)
class ManyBrokenOffTests(ManyBrokenOffTestCase):
    """Both ends ours."""


@test_each("check_left", WITH_FRP)
class FrpsBrokenOffTests(ManyBrokenOffTestCase):
    """The same with frp's server."""

    skip = why_short() or missing_frp()
    server_command = frp_command("frps")


@test_each("check_left", WITH_FRP)
class FrpcBrokenOffTests(ManyBrokenOffTestCase):
    """The same with frp's clients."""

    skip = why_short() or missing_frp()
    client_command = frp_command("frpc")
