"""``xtcp`` between real programs: our clients with frp's, in both roles and in both versions of the wire."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SkipTest

from relaykit.carriers.quic.adapter import available
from relaykit.sansio.nat.stun_server import StunServer
from relaykit.values import Address
from tests.integration.programs import Program, free_ports, frp_command, missing_frp, relaykit_command
from tests.integration.relays import SECRET_KEY, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse, dial, receive_exactly

PROTOCOLS = ("kcp", *(("quic",) if available() else ()))
"""Those that our ends have here."""

MANY_USERS = 20
"""Users at once of one path."""

SEALED: Table = {"transport.useEncryption": True, "transport.useCompression": True}
"""A proxy, or a visitor, whose streams are encrypted and compressed."""


class Stun:
    """A STUN server on two ports of this machine, or one that never answers.

    Whoever sees it from loopback is seen at loopback, so that holes are punched there.
    """

    def __init__(self, answers: bool = True) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for each in self._sockets:
            each.bind((LOOPBACK, 0))
        addresses = [Address(*each.getsockname()) for each in self._sockets]
        self.address = str(addresses[0])
        self._core = StunServer(addresses)
        self._answers = answers
        self._ended, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._end.close()
        self._thread.join()
        for each in (*self._sockets, self._ended):
            each.close()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([*self._sockets, self._ended], [], [])
            if self._ended in ready:
                return
            for each in ready:
                data, source = each.recvfrom(2048)
                if self._answers:
                    self._answer(self._sockets.index(each), data, Address(*source))

    def _answer(self, via: int, data: bytes, source: Address) -> None:
        answer = self._core.answer(data, source, via, time.monotonic())
        if answer is not None:
            to = (answer.destination.host, answer.destination.port)
            self._sockets[answer.via].sendto(answer.payload, to)


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
    def keys(self) -> Table:
        """What its proxies and visitors have; ours let frp's programs take part, whoever's the server is."""
        own = {} if self.is_frp else {"peers": "any"}
        return {"type": "xtcp", "secretKey": SECRET_KEY, **own}


OURS, FRPS = End(False, "v2"), End(True, "v2")
OURS_V1, FRPS_V1 = End(False, "v1"), End(True, "v1")


class XtcpTestCase(RelayTestCase):
    """A provider, a visitor, a service that echoes, and a STUN server."""

    def setUp(self) -> None:
        """Starts the service and the STUN server."""
        super().setUp()
        self.service = self.start_service()
        self.stun = self.start_stun()
        self.port, self.sealed_port = free_ports(2)

    def start_stun(self, answers: bool = True) -> Stun:
        """One more STUN server."""
        stun = Stun(answers)
        self.addCleanup(stun.stop)
        return stun

    def provide(self, end: End = OURS, stun: Stun | None = None) -> Program:
        """A client that has the service twice, once encrypted and compressed; ready."""
        own = {"localPort": self.service.port, **end.keys}
        provider = self.start_client(
            self.common(end, stun),
            [{"name": "direct", **own}, {"name": "sealed", **own, **SEALED}],
            command=end.command,
        )
        provider.wait_for("start proxy success", 2)
        return provider

    def visit(self, protocol: str, end: End = OURS) -> Program:
        """A client that visits both, ready."""
        own = {"protocol": protocol, **end.keys}
        plain = {"name": "visitor", "serverName": "direct", "bindPort": self.port}
        sealed = {"name": "other", "serverName": "sealed", "bindPort": self.sealed_port}
        visiting = self.start_client(
            self.common(end, None),
            visitors=[{**plain, **own}, {**sealed, **own, **SEALED}],
            command=end.command,
        )
        visiting.wait_for("start visitor success", 2)
        return visiting

    def common(self, end: End, stun: Stun | None) -> Table:
        """What all clients have."""
        return {
            "transport.wireProtocol": end.wire,
            "natHoleStunServer": (stun or self.stun).address,
            "log.level": "debug",
        }


def test_every_pair(cls: Any) -> Any:
    """Gives a class one test for each provider, visitor and protocol."""
    for provider, visitor, protocol in cls.pairs():

        def test(
            self: Any, provider: End = provider, visitor: End = visitor, protocol: str = protocol
        ) -> None:
            self.check_pair(provider, visitor, protocol)

        test.__name__ = f"test_{provider.name}_to_{visitor.name}_by_{protocol}"
        test.__doc__ = f"{cls.check_pair.__doc__}  ({test.__name__})"
        setattr(cls, test.__name__, test)
    return cls


class EveryPairTestCase(XtcpTestCase):
    """Providers with visitors."""

    def check_pair(self, provider: End, visitor: End, protocol: str) -> None:
        """Many users of one path are answered, whether it is sealed or not."""
        if (provider.is_frp or visitor.is_frp) and (reason := missing_frp()):
            raise SkipTest(reason)
        self.start_server()
        self.provide(provider)
        visiting = self.visit(protocol, visitor)
        for port in (self.port, self.sealed_port):
            converse(port)
            converse(port, MANY_USERS)
        if not visitor.is_frp:
            self.assertEqual(visiting.output.count("there is a direct path"), 2)
        # Frp's provider ends without a word, which would leave the last flows to their time-out.
        visiting.stop()


@test_every_pair
class FrpServerTests(EveryPairTestCase):
    """Frp's server between them."""

    skip = missing_frp()
    server_command = frp_command("frps")

    @staticmethod
    def pairs() -> Iterator[tuple[End, End, str]]:
        """All but those in which everything is frp's; the older version of the wire with itself."""
        for provider, visitor in ((OURS, OURS), (OURS, FRPS), (FRPS, OURS)):
            for protocol in PROTOCOLS:
                yield provider, visitor, protocol
        yield OURS_V1, FRPS_V1, "kcp"
        yield FRPS_V1, OURS_V1, "kcp"


@test_every_pair
class OurServerTests(EveryPairTestCase):
    """Our server between them."""

    @staticmethod
    def pairs() -> Iterator[tuple[End, End, str]]:
        """Those in which one end is frp's."""
        for provider, visitor in ((OURS, FRPS), (FRPS, OURS), (OURS_V1, FRPS_V1), (FRPS_V1, OURS_V1)):
            for protocol in PROTOCOLS:
                yield provider, visitor, protocol


class FallbackTests(XtcpTestCase):
    """No direct path, with frp's server: ours brings relaykit's ends together without that STUN server."""

    skip = missing_frp()
    server_command = frp_command("frps")

    def check_fallback(self, stun: Stun) -> None:
        """A user is served by the other visitor."""
        self.start_server()
        secret = {"localPort": self.service.port, "secretKey": SECRET_KEY}
        proxies = [
            {"name": "direct", "type": "xtcp", **secret},
            {"name": "relayed", "type": "stcp", **secret},
        ]
        provider = self.start_client(self.common(OURS, None), proxies)
        provider.wait_for("start proxy success", 2)
        visiting = self.start_client(
            self.common(OURS, stun),
            visitors=[
                {
                    "name": "visitor",
                    "type": "xtcp",
                    "serverName": "direct",
                    "secretKey": SECRET_KEY,
                    "bindPort": self.port,
                    "protocol": "kcp",
                    "fallbackTo": "other",
                    "fallbackTimeoutMs": 300,
                },
                {
                    "name": "other",
                    "type": "stcp",
                    "serverName": "relayed",
                    "secretKey": SECRET_KEY,
                    "bindPort": -1,
                },
            ],
        )
        visiting.wait_for("start visitor success")
        with dial(self.port) as user:
            user.sendall(b"hello")
            self.assertEqual(receive_exactly(user, 5), b"hello")
        # Not after the STUN server was given up, which takes longer.
        visiting.wait_for("goes by way of [other]")
        before, _, _ = visiting.output.partition("goes by way of [other]")
        self.assertNotIn("no direct path: STUN", before)

    def test_silent_stun(self) -> None:
        """A STUN server that never answers keeps nobody waiting: users go the other way before."""
        self.check_fallback(self.start_stun(answers=False))
