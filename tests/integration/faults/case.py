"""The test case of faults: programs, crowds, figures."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tests import LONG_TESTS
from tests.integration.faults.crowd import Crowd
from tests.integration.faults.wires import SERVER_ADDRESS, Wire, missing_namespaces
from tests.integration.programs import PATIENCE_S, Program, free_port, relaykit_command
from tests.integration.relays import NOTHING, PATIENT, TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, Service, dial, echo, receive_exactly

__all__ = ["ALLOWANCE_S", "ATTEMPT_S", "FaultTestCase", "WireTestCase", "takes_long", "why_short"]

ALLOWANCE_S = 10.0
"""What a busy machine may add to a time that is measured: a program that was held up itself for longer than
two seconds gives its peer five more."""

ATTEMPT_S = 5.0
"""How long a user waits for its bytes where another one comes if it gets none."""


def why_short() -> str | None:
    """Why tests that take minutes do not run; None where they do."""
    return None if os.environ.get(LONG_TESTS) else f"takes minutes; set {LONG_TESTS}=1 to run it"


CallT = TypeVar("CallT", bound=Callable[..., None])


def takes_long(test: CallT) -> CallT:
    """A test that only runs where there is time for it."""
    test.skip = why_short()  # type: ignore[attr-defined]  # which trial looks for
    return test


class FaultTestCase(RelayTestCase):
    """Has a server, a client that publishes an echo, and figures to print."""

    server_command = relaykit_command("server")
    client_command = relaykit_command("client")

    host = LOOPBACK
    """Where users find what is published."""

    def setUp(self) -> None:
        """Chooses a port for what is published."""
        super().setUp()
        self.port = free_port()

    def figure(self, name: str, value: float, unit: str = "s") -> None:
        """Prints a figure that was measured."""
        print(f"\n    FIGURE {self.id().split('.')[-1]}: {name}: {value:,.10g} {unit}", flush=True)

    def took(self, name: str, seconds: float, at_most_s: float) -> None:
        """Prints how long something took.

        That it came at all was waited for.  Whether it came in time is only judged where the tests run that
        take minutes, for elsewhere it tells nothing but how quick the machine is.
        """
        self.figure(name, seconds)
        if why_short() is None:
            self.assertLess(seconds, at_most_s, name)

    def publish_echo(
        self, table: Table = NOTHING, service: Service | None = None, wait: bool = True, **proxy: Any
    ) -> Program:
        """A client that publishes a service."""
        service = service or self.start_service(echo)
        client = self.start_client(
            table,
            [{"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port, **proxy}],
        )
        if wait:
            client.wait_for("start proxy success")
        return client

    def crowd(self, users: int, ports: Sequence[int] = (), **how: Any) -> Crowd:
        """Users of what is published."""
        crowd = Crowd(ports or [self.port], users, host=self.host, **how)
        self.addCleanup(crowd.stop)
        return crowd

    def until(self, what: str, holds: Callable[[], bool], within_s: float = PATIENCE_S) -> float:
        """Waits until something holds; answers how long it took, to a hundredth of a second."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > within_s:
                self.fail(f"not within {within_s:g} s: {what}")
            self.rest(0.01)
        return time.monotonic() - began

    def rest(self, seconds: float) -> None:
        """Lets real time pass, for a fault to last."""
        time.sleep(seconds)

    def until_served(self) -> float:
        """Waits until a new user is served, whatever becomes of those who come before."""
        return self.until("a new user is served", lambda: self.is_served(ATTEMPT_S))

    def check_served(self) -> None:
        """The next user is served."""
        self.assertTrue(self.is_served(PATIENCE_S), "a new user was not served")

    def is_served(self, within_s: float) -> bool:
        """Whether a new user gets its bytes back in time."""
        with contextlib.suppress(OSError), dial(self.port, self.host) as user:
            user.settimeout(within_s)
            user.sendall(b"hello?")
            return receive_exactly(user, 6) == b"hello?"
        return False


class WireTestCase(FaultTestCase):
    """The same with the server and the client on two machines, between which packets can be dropped."""

    skip = missing_namespaces()

    host = SERVER_ADDRESS

    def setUp(self) -> None:
        """Makes the two machines."""
        super().setUp()
        self.wire = Wire()
        self.addCleanup(self.wire.remove)

    def start_server(self, table: Table = NOTHING, command: Sequence[str] = ()) -> Program:
        """A server on its machine."""
        server = self.start(
            [*self.wire.at_server(), *(command or self.server_command)],
            {"bindAddr": SERVER_ADDRESS, "bindPort": self.bind_port, "auth.token": TOKEN, **PATIENT, **table},
        )
        server.wait_for("started successfully")
        return server

    def start_client(
        self,
        table: Table = NOTHING,
        proxies: Sequence[Table] = (),
        visitors: Sequence[Table] = (),
        command: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Program:
        """A client on its machine."""
        return super().start_client(
            {"serverAddr": SERVER_ADDRESS, **table},
            proxies,
            visitors,
            [*self.wire.at_client(), *(command or self.client_command)],
            environ,
        )

    def start_service(self, serve: Callable[..., None] = echo, **where: Any) -> Service:
        """A local service, on the client's machine."""
        with self.wire.on_client():
            return super().start_service(serve, **where)

    def crowd(self, users: int, ports: Sequence[int] = (), **how: Any) -> Crowd:
        """Users, on the server's machine."""
        return super().crowd(users, ports, enter=self.wire.on_server, **how)

    def is_served(self, within_s: float) -> bool:
        """Whether a new user on the server's machine gets its bytes back in time."""
        with self.wire.on_server():
            return super().is_served(within_s)
