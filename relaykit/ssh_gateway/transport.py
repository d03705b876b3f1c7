"""The SSH transport of one client: algorithms, keys, deadlines; survives whatever the peer sends.

Source: RFC 4253.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import (
    DISCONNECT_PROTOCOL_ERROR,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    MSG_SERVICE_ACCEPT,
    SSHServerTransport,
)
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.escaping import told
from relaykit.sansio.points import Points
from relaykit.ssh_gateway.algorithms import CIPHERS, COMPRESSIONS, KEY_EXCHANGES, MACS, USER_SIGNATURES
from relaykit.ssh_gateway.gathering import GatheredOutput
from relaykit.ssh_gateway.quiet import QUIET
from relaykit.timer import Timer
from relaykit.values import host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import ITurns
    from relaykit.values import Address

__all__ = ["KEY_EXCHANGE_S", "GatewayTransport", "HostKeys"]

KEY_EXCHANGE_S = 30.0
"""Seconds for a key exchange of a connection that is in use: it waits meanwhile."""

MOST_EXCHANGES = 16
"""Key exchanges at once: each costs a millisecond and a signature."""

EXCHANGES_PER_S = 4.0
"""The same after those: ssh with ``RekeyLimit=16M`` makes three a second where 50 MB/s pass."""

MOST_UNREAD_BYTES = 1024 * 1024
"""Bytes of answers that a peer may leave unread before it is given up."""

OVERHEAD_BYTES = 64
"""What a packet costs besides what is in it."""

_AUTHENTICATION = b"ssh-userauth"


@frozen
class HostKeys:
    """The host key, as the library looks for it."""

    publicKeys: dict[bytes, Key]
    privateKeys: dict[bytes, Key]
    algorithms: list[bytes]
    """What it signs with."""

    @classmethod
    def of(cls, key: Key) -> HostKeys:
        """For one key."""
        name = key.sshType()
        accepted = [each for each in key.supportedSignatureAlgorithms() if each in USER_SIGNATURES]
        return cls({name: key.public()}, {name: key}, accepted)


@implementer(IPushProducer)
class GatewayTransport(SSHServerTransport):
    """One connection of an SSH client.

    :param make_authentication: makes the service that lets the client in.
    :param on_writable: is called with whether channels may send, when that has changed.
    :param on_lost: is called once, last.
    """

    log = Logger()
    _log = QUIET
    ourVersionString = b"SSH-2.0-relaykit"
    supportedKeyExchanges = KEY_EXCHANGES
    supportedCiphers = CIPHERS
    supportedMACs = MACS
    supportedCompressions = COMPRESSIONS

    def __init__(
        self,
        keys: HostKeys,
        peer: Address | None,
        clock: IReactorTime,
        turns: ITurns,
        make_authentication: Callable[[], SSHService],
        on_writable: Callable[[bool], object],
        on_lost: Callable[[], object],
    ) -> None:
        self.factory: Any = keys
        self.supportedPublicKeys = keys.algorithms
        self.is_over = False
        self._peer = peer
        self._make_authentication = make_authentication
        self._on_writable = on_writable
        self._on_lost = on_lost
        self._is_full = False
        self._unread_bytes = 0
        self._waiting: list[Deferred[None]] = []
        self._exchanges = Points(MOST_EXCHANGES, EXCHANGES_PER_S, clock.seconds())
        self._exchanging = Timer(clock, self.abort)
        self._clock = clock
        self._turns = turns

    @property
    def is_writable(self) -> bool:
        """Whether channels may send: the output has room, and no key exchange is under way."""
        return not (self._is_full or self.is_over) and self._keyExchangeState == self._KEY_EXCHANGE_NONE

    @property
    def _connection(self) -> Any:
        return self.transport

    def next_bytes(self) -> Deferred[None]:
        """Fires when the client says anything; never, where it does not."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    # --- the protocol -----------------------------------------------------------------------------

    def makeConnection(self, transport: ITransport) -> None:
        gathered: Any = GatheredOutput(transport, self._turns)
        super().makeConnection(gathered)

    def connectionMade(self) -> None:
        self._connection.registerProducer(self, True)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        if self.is_over:
            return
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
        try:
            super().dataReceived(data)
        except Exception as error:
            # The library checks little of what a peer sends, and raises whatever comes of it.
            self.broken(error)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.is_over = True
        self._waiting.clear()
        self._exchanging.stop()
        service, self.service = self.service, None
        if service is not None:
            service.serviceStopped()
        self._on_lost()

    def broken(self, error: Exception) -> None:
        """The peer broke the rules: it is told so, and let go."""
        reason = f"{type(error).__name__}: {told(str(error))}"
        self.log.warn(
            "{peer} broke the rules of SSH: {reason}",
            peer=self._peer,
            reason=reason,
            stranger=host_of(self._peer),
            problem="broke-the-rules",
        )
        self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"this makes no sense")

    def abort(self) -> None:
        """Drops the connection at once."""
        self.is_over = True
        self._connection.abortConnection()

    # --- for the library --------------------------------------------------------------------------

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        if not self.is_over:
            super().dispatchMessage(messageNum, payload)

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        if not self.is_over:
            super().sendDisconnect(reason, desc)
            self.is_over = True

    def sendExtInfo(self, extensions: list[tuple[bytes, bytes]]) -> None:
        super().sendExtInfo([(b"server-sig-algs", b",".join(USER_SIGNATURES))])

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        if not self.is_writable:
            # Channels send nothing meanwhile: these are answers, which the peer asks for and does not read.
            self._unread_bytes += len(payload) + OVERHEAD_BYTES
            if self._unread_bytes > MOST_UNREAD_BYTES:
                self.abort()
                return
        super().sendPacket(messageType, payload)

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        name = getNS(packet)[0]
        if name != _AUTHENTICATION or self.service is not None or self.sessionID is None:
            self.sendDisconnect(DISCONNECT_SERVICE_NOT_AVAILABLE, b"this service is not due")
            return
        self.sendPacket(MSG_SERVICE_ACCEPT, NS(name))
        self.setService(self._make_authentication())

    def ssh_KEXINIT(self, packet: bytes) -> None:
        if not self._exchanges.spend(1, self._clock.seconds()):
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"too many key exchanges")
            return
        super().ssh_KEXINIT(packet)
        if self.sessionID is not None:
            self._exchanging.set(self._clock.seconds() + KEY_EXCHANGE_S)
            self._on_writable(self.is_writable)

    def _newKeys(self) -> None:
        super()._newKeys()
        self._exchanging.set(None)
        self._unread_bytes = 0
        self._on_writable(self.is_writable)

    # --- the output -------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        self._is_full = True
        self._on_writable(self.is_writable)

    def resumeProducing(self) -> None:
        self._is_full = False
        self._unread_bytes = 0
        self._on_writable(self.is_writable)

    def stopProducing(self) -> None:
        """Nothing: the loss of the connection is told as such."""
