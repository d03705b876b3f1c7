"""What the two ends of a KCP session are set to: frp's values."""

from __future__ import annotations

from math import inf
from typing import Final

from attrs import frozen

__all__ = ["ASK_AFTER_SILENCE_S", "FRP_CLIENT", "FRP_SERVER", "FRP_TUNNEL", "KcpOptions"]


@frozen
class KcpOptions:
    """One end.  Windows are in segments, ``segment_bytes`` is a segment with its header.

    :ivar send_window: segments that may be on their way.
    :ivar receive_window: segments that this end takes before they are read, or out of order.
    :ivar segment_bytes: KCP bytes of a datagram at most; the FEC prefix comes on top.
    :ivar interval_s: seconds for which a peer may keep an acknowledgement back.
    :ivar least_timeout_s: seconds after which a segment is sent again, at the earliest.
    :ivar resend_after: acknowledgements of later segments after which one is sent again at once.
    :ivar has_prefix: whether datagrams are sent with FEC's prefix; both kinds are received anyway.
    :ivar parity_for_s: seconds for which each ten datagrams with a prefix are followed by three of parity,
        from when one was lost.  Infinite: always, as frp does; that is three tenths more datagrams and three
        times the work, on lines that lose nothing, too.  Negative: never.
    :ivar ask_after_silence_s: seconds without a word of the peer after which it is asked for one, which every
        end of KCP answers.  Infinite: never, where what runs above asks.
    """

    send_window: int = 1024
    receive_window: int = 1024
    segment_bytes: int = 1350
    interval_s: float = 0.02
    least_timeout_s: float = 0.03
    resend_after: int = 2
    has_prefix: bool = True
    parity_for_s: float = 5.0
    ask_after_silence_s: float = inf


ASK_AFTER_SILENCE_S: Final = 30.0
"""Between client and server, where without mux nothing else is said while a user is silent: often enough for
routers and ports, which forget who says nothing."""

FRP_SERVER: Final = KcpOptions(ask_after_silence_s=ASK_AFTER_SILENCE_S)
"""Sessions that frp's server accepts.  Source: frp, pkg/util/net/kcp.go (ListenKcp)."""

FRP_CLIENT: Final = KcpOptions(send_window=128, receive_window=512, ask_after_silence_s=ASK_AFTER_SILENCE_S)
"""Sessions that frp's client opens.  The server would take more than it sends: 128 segments, acknowledged
every 20 ms, are 8 MB/s at most.  Source: frp, golib net/dial.go (dialKCPServer)."""

FRP_TUNNEL: Final = KcpOptions()
"""Both ends of a direct path of frp's.  Source: frp, pkg/util/net/kcp.go (NewKCPConnFromUDP)."""
