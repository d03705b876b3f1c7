"""Tests for :mod:`relaykit.administration.readiness`."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Answer, Call
from relaykit.administration.readiness import client_readiness, server_readiness
from relaykit.client.status import ClientStatus, ProxyStatus, RegistrationState, VisitorStatus
from relaykit.sansio.control.server_life import ServerState


@frozen
class Standing:
    """A role that stands so."""

    state: ServerState | None = None
    now: ClientStatus | None = None

    def status(self) -> Any:
        """How it stands."""
        return self.now


class ReadinessTests(SynchronousTestCase):
    """Tests for what an orchestrator is told."""

    def told(self, route: Any) -> tuple[int, list[str]]:
        """The status of the answer, and its lines."""
        answer: Answer = route.handler(Call())
        return int(answer.status), answer.body.decode().splitlines()

    def test_server(self) -> None:
        """A server is ready while clients log in."""
        for state in ServerState:
            server: Any = Standing(state)
            status, lines = self.told(server_readiness(server))
            ready = state is ServerState.READY
            self.assertEqual(
                (status, lines), (200, ["ready"]) if ready else (503, [f"the server is {state.value}"])
            )

    def test_client(self) -> None:
        """A client is ready with a session, all proxies and all ports of visitors; the lines name nothing."""
        up = ProxyStatus(name="a", type="tcp", state=RegistrationState.RUNNING)
        down = ProxyStatus(name="b", type="tcp", state=RegistrationState.REFUSED)
        visitor, closed = VisitorStatus(name="v"), VisitorStatus(name="w", next_try=3.0)
        for status, lines in (
            (ClientStatus(connected=True, proxies=(up,), visitors=(visitor,)), ["ready"]),
            (ClientStatus(connected=True), ["ready"]),
            (ClientStatus(), ["there is no session with the server"]),
            (ClientStatus(connected=True, stopping=True), ["the client is being stopped"]),
            (
                ClientStatus(connected=True, proxies=(up, down), visitors=(visitor, closed)),
                ["1 of 2 proxies are not up", "1 of 2 visitors are not up"],
            ),
        ):
            client: Any = Standing(now=status)
            found, said = self.told(client_readiness(client))
            self.assertEqual((found, said), (200 if lines == ["ready"] else 503, lines))

    def test_open(self) -> None:
        """Nobody is asked for a password."""
        role: Any = Standing()
        self.assertTrue(server_readiness(role).is_open and client_readiness(role).is_open)
