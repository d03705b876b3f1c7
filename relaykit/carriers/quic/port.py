"""Many connections of QUIC on one UDP port: whose each datagram is, and who may begin a connection.

A datagram belongs to the connection that it names, wherever it comes from: a client may move.  Whether it
has is for the library to find out, which sends to a new address three times as much as came from there until
that has answered.  A client's first datagram is answered by a Retry packet while many connections are half
open: then whoever is not where they say takes no memory.  Source: RFC 9000 5.2, 8 and 9.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.quic.adapter import ID_BYTES, Settings, way_to
from relaykit.carriers.quic.opening import FRP_PROTOCOL, HANDSHAKE_S, RELAY_PROTOCOL
from relaykit.carriers.quic.path import QuicPath
from relaykit.dataplane.datagrams import sender_of_many
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IBatchedDatagramAcceptor, IBatchedDatagramLeg, IBatchedDatagramReceiver
from relaykit.sansio.quic.packets import destination_of, read_opening
from relaykit.sansio.quic.tokens import KEY_BYTES, AddressTokens
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.carriers.quic.adapter import Connection, Library, Way
    from relaykit.interfaces import IAcceptHost, IDatagramLeg, IDatagramReceiver
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.quic.packets import Opening
    from relaykit.values import Address, Origin

__all__ = ["MOST_CONNECTIONS", "MOST_HALF_OPEN", "RETRY_ABOVE", "PortRules", "QuicPort"]

RETRY_ABOVE: Final = 32
"""Connections in their handshake from which on a client must show first that it is where it says it is: more
than come at once to a server that is well, and each costs some milliseconds and 100 KB."""

MOST_HALF_OPEN: Final = 512
"""Connections in their handshake above which a client's first datagram is dropped; it is sent again."""

MOST_CONNECTIONS: Final = 8192
"""Connections of one port; of idle ones each takes some 100 KB."""

MOST_IDS: Final = 16
"""Ids of one connection that are known at once; the libraries issue eight."""

_AMPLIFICATION: Final = 3
"""Source: RFC 9000 8.1."""

MOST_WAYS: Final = 4
"""Addresses of one client at once: where it is, where it was, and what somebody forges."""


@frozen(kw_only=True)
class PortRules:
    """What the server's file says of connections: see :class:`relaykit.carriers.quic.adapter.Settings`.

    :ivar keepalive_s: seconds without a word of the client after which it is asked for one.
    """

    idle_s: float
    keepalive_s: float
    most_streams: int


@implementer(IBatchedDatagramAcceptor)
class QuicPort:
    """Takes the sources of a datagram port; hands a connection to the host once it is handshaken."""

    log = Logger()

    def __init__(self, rules: PortRules, host: IAcceptHost, library: Library) -> None:
        self.turns = host.turns
        self._rules = rules
        self._host = host
        self._library = library
        self._tokens = AddressTokens(host.entropy(KEY_BYTES))
        self._by_id: dict[bytes, _Client] = {}
        self._clients: dict[_Client, QuicPath] = {}
        self._half_open = 0
        self._closing = False

    @property
    def connections(self) -> int:
        """How many there are, half-open ones included."""
        return len(self._clients)

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        if origin.source is None:
            leg.close()
        else:
            leg.attach(_Source(self, leg, origin.source))

    def close(self) -> Deferred[Any]:
        """Lets nobody begin a connection, and closes those that there are; fires once they are over."""
        self._closing = True
        paths = list(self._clients.values())
        over = DeferredList([path.when_lost() for path in paths])
        for path in paths:
            path.close()
        return over

    # --- for sources and clients ------------------------------------------------------------------

    def datagrams_received(self, source: _Source, datagrams: Sequence[bytes]) -> None:
        """Datagrams came from somewhere."""
        for client, own in groupby(datagrams, self._client_of):
            if client is not None:
                client.take(source, list(own))
            else:
                for data in own:
                    self._begin_or_drop(source, data)

    def _client_of(self, data: bytes) -> _Client | None:
        return self._by_id.get(destination_of(data, ID_BYTES)[:ID_BYTES])

    def _begin_or_drop(self, source: _Source, data: bytes) -> None:
        """Deals with a datagram that belongs to no connection."""
        opening = read_opening(data)
        if opening is not None and not self._closing:
            self._answer(source, opening, data)
        source.close_if_unused()

    def know(self, client: _Client, name: bytes) -> None:
        """The peer calls a connection so, too; of longer ids the beginning tells it from all others."""
        name = name[:ID_BYTES]
        if len(client.ids) < MOST_IDS and name not in self._by_id:
            self._by_id[name] = client
            client.ids.add(name)

    def forget_id(self, client: _Client, name: bytes) -> None:
        """The peer does so no more."""
        name = name[:ID_BYTES]
        if name in client.ids:
            client.ids.discard(name)
            del self._by_id[name]

    def forget(self, client: _Client) -> None:
        """A connection is over."""
        if self._clients.pop(client, None) is not None:
            for name in client.ids:
                del self._by_id[name]
            client.ids.clear()

    # --- inside -----------------------------------------------------------------------------------

    def _answer(self, source: _Source, opening: Opening, data: bytes) -> None:
        """Deals with what may begin a connection."""
        if not opening.is_initial:
            source.leg.send(self._library.version_negotiation(opening))
            return
        if self._half_open >= MOST_HALF_OPEN or len(self._clients) >= MOST_CONNECTIONS:
            return
        now = self._host.reactor.seconds()
        original = self._tokens.read(opening.token, source.proved, opening.destination, now)
        if original is None and self._half_open >= RETRY_ABOVE:
            named = self._host.entropy(ID_BYTES)
            token = self._tokens.make(source.proved, opening.destination, named, now)
            source.leg.send(self._library.retry(opening, named, token))
            return
        retried = None if original is None else (original, opening.destination)
        self._begin(source, opening, retried).take(source, (data,))

    def _begin(self, source: _Source, opening: Opening, retried: tuple[bytes, bytes] | None) -> _Client:
        host, rules, library = self._host, self._rules, self._library
        settings = Settings(
            protocols=(RELAY_PROTOCOL, FRP_PROTOCOL),
            idle_s=rules.idle_s,
            key_pair=host.tls_terms().shown,
            takes_datagrams=True,
            most_streams=rules.most_streams,
        )
        connection = library.connection(settings)
        connection.retried = retried
        client = _Client(self, connection, source, is_there=retried is not None)
        path = QuicPath(
            connection,
            library,
            client,
            host.turns,
            host.reactor,
            rules.keepalive_s,
            credited_by=RELAY_PROTOCOL,
        )
        self._clients[client] = path
        self.know(client, opening.destination)
        path.watch_ids(partial(self.know, client), partial(self.forget_id, client))
        # Nobody takes what it sends before the handshake is over.
        path.restrict(0, 0, 0)
        path.start()
        self._half_open += 1
        path.handshaken.addTimeout(HANDSHAKE_S, host.reactor)
        path.handshaken.addBoth(self._no_longer_half_open)
        path.handshaken.addCallback(lambda _: self._accept(path, client))
        path.handshaken.addErrback(self._not_begun, path)
        return client

    def _no_longer_half_open(self, result: object) -> object:
        self._half_open -= 1
        return result

    def _accept(self, path: QuicPath, client: _Client) -> None:
        client.is_begun = True
        self._host.path_accepted(path, path.origin, path)

    def _not_begun(self, failure: Failure, path: QuicPath) -> None:
        if not failure.check(ConnectionFailed, TimeoutError):
            self.log.failure("a defect while a QUIC connection began", failure)
        self.log.debug(
            "no QUIC connection with {peer}: {reason}",
            peer=path.peer,
            reason=failure.getErrorMessage(),
            stranger=host_of(path.peer),
        )
        path.abort()


@implementer(IBatchedDatagramReceiver)
class _Source:
    """Where datagrams come from: the way to the clients that are there."""

    __slots__ = ("_port", "clients", "leg", "proved", "send_many", "way")

    def __init__(self, port: QuicPort, leg: IDatagramLeg, address: Address) -> None:
        self.leg = leg
        self.send_many = sender_of_many(leg)
        self.way = way_to(address)
        self.proved = str(address).encode()
        """What a token shows that the client receives at."""
        self.clients: set[_Client] = set()
        self._port = port

    def datagram_received(self, data: Buffer) -> None:
        self._port.datagrams_received(self, (bytes(data),))

    def datagrams_received(self, datagrams: Sequence[bytes]) -> None:
        self._port.datagrams_received(self, datagrams)

    def leg_lost(self, reason: Ended) -> None:
        clients, self.clients = self.clients, set()
        for each in clients:
            each.lose_way(self)

    def leave(self, client: _Client) -> None:
        """A client is there no more."""
        self.clients.discard(client)
        self.close_if_unused()

    def close_if_unused(self) -> None:
        """Nothing is kept of who has no connection."""
        if not self.clients:
            self.leg.close()


@implementer(IBatchedDatagramLeg)
class _Client:
    """What a connection stands on: the ways to its client, of which it uses the one that it names."""

    __slots__ = (
        "_arrived",
        "_connection",
        "_may_send",
        "_port",
        "_receiver",
        "_source",
        "_ways",
        "dropped",
        "ids",
        "is_begun",
    )

    def __init__(self, port: QuicPort, connection: Connection, source: _Source, is_there: bool) -> None:
        self.ids: set[bytes] = set()
        self.is_begun = False
        self.dropped = 0
        self._port = port
        self._connection = connection
        self._ways: OrderedDict[Way, _Source] = OrderedDict()
        self._source = source
        self._receiver: IBatchedDatagramReceiver | None = None
        self._arrived: list[bytes] = []
        self._may_send = inf if is_there else 0.0
        """Bytes, until the client has shown that it is there; the libraries forget their own last word."""
        connection.elsewhere = self._send_elsewhere
        self._move(source)

    @property
    def peer(self) -> Address | None:
        peer: Address | None = self._source.leg.peer
        return peer

    @property
    def host(self) -> Address | None:
        host: Address | None = self._source.leg.host
        return host

    def attach(self, receiver: IDatagramReceiver) -> None:
        assert IBatchedDatagramReceiver.providedBy(receiver), "it is for what drives a connection"
        self._receiver = receiver

    def pause(self) -> None:
        """Nothing to do: a connection always takes datagrams."""

    def resume(self) -> None:
        """Nothing to do, either."""

    def send(self, data: Buffer) -> bool:
        if not self.is_begun:
            if self._may_send < len(data):
                self.dropped += 1
                return False
            self._may_send -= len(data)
        taken: bool = self._source.leg.send(data)
        return taken

    def send_many(self, datagrams: Sequence[bytes]) -> int:
        return self._source.send_many(datagrams) if self.is_begun else sum(map(self.send, datagrams))

    def close(self) -> None:
        self._receiver = None
        self._port.forget(self)
        while self._ways:
            self._ways.popitem()[1].leave(self)

    # --- for the port -----------------------------------------------------------------------------

    def take(self, source: _Source, datagrams: Sequence[bytes]) -> None:
        """Takes datagrams of the connection; those of one turn go in together."""
        if source is not self._source:
            self._deliver()
            self._move(source)
        if not self._arrived:
            self._port.turns.at_turn_end(self._deliver)
        self._arrived += datagrams
        if not self.is_begun:
            self._may_send += _AMPLIFICATION * sum(map(len, datagrams))

    def lose_way(self, source: _Source) -> None:
        """A way is gone; the client is found by the next datagram that comes from it, wherever it is then."""
        if self._ways.get(source.way) is source:
            del self._ways[source.way]

    # --- inside -----------------------------------------------------------------------------------

    def _deliver(self) -> None:
        datagrams, self._arrived = self._arrived, []
        if self._receiver is not None and datagrams:
            self._receiver.datagrams_received(datagrams)
            if not self.is_begun and self._connection.own_id:
                self._port.know(self, self._connection.own_id)

    def _move(self, source: _Source) -> None:
        """Datagrams come from there from now on; where they must go, the connection knows."""
        self._source = source
        self._connection.way = source.way
        before = self._ways.pop(source.way, None)
        if before is not None and before is not source:
            before.leave(self)
        self._ways[source.way] = source
        source.clients.add(self)
        if len(self._ways) > MOST_WAYS:
            self._ways.popitem(last=False)[1].leave(self)

    def _send_elsewhere(self, data: bytes, way: Way) -> None:
        source = self._ways.get(way)
        if source is None or not source.leg.send(data):
            self.dropped += 1
