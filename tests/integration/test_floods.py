"""Peers that send as much as they can of what serves nobody: they are cut off, and nobody else notices."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator

from relaykit.sansio.control import events
from relaykit.sansio.wire.framing import V1
from relaykit.sansio.wire.messages import NewProxy, NewWorkConn, Ping
from relaykit.server.acceptor import BYTES_BEFORE_LOGIN
from tests.integration.peers import MuxHandClient, mux_frame
from tests.integration.programs import PATIENCE_S
from tests.integration.test_bad_input import ServerTests
from tests.integration.traffic import dial

SYN, FIN, RST = 1, 4, 8

MOST_PORTIONS = 4000
"""Portions that a flood may send until it is cut off: many times what a server bears."""

PORTION_FRAMES = 500

STALLED_S = 3.0
"""How long a flood waits for a server that reads nothing until it counts as held up."""

MOST_UNREAD_BYTES = 64 * 1024 * 1024
"""Bytes that a server may take from who reads nothing: far more than the buffers of both kernels."""


def _opened(end: Callable[[int], bytes]) -> Iterator[bytes]:
    """Streams one after the other, each with what ends it."""
    for number in itertools.count(3, 2 * PORTION_FRAMES):
        streams = range(number, number + 2 * PORTION_FRAMES, 2)
        yield b"".join(mux_frame(1, SYN, stream, 0) + end(stream) for stream in streams)


def _repeated(frame: bytes) -> Iterator[bytes]:
    return itertools.repeat(frame * PORTION_FRAMES)


def reset(stream: int) -> bytes:
    """A stream that is dropped as soon as it is there."""
    return mux_frame(1, RST, stream, 0)


def ended(stream: int) -> bytes:
    """A stream on which nothing is said."""
    return mux_frame(1, FIN, stream, 0)


def garbage(stream: int) -> bytes:
    """A stream that begins as none does."""
    return mux_frame(0, 0, stream, 1, b"Z")


class FloodTests(ServerTests):
    """One who floods a server with what it can be flooded with."""

    def check_cut_off(self, link: socket.socket, flood: Iterator[bytes]) -> None:
        """A flood is sent until the link is closed, which it must be; others are served."""
        with link:
            self.assertTrue(self._is_cut_off(link, flood))
        self.check_unharmed()

    def _is_cut_off(self, link: socket.socket, flood: Iterator[bytes]) -> bool:
        for number, portion in enumerate(itertools.islice(flood, MOST_PORTIONS)):
            link.settimeout(PATIENCE_S)
            try:
                link.sendall(portion)
                link.settimeout(0)
                while link.recv(1 << 20):
                    pass
                return True
            except BlockingIOError:
                if number % 20 == 0:
                    self.speak()
            except ConnectionError:
                return True
        return False

    def test_streams_before_login(self) -> None:
        """Who opens streams without a login may open a few."""
        for end in (reset, ended, garbage):
            self.check_cut_off(dial(self.bind_port), _opened(end))

    def test_bytes_before_login(self) -> None:
        """Who says nothing of use without a login may not say much."""
        half = mux_frame(1, SYN, 1, 0) + mux_frame(0, 0, 1, 9, b"o" + bytes(7) + b"\x7f")
        frames = itertools.repeat(mux_frame(0, 0, 3, 1000, bytes(1000)), BYTES_BEFORE_LOGIN // 500)
        self.check_cut_off(dial(self.bind_port), itertools.chain([half], frames))

    def test_streams_for_nothing(self) -> None:
        """A client may open streams for nothing for a while, not for ever."""
        for end in (reset, ended, garbage):
            self.check_cut_off(MuxHandClient(self.bind_port).socket, _opened(end))

    def test_work_connections_for_nothing(self) -> None:
        """Neither may it open work connections and drop them at once."""
        client = MuxHandClient(self.bind_port)
        message = V1.encode(NewWorkConn(run_id=client.run_id))
        self.check_cut_off(
            client.socket,
            _opened(lambda stream: mux_frame(0, 0, stream, len(message), message) + reset(stream)),
        )

    def test_frames_for_nothing(self) -> None:
        """It may send frames that move nothing for a while, not for ever."""
        for frame in (
            mux_frame(2, SYN, 0, 7),
            mux_frame(1, 0, 1, 1),
            mux_frame(0, 0, 1, 0),
            mux_frame(0, 0, 999, 1, b"x"),
            mux_frame(3, 0, 0, 0),
        ):
            self.check_cut_off(MuxHandClient(self.bind_port).socket, _repeated(frame))

    def test_pings_unread(self) -> None:
        """A client that pings and does not read is not read either: the server keeps little for it."""
        client = MuxHandClient(self.bind_port)
        before = self.server.resident_bytes()
        with client.socket as link:
            link.settimeout(STALLED_S)
            taken = 0
            try:
                while taken < MOST_UNREAD_BYTES:
                    portion = client.control_bytes(*[Ping()] * PORTION_FRAMES)
                    link.sendall(portion)
                    taken += len(portion)
            except (TimeoutError, ConnectionError):
                pass
            self.assertLess(taken, MOST_UNREAD_BYTES)
            self.assertLess(self.server.resident_bytes() - before, MOST_UNREAD_BYTES)
            self.speak()
        self.check_unharmed()

    def test_small_pieces(self) -> None:
        """A client that says what it says byte by byte is served like any other, and so are the others."""
        client = MuxHandClient(self.bind_port)
        for _ in range(20):
            content = client.control_bytes(*[Ping()] * 100)
            payload = content[12:]
            client.socket.sendall(
                b"".join(mux_frame(0, 0, 1, 1, payload[at : at + 1]) for at in range(len(payload)))
            )
            self.speak()
            client.register("other", "nosuch", {})
            client.wait_for(events.ProxyRefused)
        client.socket.close()
        self.check_unharmed()

    def test_registrations(self) -> None:
        """A client may ask for proxies that it does not get for as long as it likes: others are served."""
        client = MuxHandClient(self.bind_port)
        for number in range(10):
            names = (f"proxy {number} {each}" for each in range(200))
            client.socket.sendall(
                client.control_bytes(*(NewProxy(proxy_name=name, proxy_type="nosuch") for name in names))
            )
            self.speak()
            for _ in range(200):
                client.wait_for(events.ProxyRefused)
        client.socket.close()
        self.check_unharmed()
