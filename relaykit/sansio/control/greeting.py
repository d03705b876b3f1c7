"""What both ends agree on before the login, in the hello of wire version 2.

Beyond what frp's hello is about these are relaykit's extensions: a client offers those that it has,
the server chooses those that it has too.  None is needed, so a peer that knows none misses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from relaykit.sansio.wire.aead import Algorithm
from relaykit.sansio.wire.framing import HelloFrame
from relaykit.sansio.wire.hello import (
    Bootstrap,
    ClientHello,
    ServerHello,
    answer,
    check_answer,
    transcript_hash,
)

__all__ = ["EXTENSIONS", "HALF_CLOSE", "OPTIONS", "SIGNAL", "Agreement", "ClientGreeting", "answer_greeting"]

SIGNAL = "signal"
"""Control messages of proxy types."""

HALF_CLOSE = "half_close"
"""The end of one direction of a flow passes through, and the other direction goes on."""

OPTIONS = "options"
"""relaykit's own part of a proxy's options is read."""

EXTENSIONS = frozenset({SIGNAL, HALF_CLOSE, OPTIONS})
"""All that this program has."""


@frozen
class Agreement:
    """What the hellos of both ends came to; ``transcript`` covers every octet of them."""

    algorithm: Algorithm
    transcript: bytes = field(repr=False)
    extensions: frozenset[str]


class ClientGreeting:
    """The client's hello, and what it makes of the server's.

    :param random: 32 octets of chance.
    """

    def __init__(self, bootstrap: Bootstrap, random: bytes, extensions: frozenset[str] = EXTENSIONS) -> None:
        self._extensions = extensions
        self._offer = ClientHello.offering(bootstrap, random, _chosen(extensions))
        self.frame = self._offer.to_frame()
        """What is sent."""

    def conclude(self, frame: HelloFrame) -> Agreement:
        """Takes the server's hello.

        :raises HelloRefused: the server refused, or chose what was not offered.
        :raises MalformedMessage: it is not a hello.
        """
        hello = ServerHello.from_frame(frame)
        algorithm = check_answer(self._offer, hello)
        extensions = self._extensions & _names(hello.selected.relaykit)
        return Agreement(algorithm, transcript_hash(self.frame, frame), extensions)


def answer_greeting(
    frame: HelloFrame, random: bytes, extensions: frozenset[str] = EXTENSIONS
) -> tuple[HelloFrame, Agreement]:
    """The server's hello in answer to a client's, and what both agree on with it.

    :param random: 32 octets of chance.
    :raises HelloRefused: nothing fits; the client is told with :meth:`ServerHello.refusing`.
    :raises MalformedMessage: it is not a hello.
    """
    offer = ClientHello.from_frame(frame)
    agreed = extensions & _names(offer.capabilities.relaykit)
    hello = answer(offer, random, _chosen(agreed))
    answered = hello.to_frame()
    algorithm = Algorithm(hello.selected.crypto.algorithm)
    return answered, Agreement(algorithm, transcript_hash(frame, answered), agreed)


def _chosen(extensions: frozenset[str]) -> Mapping[str, Any]:
    return dict.fromkeys(sorted(extensions), True)


def _names(object_of_hello: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, value in object_of_hello.items() if value is True)
