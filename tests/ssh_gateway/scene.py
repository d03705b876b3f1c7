"""The SSH gateway of a server in memory, and SSH clients that speak to it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh import connection as ssh_connection
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet.defer import Deferred, succeed

from relaykit.config.schema import ServerConfig, SshTunnelGateway
from relaykit.dataplane.protocols import LegTransport
from relaykit.server.entrances import EntranceHost
from relaykit.ssh_gateway.service import SshGateway
from relaykit.state import StateDirectory
from relaykit.testing.memory import MemoryLeg
from relaykit.values import Address, Origin, Secret
from tests.server.scene import TYPES, Scene

TOKEN = Secret("tok")
"""That of the server: a word of a command."""

PORT = 2200
"""Of the gateway."""


def user_key(seed: int = 1) -> Key:
    """A key of a user."""
    key: Any = Key(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
    assert isinstance(key, Key)
    return key


class GatewayScene(Scene):
    """A server with a gateway."""

    def __init__(self, folder: str, authorized_keys: str = "", **given: Any) -> None:
        super().__init__(**{"token": TOKEN, **given})
        self.gateway = SshGateway(
            self.config(authorized_keys),
            StateDirectory(Path(folder)),
            TYPES,
            lambda: 1_700_000_000.0,
        )
        self.gateway.open(
            EntranceHost(
                reactor=self.clock,
                turns=self.network,
                listen=lambda port, acceptor: self.ports.listen("192.0.2.1", port, acceptor),
                connect=self.data_plane.connect,
                is_known=self.sessions.is_known,
                on_opened=self.first_messages.on_opened,
                settings=self.sessions.rules.settings,
            )
        )

    @staticmethod
    def config(authorized_keys: str = "") -> ServerConfig:
        """That of the server."""
        return ServerConfig(
            ssh_tunnel_gateway=SshTunnelGateway(
                bind_port=PORT,
                authorized_keys_file=authorized_keys,
                auto_gen_private_key_path="",
            )
        )

    def come(self, host: str = "203.0.113.9") -> MemoryLeg:
        """A connection to the gateway: its client's end."""
        near, far = self.network.pair(source=Address(host, 40000))
        self.gateway.leg_accepted(far, Origin(far.peer, far.host))
        return near

    def ssh(self, command: str | None = None, *, forwards: int = 1, **given: Any) -> Ssh:
        """Runs ssh with as many ``-R``."""
        client = Ssh(self.come(), self, **given)
        self.flush()
        for each in range(forwards if client.connection is not None else 0):
            client.forward(80 + each)
        if command is not None and client.connection is not None:
            client.run(command)
        self.flush()
        return client


class Ssh:
    """An SSH client: what runs on the machine of its user."""

    def __init__(
        self,
        leg: MemoryLeg,
        scene: Scene,
        *,
        key: Key | None = None,
        terminal: tuple[int, int] | None = None,
        serves: bool = True,
    ) -> None:
        self.leg = leg
        self.scene = scene
        self.key = key
        self.terminal = terminal
        self.serves = serves
        """Whether there is a local service; else the client opens no channel."""
        self.packet = 0
        """Bytes of a packet that it takes at most; 0 for the usual ones."""
        self.connection: _Connection | None = None
        self.session: Session | None = None
        self.is_lost = False
        self.reason = ""
        """What the gateway said when it ended the connection."""
        self.services: list[Service] = []
        """What users' connections have reached."""
        self.forwarded: list[Any] = []
        """The answers to ``-R``."""
        self.transport = _Transport(self)
        LegTransport(scene.network, leg).connect(self.transport)

    @property
    def shown(self) -> str:
        """What is on standard output."""
        return "" if self.session is None else self.session.out.decode()

    @property
    def status(self) -> int | None:
        """The exit status."""
        return None if self.session is None else self.session.status

    def forward(self, port: int) -> None:
        """Asks for ``-R``."""
        assert self.connection is not None, "not logged in"
        asked: Deferred[Any] = self.connection.sendGlobalRequest(
            b"tcpip-forward", NS(b"") + struct.pack(">L", port), wantReply=1
        )
        asked.addBoth(self.forwarded.append)

    def run(self, command: str) -> None:
        """Runs a command; an empty one is a shell."""
        assert self.connection is not None, "not logged in"
        self.session = Session(self, command)
        self.connection.openChannel(self.session)


class _Transport(SSHClientTransport):
    def __init__(self, ssh: Ssh) -> None:
        self.ssh = ssh

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[bool]:
        return succeed(True)

    def connectionSecure(self) -> None:
        if self.ssh.connection is None:
            self.requestService(_Login(self.ssh))

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.ssh.reason = description.decode()

    def connectionLost(self, reason: Any = None) -> None:
        self.ssh.is_lost = True
        super().connectionLost(reason)


class _Login(SSHUserAuthClient):
    def __init__(self, ssh: Ssh) -> None:
        self.ssh = ssh
        super().__init__(b"v0", _Connection(ssh))

    def getPublicKey(self) -> Key | None:
        key, self.ssh.key = self.ssh.key, None
        if key is not None:
            self._key = key
            public: Key = key.public()
            return public
        return None

    def getPrivateKey(self) -> Deferred[Key]:
        return succeed(self._key)


class _Connection(ssh_connection.SSHConnection):
    def __init__(self, ssh: Ssh) -> None:
        super().__init__()
        self.ssh = ssh

    def serviceStarted(self) -> None:
        self.ssh.connection = self

    def channel_forwarded_tcpip(self, window: int, packet: int, data: bytes) -> SSHChannel | None:
        """A user has come."""
        if not self.ssh.serves:
            return None
        service = Service(window, packet)
        service.conn = self
        service.localMaxPacket = self.ssh.packet or service.localMaxPacket
        service.where = data
        self.ssh.services.append(service)
        return service

    def global_keepalive_openssh_com(self, data: bytes) -> int:
        """A sign of life is asked for; OpenSSH does not know the request either, and says so."""
        return 0


class Session(SSHChannel):
    """The session of a client."""

    name = b"session"

    def __init__(self, ssh: Ssh, command: str) -> None:
        super().__init__()
        self.ssh = ssh
        self.command = command
        self.out = b""
        self.err = b""
        self.status: int | None = None
        self.is_closed = False

    def channelOpen(self, specificData: bytes) -> None:
        conn: Any = self.conn
        if self.ssh.terminal is not None:
            columns, rows = self.ssh.terminal
            size = struct.pack(">4L", columns, rows, 0, 0)
            conn.sendRequest(self, b"pty-req", NS(b"xterm") + size + NS(b""))
        conn.sendRequest(self, b"env", NS(b"LANG") + NS(b"C"), wantReply=1)
        if self.command:
            conn.sendRequest(self, b"exec", NS(self.command.encode()), wantReply=1)
        else:
            conn.sendRequest(self, b"shell", b"", wantReply=1)

    def dataReceived(self, data: bytes) -> None:
        self.out += data

    def extReceived(self, dataType: int, data: bytes) -> None:
        self.err += data

    def request_exit_status(self, data: bytes) -> bool:
        """The program has ended."""
        (self.status,) = struct.unpack(">L", data)
        return True

    def closed(self) -> None:
        self.is_closed = True


class Service(SSHChannel):
    """A connection of a user at the local service."""

    def __init__(self, window: int, packet: int) -> None:
        super().__init__(remoteWindow=window, remoteMaxPacket=packet)
        self.where = b""
        self.got = b""
        self.has_ended = False
        self.is_closed = False

    @property
    def origin(self) -> tuple[str, int]:
        """Where the user is said to come from."""
        _, rest = getNS(self.where)
        host, rest = getNS(rest[4:])
        return host.decode(), struct.unpack(">L", rest[:4])[0]

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def eofReceived(self) -> None:
        self.has_ended = True

    def closed(self) -> None:
        self.is_closed = True
