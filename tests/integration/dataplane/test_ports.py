"""Listening and dialling on the loopback: versions of IP, unix sockets, endpoints, refusals, exhaustion."""

from __future__ import annotations

import errno
import gc
import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from twisted.internet.defer import CancelledError, gatherResults
from twisted.trial.unittest import SkipTest, TestCase

from relaykit.dataplane.dialing import dial, dial_endpoint, dial_unix
from relaykit.dataplane.listening import (
    ListeningPort,
    PortForbidden,
    PortInUse,
    PortUnavailable,
    listen_tcp,
    listen_unix,
)
from relaykit.dataplane.sockets import UNSENT_BYTES, SocketLeg
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IStreamLeg
from relaykit.nat.sockets import share_port
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, Ended
from tests.integration.dataplane.waiting import DEADLINE_S, Accepting, SocketWaiting

UNROUTABLE = "192.0.2.1"


def has_ipv6() -> bool:
    """Whether this machine has IPv6 on the loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def has_localhost() -> bool:
    """Whether this machine knows that name, as one of the IPv4 loopback at least."""
    try:
        return "127.0.0.1" in {each[4][0] for each in socket.getaddrinfo("localhost", None)}
    except OSError:
        return False


def need_localhost() -> None:
    """Skips the test where it does not."""
    if not has_localhost():
        raise SkipTest("this machine does not know localhost")


class PortTests(SocketWaiting, TestCase):
    """Ports and who dials them."""

    def setUp(self) -> None:
        super().setUp()
        self.accepting = Accepting()

    def listen(self, host: str, port: int = 0) -> ListeningPort:
        """An open port, closed after the test."""
        opened = listen_tcp(self.poller, host, port, self.accepting)
        self.addCleanup(opened.close)
        return opened

    def number(self, port: ListeningPort) -> int:
        """The number of a port."""
        assert port.address is not None
        return port.address.port

    async def drop(self, *legs: IStreamLeg) -> None:
        """Drops legs and waits until they are gone."""
        receivers = []
        for leg in legs:
            leg.abort()
            receivers.append(RecordingReceiver(leg))
        await self.until(lambda: all(receiver.lost is not None for receiver in receivers))

    async def test_prepared(self) -> None:
        """A socket is prepared before it connects: its port can then be shared with others."""
        port = self.listen("127.0.0.1")
        # The port may be one that a connection of somebody else has, too, who does not share it.
        for _ in range(100):
            near = await dial(self.poller, "127.0.0.1", self.number(port), prepare=share_port)
            far = await self.accepting.next()
            shared = _can_share(near.host.port)
            await self.drop(near, far)
            if shared:
                return
        self.fail("no port can be shared")

    async def test_addresses(self) -> None:
        """Both ends know both addresses, and the acceptor where a connection came from."""
        port = self.listen("127.0.0.1")
        near = await dial(self.poller, "127.0.0.1", self.number(port))
        far = await self.accepting.next()
        self.assertEqual(near.peer, port.address)
        self.assertEqual((far.peer, far.host), (near.host, near.peer))
        origin = self.accepting.origins[0]
        self.assertEqual((origin.source, origin.destination), (far.peer, far.host))
        await self.drop(near, far)

    async def test_every_address(self) -> None:
        """A port on every address is reached by IPv4, shown as such, and by IPv6."""
        hosts = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
        for everywhere in ("", "::", "0.0.0.0"):
            port = self.listen(everywhere)
            for host in hosts:
                near = await dial(self.poller, host, self.number(port))
                far = await self.accepting.next()
                self.assertEqual(far.host, Address(host, self.number(port)))
                await self.drop(near, far)
            port.close()

    async def test_one_version(self) -> None:
        """A port on an address of one version is not reached by the other."""
        if not has_ipv6():
            raise SkipTest("no IPv6 here")
        with closed_port() as number:
            try:
                self.listen("::1", number)
            except PortInUse as error:
                raise SkipTest("somebody else has the port of this number") from error
            with self.assertRaises(ConnectionFailed):
                await dial(self.poller, "127.0.0.1", number)

    async def test_name(self) -> None:
        """A name is resolved, and an address that refuses is followed by the next."""
        need_localhost()
        port = self.listen("127.0.0.1")
        near = await dial(self.poller, "localhost", self.number(port))
        far = await self.accepting.next()
        await self.drop(near, far)

    async def test_source(self) -> None:
        """The source address can be chosen."""
        port = self.listen("127.0.0.1")
        near = await dial(self.poller, "127.0.0.1", self.number(port), source="127.0.0.2")
        far = await self.accepting.next()
        assert far.peer is not None
        self.assertEqual(cast(Address, far.peer).host, "127.0.0.2")
        await self.drop(near, far)

    async def test_options(self) -> None:
        """Both ends have no delay and keepalive."""
        port = self.listen("127.0.0.1")
        near = await dial(self.poller, "127.0.0.1", self.number(port))
        far = await self.accepting.next()
        for leg in (near, far):
            assert isinstance(leg, SocketLeg)
            with socket.socket(fileno=os.dup(leg.fileno())) as plain:
                self.assertTrue(plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                self.assertTrue(plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            self.assertFalse(os.get_blocking(leg.fileno()))
        await self.drop(near, far)

    async def test_keepalive(self) -> None:
        """What a port is opened with, its connections have."""
        port = listen_tcp(self.poller, "127.0.0.1", 0, self.accepting, keepalive_s=-1)
        self.addCleanup(port.close)
        near = await dial(self.poller, "127.0.0.1", self.number(port))
        far = await self.accepting.next()
        assert isinstance(far, SocketLeg)
        with socket.socket(fileno=os.dup(far.fileno())) as plain:
            self.assertFalse(plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        await self.drop(near, far)

    async def test_favor_latency(self) -> None:
        """A leg that favors latency keeps what the kernel has not sent small."""
        if not hasattr(socket, "TCP_NOTSENT_LOWAT"):
            raise SkipTest("this platform has no such option")
        port = self.listen("127.0.0.1")
        near = await dial(self.poller, "127.0.0.1", self.number(port))
        far = await self.accepting.next()
        assert isinstance(near, SocketLeg)
        near.favor_latency()
        with socket.socket(fileno=os.dup(near.fileno())) as plain:
            limit = plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        self.assertEqual(limit, UNSENT_BYTES)
        await self.drop(near, far)
        near.favor_latency()

    async def test_refused(self) -> None:
        """Nobody listening: the text says where and why."""
        with closed_port() as number, self.assertRaises(ConnectionFailed) as caught:
            await dial(self.poller, "127.0.0.1", number)
        self.assertEqual(str(caught.exception), f"cannot connect to 127.0.0.1:{number}: connection refused")

    async def test_itself(self) -> None:
        """A connection that meets itself is refused and gone: whose port it is can listen there."""
        host = "127.0.0.1"
        service = socket.socket()
        self.addCleanup(service.close)
        service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        service.bind((host, 0))
        number = service.getsockname()[1]

        def bind_there(plain: socket.socket) -> None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            plain.bind((host, number))

        with self.assertRaises(ConnectionFailed) as caught:
            await dial(self.poller, host, number, prepare=bind_there)
        self.assertEqual(str(caught.exception), f"cannot connect to {host}:{number}: connection refused")
        service.listen()

    async def test_deadline_and_cancel(self) -> None:
        """Who does not answer is given up after the deadline, or when nobody waits any more."""
        full = socket.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        self.addCleanup(full.close)
        number = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", number))
            self.addCleanup(filler.close)
        with self.assertRaises(ConnectionFailed) as caught:
            await dial(self.poller, "127.0.0.1", number, timeout_s=0.05)
        self.assertIn("no answer within 0.05 seconds", str(caught.exception))
        dialling = dial(self.poller, "127.0.0.1", number)
        dialling.cancel()
        with self.assertRaises(CancelledError):
            await dialling

    async def test_port_in_use(self) -> None:
        """A port that somebody has is told apart from one that is impossible."""
        port = self.listen("127.0.0.1")
        self.assertRaises(PortInUse, self.listen, "127.0.0.1", self.number(port))
        self.assertRaises(PortInUse, self.listen, "", self.number(port))
        self.assertRaises(PortUnavailable, self.listen, UNROUTABLE)
        for nonsense in ("not an address", "[::]", "a..b", "nul\0"):
            error = self.assertRaises(PortUnavailable, self.listen, nonsense)
            self.assertIn(f"{nonsense} is not an IP address", str(error))
        if _is_forbidden(1):
            self.assertRaises(PortForbidden, self.listen, "127.0.0.1", 1)

    async def test_again(self) -> None:
        """A port that was closed can be opened again at once, with connections of before alive."""
        port = self.listen("127.0.0.1")
        near = await dial(self.poller, "127.0.0.1", self.number(port))
        far = await self.accepting.next()
        port.close()
        again = self.listen("127.0.0.1", self.number(port))
        near.write(b"alive")
        receiver = RecordingReceiver(far)
        await self.until(lambda: receiver.data == b"alive")
        again.close()
        await self.drop(near, far)

    async def test_unix(self) -> None:
        """Unix sockets: permissions, an abandoned one, one in use."""
        path = self.mktemp()
        port = listen_unix(self.poller, path, self.accepting, mode=0o620)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o620)
        self.assertRaises(PortInUse, listen_unix, self.poller, path, self.accepting)
        # Whether somebody listens is found out by connecting.
        await self.drop(await self.accepting.next())
        near = await dial_unix(self.poller, path)
        far = await self.accepting.next()
        self.assertIsNone(far.peer)
        await self.drop(near, far)
        port.close()
        port = listen_unix(self.poller, path, self.accepting)
        port.close()
        with self.assertRaises(ConnectionFailed):
            await dial_unix(self.poller, path)
        self.assertRaises(
            PortUnavailable, listen_unix, self.poller, os.path.join(path, "below"), self.accepting
        )

    async def test_unix_queue_full(self) -> None:
        """A unix socket whose service has not accepted others yet is waited for; then it is too late."""
        path = self.mktemp()
        service = socket.socket(socket.AF_UNIX)
        self.addCleanup(service.close)
        service.bind(path)
        service.listen(0)
        waiting = await dial_unix(self.poller, path)
        with self.assertRaises(ConnectionFailed) as refused:
            await dial_unix(self.poller, path, 0.1)
        self.assertIn("no answer within", str(refused.exception))
        dialed = dial_unix(self.poller, path)
        self.assertFalse(dialed.called)
        service.accept()[0].close()
        near = await dialed
        accepted, _ = service.accept()
        accepted.setblocking(False)
        far = SocketLeg(self.poller, accepted)
        receiver = RecordingReceiver(far)
        near.write(b"hello")
        await self.until(lambda: receiver.data == b"hello")
        await self.drop(waiting, near, far)

    async def test_endpoint_strings(self) -> None:
        """TCP, unix, and what only Twisted knows are dialled by their strings."""
        need_localhost()
        port = self.listen("127.0.0.1")
        path = self.mktemp()
        unix = listen_unix(self.poller, path, self.accepting)
        self.addCleanup(unix.close)
        number = self.number(port)
        for endpoint in (
            f"tcp:127.0.0.1:{number}",
            f"tcp:port={number}:host=localhost:timeout=60",
            f"unix:{path}",
            f"unix:{path}:lockfile=0",
        ):
            near = await dial_endpoint(self.poller, endpoint)
            far = await self.accepting.next()
            receiver = RecordingReceiver(far)
            near.write(b"hello")
            await self.until(lambda: receiver.data == b"hello")  # noqa: B023  # called at once
            self.assertIsInstance(near, SocketLeg)
            await self.drop(near, far)

    async def test_many_at_once(self) -> None:
        """A burst of connections is accepted whole."""
        port = self.listen("127.0.0.1")
        near = await gatherResults([dial(self.poller, "127.0.0.1", self.number(port)) for _ in range(200)])
        await self.until(lambda: len(self.accepting.legs) == 200)
        await self.drop(*near, *self.accepting.legs)

    async def test_descriptor_exhaustion(self) -> None:
        """Without descriptors nobody hangs: who comes is refused; afterwards all is as before."""
        port = self.listen("127.0.0.1")
        # The reactor needs descriptors itself when it begins to run.
        await self.rest()
        # What is left of other tests must not give descriptors back in between.
        gc.collect()
        fillers: list[int] = []
        clients = [socket.socket() for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        try:
            while True:
                try:
                    fillers.append(os.open(os.devnull, os.O_RDONLY))
                except OSError:
                    break
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", self.number(port)))
            # The kernel has accepted them; this process ends them.
            await self.until(lambda: all(_has_ended(client) for client in clients))
        finally:
            for filler in fillers:
                os.close(filler)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for client in clients:
                client.close()
        near = await dial(self.poller, "127.0.0.1", self.number(port))
        far = await self.accepting.next()
        await self.drop(near, far)


class LoopbackTlsTests(SocketWaiting, TestCase):
    """A Twisted endpoint with layers of its own."""

    async def test_tls_endpoint(self) -> None:
        """What Twisted's own TLS endpoint connects is adapted; its refusal is a failed connection."""
        accepting = Accepting()
        port = listen_tcp(self.poller, "127.0.0.1", 0, accepting)
        self.addCleanup(port.close)
        assert port.address is not None
        connecting = dial_endpoint(self.poller, f"tls:127.0.0.1:{port.address.port}", timeout_s=DEADLINE_S)
        far = await accepting.next()
        receiver = RecordingReceiver(far)
        await self.until(lambda: receiver.data.startswith(b"\x16\x03"))
        far.abort()
        near = await connecting
        lost = RecordingReceiver(near)
        await self.until(lambda: lost.lost is not None and receiver.lost is not None)
        self.assertIn(lost.lost, (Ended.RESET, Ended.FINISHED))


def _can_share(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        share_port(other)
        try:
            other.bind(("0.0.0.0", port))
            other.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of the IPv4 loopback on which nobody listens, and nobody can begin to."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


def _is_forbidden(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return True
        except OSError:
            pass
        return False


def _has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
