"""What every format of a lane can do."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from relaykit.errors import RelaykitError
from relaykit.sansio.contract import Buffer
from relaykit.values import Address

__all__ = ["DatagramTooLarge", "LaneCodec"]


class DatagramTooLarge(RelaykitError):
    """A datagram cannot be carried; the text says what allows how much."""

    problem = "datagram-too-large"


class LaneCodec(Protocol):
    """One end of one lane: datagrams of users to bytes, and bytes to datagrams.

    A *key* stands for a user.  It is made once for each user, or comes with what is received, and is the
    same for the same user.  Frames have no state, so what is sent may leave out any of them.
    """

    @property
    def keep_alive(self) -> bytes:
        """A frame that says nothing but that this end is there."""

    @property
    def is_shared(self) -> bool:
        """Whether a proxy may have several lanes of this format at a time, each with some of its users."""

    @property
    def goes_beside(self) -> bool:
        """Whether datagrams go beside the stream where that has any, as far as they have room there."""

    def key_of(self, user: Address) -> Hashable:
        """The key of a user.

        :raises ValueError: the address is none of the Internet protocol.
        """

    def user_of(self, key: Any) -> Address:
        """The user whom a key that was received stands for.

        :raises ValueError: the peer gave no address.
        """

    def encode(self, key: Any, data: Buffer) -> bytes:
        """The frame of one datagram from a user, or to one; an empty one is legal.

        :raises DatagramTooLarge: it cannot be carried.
        """

    def gone(self, key: Any) -> bytes:
        """The frame that says that this end has forgotten a user; empty where the format has none."""

    def receive(self, data: Buffer) -> Sequence[tuple[Hashable, Buffer | None]]:
        """The datagrams that these bytes, in any portions, complete, each with its user's key.

        None in the place of a datagram says that the user is gone.  All of them may be kept.

        :raises RemoteProtocolError: the peer broke the rules; the stream is of no use.
        """
