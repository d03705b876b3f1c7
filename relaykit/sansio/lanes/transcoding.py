"""A lane whose two ends have different formats, joined in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relaykit.sansio.contract import Buffer
from relaykit.sansio.lanes.codec import DatagramTooLarge, LaneCodec

__all__ = ["MOST_KEYS", "LaneTranscoding"]

MOST_KEYS = 16_384
"""Users of one visit whose keys in both formats are remembered, at some 300 bytes each.  The oldest are
forgotten first, and found out again when they come again."""


class LaneTranscoding:
    """Both directions of a lane whose users are at its near end.

    A datagram that the other format cannot carry, or whose user has no address, is left out.  Keep-alives
    pass from far to near only: that is where frp's ends send and expect them.

    :param near: the format of the near end; :param far: that of the far end.
    :param on_left_out: is told why, each time.
    :ivar to_far: turns what the near end sends into what the far end reads, a
        :class:`relaykit.sansio.wire.coders.StreamCoder`.
    :ivar to_near: the same the other way round.
    """

    def __init__(self, near: LaneCodec, far: LaneCodec, on_left_out: Callable[[str], None]) -> None:
        far_keys: dict[Any, Any] = {}
        near_keys: dict[Any, Any] = {}
        self.to_far = _Coder(near, far, far_keys, near_keys, False, on_left_out)
        self.to_near = _Coder(far, near, near_keys, far_keys, True, on_left_out)


class _Coder:
    """One direction; both share what they know of keys."""

    def __init__(
        self,
        received: LaneCodec,
        sent: LaneCodec,
        keys: dict[Any, Any],
        keys_back: dict[Any, Any],
        keep_alives: bool,
        on_left_out: Callable[[str], None],
    ) -> None:
        self._received = received
        self._sent = sent
        self._keys = keys
        self._keys_back = keys_back
        self._keep_alives = keep_alives
        self._on_left_out = on_left_out

    def process(self, data: Buffer) -> Sequence[Buffer]:
        frames: list[Buffer] = []
        datagrams = self._received.receive(data)
        for key, datagram in datagrams:
            try:
                sent_key = self._key(key)
                if datagram is not None:
                    frames.append(self._sent.encode(sent_key, datagram))
                    continue
                self._forget(key)
                if frame := self._sent.gone(sent_key):
                    frames.append(frame)
            except (DatagramTooLarge, ValueError) as error:
                self._on_left_out(str(error))
        if self._keep_alives and not datagrams:
            # A part of a datagram is a sign of life as well.
            frames.append(self._sent.keep_alive)
        return frames

    def _key(self, received: Any) -> Any:
        """The user's key in the other format.

        :raises ValueError: it stands for no address.
        """
        key = self._keys.get(received)
        if key is None:
            key = self._sent.key_of(self._received.user_of(received))
            if len(self._keys) >= MOST_KEYS:
                self._forget(next(iter(self._keys)))
            self._keys[received] = key
            self._keys_back[key] = received
        return key

    def _forget(self, received: Any) -> None:
        self._keys_back.pop(self._keys.pop(received), None)
