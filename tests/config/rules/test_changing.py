"""Tests for what a file that was read again changes."""

from __future__ import annotations

from typing import Annotated

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.rules.changing import changes
from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport
from relaykit.config.schema.sections import LogConfig, WebServerConfig, WebServerTls
from relaykit.options import Effect, Options, effect, option_fields


class Inner(Options, frozen=True, kw_only=True):
    """A table in a table."""

    own: Annotated[int, effect(Effect.AT_ONCE)] = 0
    common: int = 0


class Outer(Options, frozen=True, kw_only=True):
    """A table whose keys count at different times."""

    first: Annotated[Inner, effect(Effect.AT_LOGIN)] = Inner()
    second: Inner = Inner()
    absent: Inner | None = None
    rest: int = 0


class Wider(Outer, frozen=True, kw_only=True, rename="camel"):
    """The same with what a package has added."""

    added: Annotated[Inner, effect(Effect.AT_LOGIN)] = Inner()


class ChangesTests(SynchronousTestCase):
    """Tests for :func:`changes`."""

    def test_nothing(self) -> None:
        """What is the same changes nothing."""
        found = changes(Outer(), Outer())
        self.assertEqual((found.config, set(found.keys.values())), (Outer(), {()}))
        self.assertEqual(set(found.keys), set(Effect))

    def test_tables(self) -> None:
        """A key counts when it says, else when its table does, else after a restart; till then it stays."""
        both = Inner(own=1, common=2)
        found = changes(Outer(), Outer(first=both, second=both, absent=both, rest=3))
        self.assertEqual(
            dict(found.keys),
            {
                Effect.AT_ONCE: ("first.own", "second.own"),
                Effect.AT_LOGIN: ("first.common",),
                Effect.AFTER_RESTART: ("second.common", "absent", "rest"),
            },
        )
        self.assertEqual(found.config, Outer(first=both, second=Inner(own=1)))

    def test_back_again(self) -> None:
        """What waits for a restart is no change any more once the file says again what counts."""
        waiting = changes(Outer(), Outer(rest=3)).config
        self.assertEqual(set(changes(waiting, Outer()).keys.values()), {()})
        self.assertEqual(changes(waiting, Outer(rest=3)).keys[Effect.AFTER_RESTART], ("rest",))

    def test_added_by_packages(self) -> None:
        """A table that a package has added may be there once and not another time."""
        self.assertEqual(set(changes(Outer(), Wider()).keys.values()), {()})
        self.assertEqual(set(changes(Wider(), Outer()).keys.values()), {()})
        wider = Wider(added=Inner(common=1))
        for one, other in ((Outer(), wider), (wider, Outer())):
            found = changes(one, other)
            self.assertEqual(found.keys[Effect.AT_LOGIN], ("added.common",))
            self.assertIs(found.config, other)

    def test_client(self) -> None:
        """What a client can change while it runs, what takes a new session, and what a restart."""
        running = ClientConfig()
        read = ClientConfig(
            server_addr="other.example",
            user="me",
            transport=ClientTransport(protocol="quic", tls=ClientTls(cert_file="a", key_file="b")),
            log=LogConfig(level="debug"),
            web_server=WebServerConfig(tls=WebServerTls(cert_file="a", key_file="b")),
        )
        found = changes(running, read)
        self.assertEqual(
            dict(found.keys),
            {
                Effect.AT_ONCE: ("log.level",),
                Effect.AT_LOGIN: (
                    "serverAddr",
                    "transport.protocol",
                    "transport.tls.certFile",
                    "transport.tls.keyFile",
                ),
                Effect.AFTER_RESTART: ("user", "webServer.tls"),
            },
        )
        self.assertEqual((found.config.user, found.config.web_server.tls), ("", None))
        self.assertEqual(found.config.server_addr, "other.example")

    def test_declared(self) -> None:
        """A declaration is what the field says, and nothing where it says nothing."""
        found = {each.key: each.effect for each in option_fields(Outer)}
        self.assertEqual(found["first"], Effect.AT_LOGIN)
        self.assertIsNone(found["rest"])
