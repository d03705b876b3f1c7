"""Getting in: connects to the server as configured and logs in, in the version that it speaks."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from relaykit import __version__
from relaykit.client.heartbeats import heartbeat_of
from relaykit.client.paths import Route
from relaykit.client.session import ServerSession
from relaykit.errors import SessionLost
from relaykit.sansio.control.client_session import ClientSession
from relaykit.sansio.control.credentials import Scope, TokenProver
from relaykit.sansio.control.negotiation import WireChoice, WireProtocol
from relaykit.sansio.control.session import SessionSettings
from relaykit.sansio.wire.framing import V1, V2
from relaykit.sansio.wire.hello import Bootstrap
from relaykit.sansio.wire.messages import Login

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.schema import ClientConfig
    from relaykit.sansio.control.events import SessionEvent
    from relaykit.values import Secret

__all__ = ["Access"]

NO_ANSWER = "frp's server wants transport.tcpMux to be the same at both ends"
"""What may be wrong where a server ends a connection without having said anything."""

GO_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""What frp calls processors, for its dashboard."""


class Access:
    """One server, and how this client gets in.  Remembers which version of the wire it speaks."""

    log = Logger()

    def __init__(self, config: ClientConfig, token: Secret, route: Route, clock: IReactorTime) -> None:
        self._config = config
        self._token = token
        self._route = route
        self._clock = clock
        self._choice = WireChoice(WireProtocol(config.transport.wire_protocol))
        self.unix_time = time.time  # noqa: TID251  # frp's proofs carry the time of day
        self.prover = TokenProver(
            token, self.unix_time, [Scope(each) for each in config.auth.additional_scopes]
        )
        """Proves who this client is, for every message that needs it."""

    async def log_in(self, run_id: str, happened: Callable[[SessionEvent], None]) -> ServerSession:
        """Connects and logs in, again with the run id that an earlier session had.

        Tries the older version of the wire at once where the server does not seem to know the newer.

        :raises ConnectionFailed: the server cannot be reached.
        :raises TransportSecurityError: TLS failed, or the server is not the expected one.
        :raises LoginRefused: the server said no.
        :raises SessionLost: the connection ended before the answer.
        """
        while True:
            version = self._choice.version(self._clock.seconds())
            path = await self._route.open_path()
            session: ServerSession | None = None
            try:
                core = self._make_core(version, run_id)
                session = ServerSession(core, path, await path.open_leg(True), self._clock, happened)
                await session.log_in()
            except SessionLost as error:
                path.close()
                if session is not None and session.peer_answered:
                    self._choice.answered(version, self._clock.seconds())
                    raise
                if self._choice.closed_without_answer(version):
                    self.log.debug("the server does not seem to know wire v2; trying v1")
                    continue
                raise SessionLost(f"{error}; {NO_ANSWER}") from error
            except Exception:
                if session is not None and session.peer_answered:
                    self._choice.answered(version, self._clock.seconds())
                path.close()
                raise
            self._choice.answered(version, self._clock.seconds())
            return session

    def _make_core(self, version: int, run_id: str) -> ClientSession:
        config, transport = self._config, self._config.transport
        login = Login(
            version=__version__,
            hostname=socket.gethostname(),
            os=platform.system().lower(),
            arch=GO_ARCHITECTURES.get(platform.machine(), platform.machine()),
            user=config.user,
            run_id=run_id,
            client_id=config.client_id,
            metas=dict(config.metadatas),
            pool_count=transport.pool_count,
        )
        settings = SessionSettings(
            token=self._token,
            entropy=os.urandom,
            heartbeat=heartbeat_of(transport),
        )
        return ClientSession(
            login,
            V1 if version == 1 else V2,
            settings,
            self.prover,
            self._clock.seconds(),
            bootstrap=Bootstrap(
                transport=transport.protocol, tls=transport.tls.enable, tcp_mux=transport.tcp_mux
            ),
        )
