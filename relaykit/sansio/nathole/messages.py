"""The messages of frp's hole punching, which the proxy type ``xtcp`` has clients and servers understand."""

from __future__ import annotations

import msgspec

from relaykit.sansio.wire.messages import Message, Name, Whole

__all__ = [
    "NAT_HOLE_MESSAGES",
    "DetectBehavior",
    "NatHoleClient",
    "NatHoleReport",
    "NatHoleResp",
    "NatHoleSid",
    "NatHoleVisitor",
    "PortsRange",
]


class NatHoleVisitor(Message, frozen=True, kw_only=True):
    """From the visiting client, on its control connection.  Answered by :class:`NatHoleResp`.

    With ``pre_check`` it only asks whether the proxy may be visited, and the rest is empty.
    ``protocol`` is ``quic`` or ``kcp``.  Addresses are ``ip:port``: ``mapped_addrs`` as STUN servers
    saw them, in that order, ``assisted_addrs`` those of local interfaces.  ``sign_key`` proves the
    proxy's secret key for ``timestamp``.
    """

    type_byte = 0x69
    number = 14
    secret_fields = frozenset({"sign_key"})

    transaction_id: Name = ""
    proxy_name: Name = ""
    pre_check: bool = False
    protocol: Name = ""
    sign_key: str = ""
    timestamp: Whole = 0
    mapped_addrs: tuple[Name, ...] = ()
    assisted_addrs: tuple[Name, ...] = ()


class NatHoleClient(Message, frozen=True, kw_only=True):
    """From the proxy's client, on its control connection, after :class:`NatHoleSid` told it of a visit.

    Answered by :class:`NatHoleResp`.
    """

    type_byte = 0x6E
    number = 15

    transaction_id: Name = ""
    proxy_name: Name = ""
    sid: Name = ""
    mapped_addrs: tuple[Name, ...] = ()
    assisted_addrs: tuple[Name, ...] = ()


class PortsRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ports that a NAT may have chosen, both ends inclusive."""

    first: Whole = msgspec.field(default=0, name="from")
    last: Whole = msgspec.field(default=0, name="to")


class DetectBehavior(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How one end must punch: ``role`` is ``sender`` or ``receiver``, ``mode`` 0 to 4.

    ``ttl`` is the IP time to live of probes, 0 for the system's.  Times are in milliseconds.
    """

    role: Name = ""
    mode: Whole = 0
    ttl: Whole = 0
    send_delay_ms: Whole = 0
    read_timeout_ms: Whole = msgspec.field(default=0, name="read_timeout")
    candidate_ports: tuple[PortsRange, ...] = ()
    send_random_ports: Whole = 0
    listen_random_ports: Whole = 0


class NatHoleResp(Message, frozen=True, kw_only=True):
    """From the server, answers :class:`NatHoleVisitor` and :class:`NatHoleClient` of its transaction.

    The addresses are the other end's.
    """

    type_byte = 0x6D
    number = 16

    transaction_id: Name = ""
    sid: Name = ""
    protocol: Name = ""
    candidate_addrs: tuple[Name, ...] = ()
    assisted_addrs: tuple[Name, ...] = ()
    detect_behavior: DetectBehavior = msgspec.field(default_factory=DetectBehavior)
    error: str = ""


class NatHoleSid(Message, frozen=True, kw_only=True):
    """From the server, on a work connection: a visit begins.  Answered by :class:`NatHoleClient`.

    Between the two clients it is the probe itself, always framed as in version 1, and then answered
    by one with ``response``; ``nonce`` is padding.
    """

    type_byte = 0x35
    number = 17

    transaction_id: Name = ""
    sid: Name = ""
    response: bool = False
    nonce: str = ""


class NatHoleReport(Message, frozen=True, kw_only=True):
    """From the proxy's client, on its control connection: whether punching succeeded.  Not answered."""

    type_byte = 0x36
    number = 18

    sid: Name = ""
    success: bool = False


NAT_HOLE_MESSAGES: tuple[type[Message], ...] = (
    NatHoleVisitor,
    NatHoleClient,
    NatHoleResp,
    NatHoleSid,
    NatHoleReport,
)
"""What :meth:`~relaykit.sansio.wire.messages.MessageTable.extended` takes."""
