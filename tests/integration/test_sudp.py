"""``sudp`` between real programs: ours and frp's in every role, in every version of the wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SkipTest

from tests.carriers.quic.lines import missing
from tests.integration.datagram_traffic import DatagramService, DatagramUser, ask_all
from tests.integration.programs import Program, free_ports, frp_command, missing_frp, relaykit_command
from tests.integration.relays import NOTHING, SECRET_KEY, RelayTestCase, Table

MANY_USERS = 50
"""Users at once of one visitor."""

MOST_BYTES = 65_507
"""What a datagram can have."""

FRP_BYTES = 1500
"""What frp's format carries unless ``udpPacketSize`` says otherwise."""


SEALED: Table = {"transport.useEncryption": True, "transport.useCompression": True}
"""A proxy, or a visitor, whose connections are encrypted and compressed."""


@frozen
class End:
    """One client: whose program it is, and which version of the wire it speaks."""

    is_frp: bool
    wire: str

    @property
    def name(self) -> str:
        """For the names of tests."""
        return f"{'frp' if self.is_frp else 'our'}_{self.wire}"

    @property
    def command(self) -> Sequence[str]:
        """How it is started."""
        return frp_command("frpc") if self.is_frp else relaykit_command("frpc")

    @property
    def is_binary(self) -> bool:
        """Whether our server agrees with it on our own format."""
        return not self.is_frp and self.wire == "v2"


ENDS = [End(is_frp, wire) for is_frp in (False, True) for wire in ("v1", "v2")]

OUR_END = End(False, "v2")


class SudpTestCase(RelayTestCase):
    """A provider, a visitor and a service that echoes."""

    def setUp(self) -> None:
        """Starts the service."""
        super().setUp()
        self.service = DatagramService()
        self.addCleanup(self.service.stop)
        self.port, self.sealed_port = free_ports(2)

    def provide(self, end: End = OUR_END, *, proxy: Table | None = None, **table: Any) -> Program:
        """A client that has the proxy twice, once encrypted and compressed; ready."""
        own = {"type": "sudp", "localPort": self.service.port, "secretKey": SECRET_KEY, **(proxy or {})}
        provider = self.start_client(
            {"transport.wireProtocol": end.wire, **table},
            [{"name": "secret", **own}, {"name": "sealed", **own, **SEALED}],
            command=end.command,
        )
        provider.wait_for("start proxy success", 2)
        return provider

    def visit(self, end: End = OUR_END, *, visitor: Table | None = None, **table: Any) -> Program:
        """A client that visits both, ready."""
        own = {"type": "sudp", "secretKey": SECRET_KEY, **(visitor or {})}
        plain = {"name": "visitor", "serverName": "secret", "bindPort": self.port}
        sealed = {"name": "other", "serverName": "sealed", "bindPort": self.sealed_port}
        visiting = self.start_client(
            {"transport.wireProtocol": end.wire, **table},
            visitors=[{**plain, **own}, {**sealed, **own, **SEALED}],
            command=end.command,
        )
        visiting.wait_for("start visitor success", 2)
        return visiting

    def user(self, port: int = 0) -> DatagramUser:
        """Somebody at a visitor's port."""
        user = DatagramUser(port or self.port)
        self.addCleanup(user.close)
        return user


def test_every_pair(cls: Any) -> Any:
    """Gives a class one test for each provider and visitor."""
    for provider, visitor in cls.pairs():

        def test(self: Any, provider: End = provider, visitor: End = visitor) -> None:
            self.check_pair(provider, visitor)

        test.__name__ = f"test_{provider.name}_to_{visitor.name}"
        test.__doc__ = f"{cls.check_pair.__doc__}  ({test.__name__})"
        setattr(cls, test.__name__, test)
    return cls


class EveryPairTestCase(SudpTestCase):
    """Every provider with every visitor."""

    table: Table = NOTHING
    """What both say besides."""

    def check_pair(self, provider: End, visitor: End) -> None:
        """Every user is answered with what it says, small or large, as far as the format has room."""
        if (provider.is_frp or visitor.is_frp) and (reason := missing_frp()):
            raise SkipTest(reason)
        self.start_server()
        self.provide(provider, **self.table)
        self.visit(visitor, **self.table)
        ours = self.server_command == relaykit_command("frps")
        whole = ours and provider.is_binary and visitor.is_binary
        for port in (self.port, self.sealed_port):
            user = self.user(port)
            for size in (1, 0, 100, FRP_BYTES, *((MOST_BYTES,) if whole else ())):
                user.ask(bytes(each % 251 for each in range(size)))
            ask_all(port, MANY_USERS)
        self.assertGreaterEqual(len(self.service.peers), MANY_USERS)


@test_every_pair
class OurServerTests(EveryPairTestCase):
    """Our server between them, which joins them or translates."""

    @staticmethod
    def pairs() -> Iterator[tuple[End, End]]:
        """Everybody with everybody."""
        return ((provider, visitor) for provider in ENDS for visitor in ENDS)


@test_every_pair
class FrpServerTests(EveryPairTestCase):
    """Frp's server between them."""

    skip = missing_frp()
    server_command = frp_command("frps")

    @staticmethod
    def pairs() -> Iterator[tuple[End, End]]:
        """All but those in which everything is frp's."""
        return (
            (provider, visitor)
            for provider in ENDS
            for visitor in ENDS
            if not (provider.is_frp and visitor.is_frp)
        )


@test_every_pair
class WebSocketTests(EveryPairTestCase):
    """The same over WebSocket."""

    table: Table = MappingProxyType({"transport.protocol": "websocket"})

    @staticmethod
    def pairs() -> Iterator[tuple[End, End]]:
        """Both ends ours, and one of them frp's."""
        return iter(((OUR_END, OUR_END), (OUR_END, End(True, "v1")), (End(True, "v2"), OUR_END)))


QUIC: Table = MappingProxyType({"transport.protocol": "quic"})


@test_every_pair
class QuicTests(EveryPairTestCase):
    """The same over QUIC, which has datagrams of its own."""

    skip = missing()
    table = QUIC

    @staticmethod
    def pairs() -> Iterator[tuple[End, End]]:
        """Both ends ours, without our own format, and one of them frp's."""
        others = (OUR_END, End(False, "v1"), End(True, "v1"))
        return iter(((OUR_END, OUR_END), *((OUR_END, other) for other in others[1:]), (others[2], OUR_END)))

    def setUp(self) -> None:
        """Leaves the server's STUN service the two ports behind that of QUIC."""
        super().setUp()
        self.bind_port, _, _, self.port, self.sealed_port = free_ports(5)

    def start_server(self, table: Table = NOTHING, command: Sequence[str] = ()) -> Program:
        return super().start_server({"quicBindPort": self.bind_port, **table}, command)

    def test_mixed(self) -> None:
        """Datagrams of every size pass where only one of the two clients has QUIC."""
        self.start_server()
        for provider, visitor in ((QUIC, NOTHING), (NOTHING, QUIC)):
            programs = self.provide(**provider), self.visit(**visitor)
            for port in (self.port, self.sealed_port):
                user = self.user(port)
                for size in (1, 0, 1200, FRP_BYTES, MOST_BYTES):
                    user.ask(bytes(each % 251 for each in range(size)))
            for program in programs:
                program.stop()


class AdmissionTests(SudpTestCase):
    """Who is let in."""

    def test_wrong_secret(self) -> None:
        """A visitor with another secret gets nothing; its log says why, and not the secret."""
        self.start_server()
        self.provide()
        visiting = self.visit(visitor={"secretKey": "a guess"})
        user = self.user()
        for _ in range(20):
            user.send(b"anybody?")
        visiting.wait_for("visitor connection of [secret] auth failed")
        self.assertEqual((self.service.peers, "a guess" in visiting.output), (set(), False))

    def test_users(self) -> None:
        """Another user's visitor is let in only where the proxy says so."""
        self.start_server()
        for allowed, admitted in (([], False), (["bob"], True), (["*"], True)):
            provider = self.provide(user="alice", proxy={"allowUsers": allowed})
            visiting = self.visit(user="bob", visitor={"serverUser": "alice"})
            user = self.user()
            if admitted:
                user.ask(b"hello")
            else:
                user.send(b"hello")
                visiting.wait_for("user [bob] not allowed")
            visiting.stop()
            provider.stop()


class RestartTests(SudpTestCase):
    """What the visitor does when others come and go: a new visit as soon as somebody sends again."""

    def test_provider(self) -> None:
        """A provider that was killed and comes back is reached again through the same visitor."""
        self.start_server()
        provider = self.provide()
        self.visit()
        user = self.user()
        user.ask(b"before")
        provider.kill()
        self.provide()
        user.ask(b"after")

    def test_server(self) -> None:
        """A server that was killed and comes back is used again by both, without a word to the users."""
        server = self.start_server()
        provider = self.provide()
        self.visit()
        user = self.user()
        user.ask(b"before")
        server.kill()
        self.start_server()
        provider.wait_for("start proxy success", 4)
        user.ask(b"after")

    def test_visitor_first(self) -> None:
        """A visitor that is there before its provider serves its users as soon as that one has come."""
        self.start_server()
        self.visit()
        user = self.user()
        user.send(b"too early")
        self.provide()
        user.ask(b"in time")


DIRECT: Table = {"direct": True}


class DirectTests(SudpTestCase):
    """Ends that go past the server where they can."""

    def direct_pair(self) -> tuple[Program, Program]:
        """Both ends, ready."""
        return self.provide(proxy=DIRECT), self.visit(visitor=DIRECT)

    def carried(self, port: int) -> None:
        """Has users of both kinds of proxy ask: with every size, and many at once."""
        user = self.user(port)
        for size in (1, 0, 1372, FRP_BYTES, MOST_BYTES):
            user.ask(bytes(each % 251 for each in range(size)))
        ask_all(port, MANY_USERS)

    def test_directly(self) -> None:
        """Through our server users come directly, whatever their number and their datagrams' sizes."""
        self.start_server()
        provider, visiting = self.direct_pair()
        for number, port in enumerate((self.port, self.sealed_port), 1):
            self.user(port).ask(b"the relay first")
            visiting.wait_for("] a direct path with", number)
            provider.wait_for("] a direct path with", number)
            self.carried(port)

    def test_visitor_restarted(self) -> None:
        """A visitor that was killed and comes back has a direct path again."""
        self.start_server()
        provider, visiting = self.direct_pair()
        for paths in (1, 2):
            self.user().ask(b"hello")
            provider.wait_for("[secret] a direct path with", paths)
            self.user().ask(b"directly")
            visiting.kill()
            if paths == 1:
                visiting = self.visit(visitor=DIRECT)

    def test_frp_server(self) -> None:
        """A server of frp's carries all, encrypted or not, and both ends say so once for each entry."""
        if reason := missing_frp():
            raise SkipTest(reason)
        self.server_command = frp_command("frps")
        self.start_server()
        ends = self.direct_pair()
        for port in (self.port, self.sealed_port):
            user = self.user(port)
            for size in (1, 100, FRP_BYTES):
                user.ask(bytes(each % 251 for each in range(size)))
            ask_all(port, MANY_USERS)
        for end in ends:
            self.assertEqual(end.output.count("the relay carries all datagrams"), 2)

    def test_one_end(self) -> None:
        """Where only one end has the key nobody is served, and the visitor's log says what is missing."""
        self.start_server()
        self.provide(proxy=DIRECT)
        visiting = self.visit()
        self.user().send(b"anybody?")
        visiting.wait_for("the proxy has direct = true, which its visitors need, too")
        self.assertEqual(self.service.peers, set())
