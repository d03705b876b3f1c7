"""Whose programs may take part where users take direct paths, and what the server learns of the secret.

Where it and both ends are relaykit's, the server brings them together by a key that is made of the secret,
and they prove to each other what it does not know: see :mod:`relaykit.proxies.direct`.  frp's programs can do
neither.  A server of frp's gets the secret itself, and so does any server that is to admit visitors of frp's;
and frp's ends prove nothing to each other.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeVar

from twisted.logger import Logger

from relaykit.errors import ProxyRefusedError, RefusalCode, RendezvousRefusedError
from relaykit.proxies.direct import call, told_options
from relaykit.proxies.stcp import StcpOptions
from relaykit.sansio.nat.checks import PeerRole

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IStreamPath, IVisitorHost
    from relaykit.values import Secret

__all__ = ["OwnWay", "Peers", "Telling"]

OptionsT = TypeVar("OptionsT", bound=StcpOptions)


class Peers(enum.Enum):
    """Whose programs may take part; the values are those of the key ``peers``."""

    AUTO = "auto"
    """relaykit's where the server is relaykit's; what the server says it is counts."""
    RELAYKIT = "relaykit"
    """relaykit's alone, the server included."""
    ANY = "any"
    """frp's, too."""

    def admits_frp(self, is_own_server: bool) -> bool:
        """Whether frp's may, in a session with this server."""
        return self is Peers.ANY or (self is Peers.AUTO and not is_own_server)


class OwnWay:
    """A visitor's way to a direct path with a client of relaykit, through a server of relaykit."""

    def __init__(self, peers: Peers, secret: Secret, host: IVisitorHost) -> None:
        self._peers = peers
        self._secret = secret
        self._host = host

    @property
    def is_open(self) -> bool:
        """Whether it is worth a try: with another server it only is where no other way may be taken."""
        return self._host.takes_signals or self._peers is Peers.RELAYKIT

    def prepare(self) -> None:
        """Has the client look at its network, and load what it needs, before anybody wants a path."""
        self._host.direct_paths.prepare(PeerRole.INITIATOR)

    async def path(self) -> IStreamPath:
        """A path of streams, proven by both ends, which the caller owns.

        :raises RelaykitError: there is none.
        """
        try:
            return await call(self._host, self._secret)
        except RendezvousRefusedError as refusal:
            if refusal.code is RefusalCode.NOT_AVAILABLE and self._peers is not Peers.ANY:
                text = f'{refusal.text}; if it is frp\'s, peers = "any" lets this visitor meet it as frp does'
                raise RendezvousRefusedError(refusal.code, text) from refusal
            raise


class Telling:
    """What a backend has its server told of the secret."""

    log = Logger()

    def __init__(self, peers: Peers, host: IClientHost) -> None:
        self._peers = peers
        self._host = host
        self._has_warned = False

    def registered(self, options: OptionsT) -> OptionsT:
        """The options for the server of this session.

        :raises ProxyRefusedError: it would need the secret, which it must not get.
        """
        if not self._peers.admits_frp(self._host.takes_signals):
            if self._host.takes_signals:
                return told_options(self._host, options)
            raise ProxyRefusedError(
                RefusalCode.NOT_AVAILABLE,
                'the server knows of no rendezvous, which peers = "relaykit" needs',
            )
        if not self._has_warned:
            self._has_warned = True
            self.log.warn(
                "[{proxy}] the server is told secretKey, which frp's programs need: whoever runs it can take "
                "the place of either end",
                proxy=self._host.name,
                problem="server-knows-secret",
            )
        return options
