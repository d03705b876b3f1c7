"""The SSH gateway as an entrance of the server: its port, who may come, and how many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twisted.conch.ssh.keys import FingerprintFormats
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.listening import ListenFailed
from relaykit.interfaces import IEntrance, ILegAcceptor
from relaykit.sansio.fair_room import FairRoom
from relaykit.sansio.rates import RateLimit
from relaykit.sansio.sources import source_of
from relaykit.ssh_gateway.authorized_keys import AuthorizedKeys
from relaykit.ssh_gateway.client import GatewayClient, GatewaySettings
from relaykit.ssh_gateway.host_key import load_or_create
from relaykit.ssh_gateway.transport import HostKeys
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from relaykit.config.schema import ServerConfig
    from relaykit.interfaces import IEntranceHost, IListeningPort, IStreamLeg
    from relaykit.plugins import ProxyTypes
    from relaykit.sansio.sources import Source
    from relaykit.state import StateDirectory
    from relaykit.values import Origin

__all__ = ["MOST_PENDING", "MOST_TUNNELS", "MOST_TUNNELS_OF_SOURCE", "SshGateway"]

MOST_PENDING = 256
"""Connections without a tunnel, of all addresses; for one more, whoever has most of them loses the one that
has been there for longest.  Each has some 60 KB, and twenty seconds."""

MOST_PENDING_OF_SOURCE = 32
"""The same, of one address (IPv6: one /64)."""

MOST_TUNNELS = 1024
"""Clients with a tunnel, in all."""

MOST_TUNNELS_OF_SOURCE = 128
"""The same, of one address or /64: the machines of a site behind one NAT."""

CONNECTIONS_AT_ONCE = 64
"""Connections that one address may make at once; each costs two milliseconds for its keys."""

CONNECTIONS_PER_S = 8.0
"""The same in a second after those."""

MOST_SOURCES = 4096
"""Addresses whose connections are counted."""


@implementer(IEntrance, ILegAcceptor)
class SshGateway:
    """Clients that speak SSH.

    :param state: where the host key is kept.
    :param unix_time: the time of day, in seconds since 1970.
    """

    log = Logger()

    def __init__(
        self,
        config: ServerConfig,
        state: StateDirectory | None,
        types: ProxyTypes,
        unix_time: Callable[[], float] = lambda: datetime.now(UTC).timestamp(),
    ) -> None:
        self._gateway = config.ssh_tunnel_gateway
        self._state = state
        self._types = types
        self._unix_time = unix_time
        path = self._gateway.authorized_keys_file
        self._keys = AuthorizedKeys(path) if path else None
        self._host_keys: HostKeys | None = None
        self._host: IEntranceHost | None = None
        self._port: IListeningPort | None = None
        self._rate = RateLimit(CONNECTIONS_AT_ONCE, CONNECTIONS_PER_S, MOST_SOURCES)
        self._pending: FairRoom[GatewayClient] = FairRoom(
            MOST_PENDING, MOST_PENDING_OF_SOURCE, MOST_PENDING_OF_SOURCE
        )
        self._clients: set[GatewayClient] = set()
        self._tunnels: dict[GatewayClient, Source] = {}
        self._closing: list[Deferred[None]] = []

    @property
    def port(self) -> int:
        """The port that it listens on; 0 while it does not."""
        return 0 if self._port is None else self._port.address.port

    # --- for the server ---------------------------------------------------------------------------

    def open(self, host: IEntranceHost) -> None:
        self._host = host
        key = load_or_create(self._gateway, self._state)
        self._host_keys = HostKeys.of(key)
        try:
            self._port = host.listen(self._gateway.bind_port, self)
        except ListenFailed as error:
            raise type(error)(f"sshTunnelGateway.bindPort: {error}", error.why, error.problem) from error
        self.log.info(
            "the SSH gateway listens on {address}; host key {fingerprint}",
            address=self._port.address,
            fingerprint=f"SHA256:{key.fingerprint(FingerprintFormats.SHA256_BASE64).rstrip('=')}",
        )

    def adopt(self, config: ServerConfig) -> None:
        path = config.ssh_tunnel_gateway.authorized_keys_file
        self._gateway = config.ssh_tunnel_gateway
        if not path:
            self._keys = None
        elif self._keys is None or self._keys.path != path:
            self._keys = AuthorizedKeys(path)

    def close_port(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def close(self) -> Deferred[None]:
        self.close_port()
        if not self._clients:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        for client in tuple(self._clients):
            client.close()
        return closed

    # --- clients ----------------------------------------------------------------------------------

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        host, host_keys = self._host, self._host_keys
        assert host is not None and host_keys is not None, "a client before the start"
        source = source_of(origin)
        if not (host.is_known(source[-1]) or self._rate.admits(source, host.reactor.seconds())):
            self._crowded(origin)
            leg.abort()
            return
        settings = GatewaySettings(
            host=host,
            host_keys=host_keys,
            keys=self._keys,
            types=self._types,
            unix_time=self._unix_time,
            admits=self._admits,
        )
        client = GatewayClient(
            settings, origin, lambda: self._pending.leave(client), lambda: self._gone(client)
        )
        self._clients.add(client)
        crowded_out = self._pending.enter(client, source)
        if crowded_out is not None:
            self._crowded(crowded_out.origin)
            crowded_out.abort()
        client.start(leg)

    def _admits(self, client: GatewayClient) -> bool:
        """Takes note of a client that wants a tunnel, if it may have one."""
        source = source_of(client.origin)
        if len(self._tunnels) >= MOST_TUNNELS:
            return False
        if sum(each == source for each in self._tunnels.values()) >= MOST_TUNNELS_OF_SOURCE:
            return False
        self._tunnels[client] = source
        return True

    def _gone(self, client: GatewayClient) -> None:
        self._clients.discard(client)
        self._tunnels.pop(client, None)
        self._pending.leave(client)
        if not self._clients:
            closing, self._closing = self._closing, []
            for each in closing:
                each.callback(None)

    def _crowded(self, origin: Origin) -> None:
        self.log.warn(
            "a connection from {origin} to the SSH gateway is dropped: too many come from there, or in all",
            origin=origin,
            stranger=host_of(origin.source),
            ended=Ended.REFUSED.value,
            problem="too-many-connections",
        )
