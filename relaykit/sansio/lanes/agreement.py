"""Which format the two ends of a lane have."""

from __future__ import annotations

from collections.abc import Collection

from relaykit.sansio.control.extensions import BESIDE, DATAGRAMS
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.sansio.lanes.codec import LaneCodec
from relaykit.sansio.lanes.frp import MessageCodec
from relaykit.sansio.wire.framing import Framing
from relaykit.values import MOST_DATAGRAM_BYTES

__all__ = ["agreed_codec"]


def agreed_codec(
    framing: Framing, extensions: Collection[str], most_bytes: int = MOST_DATAGRAM_BYTES
) -> LaneCodec:
    """The format of a new lane between two ends that speak like this.

    :param extensions: what both have agreed on in their hellos.
    :param most_bytes: the largest datagram in frp's format; relaykit's own carries all sizes.
    """
    if DATAGRAMS not in extensions:
        return MessageCodec(framing, most_bytes)
    return BinaryCodec(goes_beside=BESIDE in extensions)
