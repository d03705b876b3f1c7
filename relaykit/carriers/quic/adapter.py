"""The one place that knows a QUIC library: qh3, or aioquic where qh3 is missing.

Both have the state machine of a connection without any I/O, with nearly one interface.  What differs, and
what neither offers in public, is here: the room that a stream has, what is on its way, credit that is
withheld.  ``setup.cfg`` pins the versions that this was written for.

Nothing is imported before :func:`load`, so that who uses no QUIC pays nothing for it.

Source: RFC 9000, RFC 9221 (datagrams).
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from relaykit.errors import QuicUnavailableError
from relaykit.sansio.quic.exporting import export
from relaykit.sansio.quic.packets import read_opening

if TYPE_CHECKING:
    from relaykit.certificates.own import KeyPair
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.quic.packets import Opening
    from relaykit.values import Address

__all__ = [
    "CONNECTION_WINDOW_BYTES",
    "FRAME_BYTES",
    "ID_BYTES",
    "LIBRARIES",
    "MOST_STREAMS",
    "PIECE_COST_BYTES",
    "STREAM_WINDOW_BYTES",
    "Connection",
    "Library",
    "Settings",
    "Way",
    "available",
    "load",
    "load_ahead",
    "required",
    "timed_out",
    "way_to",
]

LIBRARIES: Final = ("qh3", "aioquic")
"""In the order in which they are tried: the first is several times faster."""

STREAM_WINDOW_BYTES: Final = 8 * 1024 * 1024
"""What a peer may send on one stream beyond what was taken: 640 Mbit/s over a round trip of 100 ms."""

CONNECTION_WINDOW_BYTES: Final = 16 * 1024 * 1024
"""The same of all streams together, and the most that arrives while credit is withheld."""

MOST_STREAMS: Final = 4096
"""Streams that a peer may have at once.  aioquic makes an object for each number that a peer leaves out."""

ID_BYTES: Final = 8
"""Bytes of the connection ids that this end makes up."""

FRAME_BYTES: Final = 1500
"""Largest datagram frame that a peer may send: more than a packet carries on most paths."""

_INITIAL_ROUND_TRIP_S = 0.1
"""Round trip assumed before the first was measured: a lost first packet is sent again after three of them."""

PIECE_COST_BYTES: Final = 64
"""What a packet with one frame of a stream has besides, at most; qh3 leaves as much."""

_FRAME_OVERHEAD_BYTES = 44
"""What a packet with one datagram frame has besides: flags, a connection id of 20 bytes, number, tag, type
and length."""

Way: TypeAlias = "tuple[str, int] | tuple[str, int, int, int]"
"""Where a peer is, as a library has it; see :func:`way_to`."""

_PEER: Final[Way] = ("192.0.2.1", 9)
"""What the library is told as the address of the peer where what is below follows the peer, and knows its
datagrams from those of others.  Source: RFC 5737."""

_ROUNDING_S = 1e-6
"""What aioquic is woken later: what it computes to be due at a time may not be, by rounding, at that time."""

_NO_ROOM = "capacity exhausted"
_MISSING = "QUIC needs a library that is not installed here: pip install 'relaykit[quic]'"

_VERSION_1 = 1
_INITIAL_SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_INITIAL_CIPHERS = ("aes-128-gcm", "aes-128-ecb")
_SECRET_BYTES = 32
"""Of the first packets of version 1.  Source: RFC 9001 5.2."""

_PLACE_OF_MOST_STREAMS = 21
"""Among the arguments of qh3's core."""

_MOST_ROUNDS = 8
"""How often the end of a stream waits for all that is under way, where something of that is lost each time.
That each time it was the same bytes, and then those and the end, does not happen on a line that is of use."""


@frozen(kw_only=True)
class Settings:
    """What is agreed of a connection.

    :ivar protocols: names of ALPN, of which both ends must have one; the server takes its first.
    :ivar idle_s: seconds of silence after which it is lost.
    :ivar key_pair: of the server; of a client only for a server that asks for it.
    :ivar is_client: which end this is.
    :ivar asked_name: the name that the server is asked for (SNI); empty for none.
    :ivar takes_datagrams: whether the peer may send datagram frames.
    :ivar most_streams: how many streams the peer may have at once.
    """

    protocols: tuple[str, ...]
    idle_s: float
    key_pair: KeyPair | None = None
    is_client: bool = False
    asked_name: str = ""
    takes_datagrams: bool = False
    most_streams: int = MOST_STREAMS


class Library:
    """One of :data:`LIBRARIES`, imported."""

    def __init__(self, name: str) -> None:
        """Imports it.

        :raises ModuleNotFoundError: it is not installed.
        """
        self.name = name
        self.events: Any = import_module(f"{name}.quic.events")
        """The classes of the events of connections."""
        self._packet: Any = import_module(f"{name}.quic.packet")
        self._configuration: Any = import_module(f"{name}.quic.configuration").QuicConfiguration
        self._connection: type[Connection] = {"qh3": _Qh3, "aioquic": _Aioquic}[name]
        self._class: Any = {"qh3": _qh3_class, "aioquic": _aioquic_class}[name]()
        # It tells of peers by the logging of the standard library, which would write to standard error.
        logging.getLogger("quic").addHandler(logging.NullHandler())

    def __repr__(self) -> str:
        return f"<Library {self.name}>"

    def connection(self, settings: Settings) -> Connection:
        """A connection that these settings are for."""
        configuration = self._configuration(
            is_client=settings.is_client,
            alpn_protocols=list(settings.protocols),
            connection_id_length=ID_BYTES,
            server_name=settings.asked_name or None,
            idle_timeout=settings.idle_s,
            max_data=CONNECTION_WINDOW_BYTES,
            max_stream_data=STREAM_WINDOW_BYTES,
            initial_rtt=_INITIAL_ROUND_TRIP_S,
            # Without a word of it qh3's client takes them, and keeps any number while credit is withheld.
            max_datagram_frame_size=FRAME_BYTES if settings.takes_datagrams else 0,
            verify_mode=ssl.CERT_NONE,
        )
        return self._connection(self._class, configuration, settings, self.events.StreamDataReceived)

    def version_negotiation(self, opening: Opening) -> bytes:
        """What a client is told whose version is not spoken here.  Source: RFC 9000 6.1."""
        spoken = [int(each) for each in self._configuration(is_client=False).supported_versions]
        data: bytes = self._packet.encode_quic_version_negotiation(
            source_cid=opening.destination, destination_cid=opening.source, supported_versions=spoken
        )
        return data

    def retry(self, opening: Opening, named: bytes, token: bytes) -> bytes:
        """What has a client come again with a token, for the connection id that is named."""
        data: bytes = self._packet.encode_quic_retry(
            version=opening.version,
            source_cid=named,
            destination_cid=opening.source,
            original_destination_cid=opening.destination,
            retry_token=token,
        )
        return data


@cache
def load(name: str | None = None) -> Library:
    """The library of this name, or the best that is installed.

    :raises QuicUnavailableError: there is none.
    """
    for each in LIBRARIES if name is None else (name,):
        with contextlib.suppress(ModuleNotFoundError):
            return Library(each)
    raise QuicUnavailableError(_MISSING)


@cache
def load_ahead() -> None:
    """Begins to load the best that is installed, in a thread: the first connection need not wait for it.

    Once in a process that takes a tenth of a second, half of it for the first random numbers of the library.
    What is wrong with it is told where it is used.
    """
    threading.Thread(target=_use_once, name="load QUIC", daemon=True).start()


def _use_once() -> None:
    with contextlib.suppress(Exception):
        load().connection(Settings(protocols=("relaykit",), idle_s=1.0)).start(0.0)


def required() -> None:
    """Makes sure that a library is installed.

    :raises QuicUnavailableError: there is none.
    """
    if not available():
        raise QuicUnavailableError(_MISSING)


def available(name: str | None = None) -> bool:
    """Whether the library of this name is installed, or any."""
    return any(find_spec(each) is not None for each in (LIBRARIES if name is None else (name,)))


def timed_out(event: Any) -> bool:
    """Whether a connection ended because its peer was silent."""
    return bool(event.reason_phrase == "Idle timeout")


class Connection:
    """One connection: datagrams and time in, events and datagrams out.

    Events are the library's own objects; both have classes of the same names, with the same fields.  ``now``
    is in seconds of one monotonic clock.  Streams are numbers, of bidirectional ones only.
    """

    def __init__(self, cls: Any, configuration: Any, settings: Settings, stream_data: Any) -> None:
        """``cls`` is the library's connection, ``stream_data`` the class of its events of payload."""
        self.is_client = settings.is_client
        self.way: Way = _PEER
        """Where what is fed comes from, and what is taken goes to but for what goes :attr:`elsewhere`."""
        self.elsewhere: Callable[[bytes, Way], object] = _nowhere
        """Is called, while output is taken, with what must go another way: the peer may have moved."""
        self.retried: tuple[bytes, bytes] | None = None
        """For a server, of a client that comes again: the id that it made up, and the one it was given."""
        self._class = cls
        self._configuration = configuration
        self._settings = settings
        self._stream_data = stream_data
        self._quic: Any = None
        self._exporter = _Exporter(self)
        configuration.secrets_log_file = self._exporter
        configuration.most_streams = settings.most_streams

    # --- what both libraries have in common

    def start(self, now: float) -> None:
        """Begins: the client says hello, the server waits for that."""
        if self.is_client:
            self._quic = self._make()
            self._quic.connect(self.way, now)

    def receive(self, datagrams: Sequence[bytes], now: float) -> None:
        """Feeds datagrams of the peer, in order.  One that makes no sense is ignored."""
        for data in datagrams:
            if not self.is_client and not self._is_begun:
                self._accept(data)
            if self._quic is not None:
                self._quic.receive_datagram(data, self.way, now)

    def events(self) -> Iterator[Any]:
        """Takes what has happened.

        Of streams that take turns, packet by packet, each is told of once with what arrived meanwhile.
        """
        arrived: dict[int, list[Any]] = {}
        while self._quic is not None and (event := self._quic.next_event()) is not None:
            if type(event) is self._stream_data:
                arrived.setdefault(event.stream_id, []).append(event)
            else:
                yield from map(_joined, arrived.values())
                arrived.clear()
                yield event
        yield from map(_joined, arrived.values())

    def to_send(self, now: float) -> list[bytes]:
        """Takes the datagrams that must go out now, as far as the network is thought to carry them."""
        raise NotImplementedError

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called; None for never."""
        due: float | None = None if self._quic is None else self._quic.get_timer()
        return due

    def wake(self, now: float) -> None:
        """Lets time-outs happen."""
        if self._quic is not None:
            self._quic.handle_timer(now)

    def withhold(self, withheld: bool) -> None:
        """Gives the peer no credit any more, for no stream; or (False) again."""
        if self._quic is not None:
            self._quic.withheld = withheld

    @property
    def channel(self) -> bytes:
        """The server's certificate in DER, as this end has it; empty before the handshake."""
        key_pair = self._settings.key_pair
        if not self.is_client and key_pair is not None:
            return key_pair.der
        return next(iter(self.peer_chain), b"")

    @property
    def own_id(self) -> bytes:
        """What the peer calls this end first; empty before a server's connection began."""
        return b"" if self._quic is None else bytes(self._quic.host_cid)

    def export(self, label: bytes, length: int) -> bytes:
        """A secret that only both ends of this connection know.

        :raises ValueError: the handshake is not that far.
        """
        if not self._exporter.secret:
            raise ValueError("there is no secret yet")
        return export(self._exporter.algorithm, self._exporter.secret, label, length)

    @property
    def ending(self) -> Any:
        """The event of the connection's end, as soon as that is known; None as long as it lives."""
        return None if self._quic is None else self._quic._close_event

    def close(self, code: int, reason: str) -> None:
        """Ends the connection; the peer is told by what is to be sent next."""
        if self._quic is not None:
            self._quic.close(error_code=code, reason_phrase=reason)

    def ping(self, number: int) -> None:
        """Asks for an answer, which is the event ``PingAcknowledged`` with this number."""
        if self._quic is not None:
            self._quic.send_ping(number)

    def send_frame(self, data: bytes) -> None:
        """Sends a datagram frame of at most :attr:`most_frame_bytes`."""
        self._quic.send_datagram_frame(data)

    @property
    def most_frame_bytes(self) -> int:
        """The largest datagram that a packet carries; 0 where the peer takes none."""
        most: int | None = None if self._quic is None else self._quic._remote_max_datagram_frame_size
        return max(0, min(most, self._packet_bytes()) - _FRAME_OVERHEAD_BYTES) if most else 0

    @property
    def most_piece_bytes(self) -> int:
        """What a packet carries of a stream."""
        return self._packet_bytes() - PIECE_COST_BYTES

    @property
    def room_bytes(self) -> int:
        """What may be written on streams now; each piece costs :data:`PIECE_COST_BYTES` besides.

        It goes out at once.  Of what is written beyond it qh3 makes frames that the network carries later,
        and its acknowledgements stand in line behind them: two ends that do that to each other both wait
        until their patience is over, again and again, each time for twice as long.
        """
        packet, allowed = self._packet_bytes(), self._allowed_bytes()
        if allowed < packet:
            return 0
        # A packet goes out where a full one might, so that the last one must have that.
        allowed = max(packet, allowed - packet)
        return allowed * (packet - PIECE_COST_BYTES) // packet - self._unsent_bytes()

    @property
    def congested(self) -> bool:
        """Whether the network is thought to carry no more for now."""
        return self._allowed_bytes() < self._packet_bytes()

    # --- what differs

    @property
    def settled(self) -> bool:
        """Whether everything that was written has reached the peer."""
        raise NotImplementedError

    def open(self) -> int | None:
        """The number of a new stream; None while the peer takes no more.  It sees it by what is sent."""
        raise NotImplementedError

    def write(self, stream: int, data: Buffer, fin: bool) -> None:
        """Sends bytes, and with ``fin`` the end; to a peer that takes no more of this stream, nothing."""
        raise NotImplementedError

    def unsent(self, stream: int) -> int:
        """Bytes of a stream that were written and wait to be sent for the first time."""
        raise NotImplementedError

    def reset(self, stream: int, code: int) -> None:
        """Ends this side's direction at once; what was not sent is dropped."""
        raise NotImplementedError

    def stop(self, stream: int, code: int) -> None:
        """Asks the peer to end its direction."""
        raise NotImplementedError

    @property
    def round_trip_s(self) -> float | None:
        """What a round trip takes, smoothed; None before the first."""
        raise NotImplementedError

    @property
    def peer_chain(self) -> Sequence[bytes]:
        """The certificates that the peer showed, in DER, its own first; none before the handshake."""
        raise NotImplementedError

    @property
    def _is_begun(self) -> bool:
        """For a server: whether a packet arrived that was authentic, so that this is the connection."""
        raise NotImplementedError

    def _accept(self, data: bytes) -> None:
        """For a server: makes the connection anew if a datagram may begin one."""
        opening = read_opening(data)
        if opening is not None and opening.is_initial:
            self._quic = self._serve(opening)

    def _serve(self, opening: Opening) -> Any:
        """The connection of a client that opens so."""
        began, named = self.retried or (opening.destination, None)
        return self._make(original_destination_connection_id=began, retry_source_connection_id=named)

    def _make(self, **given: Any) -> Any:
        return self._class(configuration=self._configuration, **given)

    def _packet_bytes(self) -> int:
        """What a packet may have in all."""
        raise NotImplementedError

    def _allowed_bytes(self) -> int:
        """What may be under way beyond what is; less than nothing after a loss."""
        raise NotImplementedError

    def _unsent_bytes(self) -> int:
        """What :meth:`unsent` says, of all streams."""
        raise NotImplementedError


class _Exporter:
    """What a library would write its secrets into: keeps the one that others can be exported from.

    A server's first secret of its own payload is told as soon as the secret is known that both come from.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.secret = b""
        self.algorithm = ""

    def write(self, line: str) -> None:
        """Takes a line of what is elsewhere the file ``SSLKEYLOGFILE``."""
        if line.startswith("SERVER_TRAFFIC_SECRET_0 "):
            schedule = self._connection._quic.tls.key_schedule
            self.secret = schedule.derive_secret(b"exp master")
            self.algorithm = "sha256" if len(self.secret) == 32 else "sha384"

    def flush(self) -> None:
        """Nothing is kept back."""


def _joined(events: list[Any]) -> Any:
    """One event of payload for several of one stream, in order."""
    first, last = events[0], events[-1]
    if first is last:
        return first
    return type(first)(
        data=b"".join([each.data for each in events]), end_stream=last.end_stream, stream_id=first.stream_id
    )


def way_to(address: Address) -> Way:
    """Where a peer is: an address without zone, a port, and of IPv6 the two zeros that qh3 adds to it."""
    host, port = address.host.partition("%")[0], address.port
    return (host, port, 0, 0) if ":" in host else (host, port)


def _nowhere(data: bytes, way: Way) -> None:
    """Drops what goes another way, where there is only one."""


def _qh3_class() -> Any:
    """qh3's connection, as it is needed here.

    A copy of its module is made for that, in which a peer may have more than the 100 streams that are fixed
    in it; the one that others import stays as it is.
    """
    spec = find_spec("qh3.quic.connection")
    assert spec is not None and spec.loader is not None, "its events were imported before"
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    core, packet = module.QuicConnectionCore, import_module("qh3.quic.packet")

    class Bridge(module.QuicTlsBridge):  # type: ignore[misc]  # of a module that is found when it is needed
        """Tells the peer how many streams it may have."""

        def serialize_transport_parameters(self) -> bytes:
            said = module.Buffer(data=super().serialize_transport_parameters())
            parameters = packet.pull_quic_transport_parameters(said)
            parameters.initial_max_streams_bidi = self.configuration.most_streams
            buffer = module.Buffer(capacity=3 * packet.PACKET_MAX_SIZE)
            packet.push_quic_transport_parameters(buffer, parameters)
            return bytes(buffer.data)

    def make_core(most_streams: int, *arguments: Any) -> Any:
        given = list(arguments)
        given[_PLACE_OF_MOST_STREAMS] = most_streams
        return core(*given)

    module.QuicTlsBridge = Bridge

    class Quic(module.QuicConnection):  # type: ignore[misc]  # likewise
        """Leaves what has happened with the core while credit is withheld: taking it gives credit.

        The end, too, would be left there, so that all is taken once there is one.

        A client whose connection id has no bytes, as frp's, is served, too (``serves_nameless``).  The core
        takes such an id for one that is yet to come, unless the server has it from the beginning.  Then it
        knows neither that the client's first packets are for it nor how they are encrypted, so it gets the id
        that the client has made up for it, and their keys.
        """

        withheld = False
        serves_nameless = False

        def _create_core(self, remote_addr: Any, initial_dcid: bytes, now: float) -> None:
            # It is looked up by this name when it is made.
            module.QuicConnectionCore = partial(make_core, self._configuration.most_streams)
            if not self.serves_nameless:
                super()._create_core(remote_addr, initial_dcid, now)
                return
            self.host_cid = initial_dcid
            self._configuration.connection_id_length = len(initial_dcid)
            super()._create_core(remote_addr, b"", now)
            for direction, key in _initial_keys(initial_dcid):
                self._core.install_packet_key(direction, 0, _INITIAL_CIPHERS, *key, 0, None, _VERSION_1)

        def _create_tls(self, remote_source_cid: bytes | None) -> Any:
            return super()._create_tls(b"" if self.serves_nameless else remote_source_cid)

        def _drain_core(self) -> None:
            if not (self.withheld and self._handshake_complete and self._core.state == "connected"):
                super()._drain_core()

    return Quic


def _initial_keys(made_up: bytes) -> Iterator[tuple[str, tuple[bytes, bytes, bytes]]]:
    """How a server's first packets are encrypted, each way, by the id that a client has made up for it.

    Source: RFC 9001 5.2.
    """
    crypto = import_module("qh3.quic.crypto")
    suite = crypto.CipherSuite.AES_128_GCM_SHA256
    secret = hmac.digest(_INITIAL_SALT, made_up, "sha256")
    for direction, label in (("receive", b"client in"), ("send", b"server in")):
        way = crypto.hkdf_expand_label(crypto.cipher_suite_hash(suite), secret, label, b"", _SECRET_BYTES)
        yield direction, crypto.derive_key_iv_hp(cipher_suite=suite, secret=way, version=_VERSION_1)


@frozen
class _Round:
    """What the end of a stream waits for: that all arrives that was under way at some time after its bytes.

    :ivar last: the highest number of those packets.
    :ivar losses: packets that the connection had lost by then; -1 if what was lost may not have gone again.
    :ivar left: how many more rounds there may be.
    """

    last: int = -1
    losses: int = -1
    left: int = _MOST_ROUNDS


class _Qh3(Connection):
    """qh3: a native core, with a facade of Python that is passed by once the handshake is over.

    The core never sends an end again that was lost in a frame without bytes while earlier bytes of the stream
    were under way, too.  So an end goes with the last bytes or, if those have gone, once they have arrived.
    """

    def __init__(self, cls: Any, configuration: Any, settings: Settings, stream_data: Any) -> None:
        super().__init__(cls, configuration, settings, stream_data)
        self._ends: dict[int, _Round] = {}
        """Of the streams whose end waits for their bytes to arrive: what is waited for."""
        self._losses = 0
        self._repairs = -1
        """The highest number of a packet that was under way after the last loss: what was lost went again by
        then, or does once that has arrived, where the core first asks the peer again to stop the stream."""
        key_pair = settings.key_pair
        if key_pair is not None:
            configuration.load_cert_chain(key_pair.certificate, key_pair.key)

    def _serve(self, opening: Opening) -> Any:
        quic = super()._serve(opening)
        quic.serves_nameless = not opening.source
        return quic

    def receive(self, datagrams: Sequence[bytes], now: float) -> None:
        quic = self._quic
        if quic is None or not quic._handshake_complete:
            super().receive(datagrams, now)
        else:
            quic._core.receive_many_datagrams(list(datagrams), self.way, now)
            quic._drain_core()

    def to_send(self, now: float) -> list[bytes]:
        if self._quic is None or self._quic._core is None:
            return []
        datagrams, core = self._take_datagrams(now), self._quic._core
        if self.ending is None and (self._ends or core.loss_total != self._losses):
            self._end_streams()
            datagrams += self._take_datagrams(now)
        return datagrams

    def _take_datagrams(self, now: float) -> list[bytes]:
        datagrams = []
        try:
            for data, way, *_ in iter(partial(self._quic._core.poll_transmit, now), None):
                if way == self.way:
                    datagrams.append(data)
                else:
                    self.elsewhere(data, way)
        except RuntimeError as error:
            # What a server may send before the client's address is confirmed is less than the next packet.
            if _NO_ROOM not in str(error):
                raise
        return datagrams

    def _end_streams(self) -> None:
        """Ends the streams whose bytes have arrived, of those that wait."""
        core = self._quic._core
        under_way = core.outstanding_application_packets
        first, last = (under_way[0][0], under_way[-1][0]) if under_way else (inf, -1)
        losses = core.loss_total
        if losses != self._losses:
            self._losses, self._repairs = losses, last
        ask = False
        for stream, waited in tuple(self._ends.items()):
            if first <= waited.last or self.unsent(stream):
                continue
            if not under_way or losses == waited.losses or not waited.left:
                del self._ends[stream]
                # The peer may have stopped it.
                with contextlib.suppress(ValueError):
                    core.send_stream(stream, b"", True)
            else:
                ask = True
                self._ends[stream] = _Round(last, losses if first > self._repairs else -1, waited.left - 1)
        if ask:
            # Without it the peer may take its time to acknowledge.
            core.send_ping(0)

    def withhold(self, withheld: bool) -> None:
        super().withhold(withheld)
        if not withheld and self._quic is not None:
            self._quic._drain_core()

    def open(self) -> int | None:
        core = self._quic._core
        allowed, _, opened, _ = core.stream_limits
        return int(core.open_stream(False)) if opened < allowed else None

    def write(self, stream: int, data: Buffer, fin: bool) -> None:
        if fin and not len(data) and self.unsent(stream) <= self._packet_bytes():
            # What is unsent may have been put into a packet already.
            self._ends[stream] = _Round()
            return
        # That the peer takes no more is not told while credit is withheld.
        with contextlib.suppress(ValueError):
            self._quic._core.send_stream(stream, data, fin)

    def unsent(self, stream: int) -> int:
        return int(self._quic._core.get_send_buffer_size(stream))

    def reset(self, stream: int, code: int) -> None:
        self._ends.pop(stream, None)
        # It may have ended in both directions.
        with contextlib.suppress(ValueError):
            self._quic._core.reset_stream(stream, code)

    def stop(self, stream: int, code: int) -> None:
        with contextlib.suppress(ValueError):
            self._quic._core.stop_sending(stream, code)

    @property
    def settled(self) -> bool:
        core = None if self._quic is None else self._quic._core
        return core is None or not (self._ends or core.bytes_in_flight or core.get_send_buffer_size())

    @property
    def round_trip_s(self) -> float | None:
        core = None if self._quic is None else self._quic._core
        return None if core is None else core.smoothed_rtt

    @property
    def _is_begun(self) -> bool:
        core = None if self._quic is None else self._quic._core
        return core is not None and bool(core.received_authenticated_packet)

    @property
    def peer_chain(self) -> Sequence[bytes]:
        quic = self._quic
        first = None if quic is None else quic.get_peercert()
        shown = () if first is None else (first, *quic.get_issuercerts())
        return [bytes(each.public_bytes()) for each in shown]

    def _packet_bytes(self) -> int:
        return int(self._quic._core.active_path[-1])

    def _allowed_bytes(self) -> int:
        core = self._quic._core
        return int(core.congestion_window) - int(core.bytes_in_flight)

    def _unsent_bytes(self) -> int:
        return int(self._quic._core.get_send_buffer_size())


def _aioquic_class() -> Any:
    """Aioquic's connection, as it is needed here: its own doubles what a peer may send, and has no end."""
    module: Any = import_module("aioquic.quic.connection")

    class Quic(module.QuicConnection):  # type: ignore[misc]  # a class of a module that may be missing
        """Gives the peer one window beyond what has arrived, and none while credit is withheld."""

        withheld = False

        def _write_connection_limits(self, builder: Any, space: Any) -> None:
            limit = self._local_max_data
            if not self.withheld and limit.value - limit.used <= CONNECTION_WINDOW_BYTES // 2:
                limit.value = limit.used + CONNECTION_WINDOW_BYTES
            used, limit.used = limit.used, 0
            try:
                super()._write_connection_limits(builder, space)
            finally:
                limit.used = used

        def _write_stream_limits(self, builder: Any, space: Any, stream: Any) -> None:
            most, highest = stream.max_stream_data_local, stream.receiver.highest_offset
            if most and most - highest <= STREAM_WINDOW_BYTES // 2:
                stream.max_stream_data_local = highest + STREAM_WINDOW_BYTES
            stream.receiver.highest_offset = 0
            try:
                super()._write_stream_limits(builder, space, stream)
            finally:
                stream.receiver.highest_offset = highest

    return Quic


class _Aioquic(Connection):
    """aioquic: all in Python."""

    def __init__(self, cls: Any, configuration: Any, settings: Settings, stream_data: Any) -> None:
        super().__init__(cls, configuration, settings, stream_data)
        key_pair = settings.key_pair
        if key_pair is not None:
            tls = import_module("aioquic.tls")
            chain = tls.load_pem_x509_certificates(key_pair.certificate)
            configuration.certificate, configuration.certificate_chain = chain[0], chain[1:]
            configuration.private_key = tls.load_pem_private_key(key_pair.key)

    def to_send(self, now: float) -> list[bytes]:
        if self._quic is None or not self._quic._network_paths:
            return []
        datagrams = []
        for data, way in self._quic.datagrams_to_send(now):
            if way == self.way:
                datagrams.append(data)
            else:
                self.elsewhere(data, way)
        return datagrams

    def next_wakeup(self) -> float | None:
        due = super().next_wakeup() if self._quic is not None and self._quic._network_paths else None
        return None if due is None else due + _ROUNDING_S

    def open(self) -> int | None:
        number: int = self._quic.get_next_available_stream_id()
        if number // 4 >= self._quic._remote_max_streams_bidi:
            return None
        self._quic.send_stream_data(number, b"")
        return number

    def write(self, stream: int, data: Buffer, fin: bool) -> None:
        with contextlib.suppress(RuntimeError):
            self._quic.send_stream_data(stream, data, fin)

    def unsent(self, stream: int) -> int:
        known = self._quic._streams.get(stream)
        return 0 if known is None else _unsent(known.sender)

    def reset(self, stream: int, code: int) -> None:
        with contextlib.suppress(ValueError):
            self._quic.reset_stream(stream, code)

    def stop(self, stream: int, code: int) -> None:
        with contextlib.suppress(ValueError):
            self._quic.stop_stream(stream, code)

    @property
    def settled(self) -> bool:
        quic = self._quic
        return quic is None or not (
            quic._loss.bytes_in_flight or any(_unsent(each.sender) for each in quic._streams.values())
        )

    @property
    def round_trip_s(self) -> float | None:
        loss = None if self._quic is None else self._quic._loss
        return loss._rtt_smoothed if loss is not None and loss._rtt_initialized else None

    @property
    def _is_begun(self) -> bool:
        return self._quic is not None and self._quic._state.name != "FIRSTFLIGHT"

    def _make(self, **given: Any) -> Any:
        quic = super()._make(**given)
        limit = quic._local_max_streams_bidi
        limit.value = limit.sent = self._settings.most_streams
        return quic

    @property
    def peer_chain(self) -> Sequence[bytes]:
        from cryptography.hazmat.primitives.serialization import Encoding

        tls = None if self._quic is None else self._quic.tls
        if tls is None or tls._peer_certificate is None:
            return ()
        shown = (tls._peer_certificate, *tls._peer_certificate_chain)
        return [bytes(each.public_bytes(Encoding.DER)) for each in shown]

    def _packet_bytes(self) -> int:
        return int(self._quic._max_datagram_size)

    def _allowed_bytes(self) -> int:
        loss = self._quic._loss
        return int(loss.congestion_window) - int(loss.bytes_in_flight)

    def _unsent_bytes(self) -> int:
        return sum(_unsent(each.sender) for each in self._quic._streams.values())


def _unsent(sender: Any) -> int:
    """Bytes of a stream of aioquic that were never sent."""
    return 0 if sender.buffer_is_empty else int(sender._buffer_stop - sender.highest_offset)
