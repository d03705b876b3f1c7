"""What both ends agree on before the login, in the hello of wire version 2.

Beyond what frp's hello is about these are relaykit's extensions: a client offers those that it has,
the server chooses those that it has too.  None is needed, so a peer that knows none misses nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from relaykit.sansio.control.channel_binding import MAX_SALT_LENGTH, MIN_SALT_LENGTH
from relaykit.sansio.wire.aead import Algorithm
from relaykit.sansio.wire.framing import HelloFrame
from relaykit.sansio.wire.hello import (
    Bootstrap,
    ClientHello,
    HelloRefused,
    ServerHello,
    answer,
    check_answer,
    transcript_hash,
)
from relaykit.values import HIGHEST_PORT

__all__ = [
    "BESIDE",
    "BOUND",
    "CARRIERS",
    "DATAGRAMS",
    "EXTENSIONS",
    "GOODBYE",
    "HALF_CLOSE",
    "IDENTITY",
    "MOST_CARRIERS",
    "NO_CARRIERS",
    "OPTIONS",
    "PROBE",
    "SIGNAL",
    "TLVS",
    "VISITOR_USER",
    "Agreement",
    "ExtensionOffer",
    "answer_offer",
]

SIGNAL = "signal"
"""Control messages of proxy types."""

HALF_CLOSE = "half_close"
"""The end of one direction of a flow passes through, and the other direction goes on."""

OPTIONS = "options"
"""relaykit's own part of a proxy's options is read."""

GOODBYE = "goodbye"
"""The server says why it ends a session."""

IDENTITY = "identity"
"""The client signs its login with a key of its own."""

BOUND = "bound"
"""The login is bound to its TLS session; what the server chooses is an object with its ``salt``."""

DATAGRAMS = "datagrams"
"""Lanes have relaykit's own format: see :mod:`relaykit.sansio.lanes.binary`."""

BESIDE = "beside"
"""Datagrams of a lane in relaykit's own format go beside its stream, where the carrier has such."""

VISITOR_USER = "visitor_user"
"""A visitor says where its users come from, and so does the server to the client that has the proxy."""

TLVS = "tlvs"
"""The server hands on what a load balancer in front of it says of a user besides addresses."""

CARRIERS = "carriers"
"""The server says which carriers have ports of their own, and which; what it chooses is an object with the
port of each, by name."""

PROBE = "probe"
"""The client answers probes: see :mod:`relaykit.sansio.control.probing`."""

MOST_CARRIERS = 16
"""Carriers that a server may name; there are some five in the world."""

EXTENSIONS = frozenset(
    {SIGNAL, HALF_CLOSE, OPTIONS, GOODBYE, DATAGRAMS, BESIDE, VISITOR_USER, TLVS, CARRIERS, PROBE}
)
"""All that this program has and that needs nothing.  The other two are proofs, which need a key, a token
and a TLS session, and for which the client's login waits for the server's hello."""


NO_CARRIERS: Mapping[str, int] = MappingProxyType({})


@frozen
class Agreement:
    """What the hellos of both ends came to; ``transcript`` covers every byte of them.

    ``salt`` is what the token is derived with for a bound login; empty without :data:`BOUND`.  ``carriers``
    are ports of the server, by the carrier that has them; None without :data:`CARRIERS`.
    """

    algorithm: Algorithm
    transcript: bytes = field(repr=False)
    extensions: frozenset[str]
    salt: bytes = b""
    carriers: Mapping[str, int] | None = None


class ExtensionOffer:
    """The client's hello, and what it makes of the server's.

    :param random: 32 bytes of chance.
    """

    def __init__(self, bootstrap: Bootstrap, random: bytes, extensions: frozenset[str] = EXTENSIONS) -> None:
        self._extensions = extensions
        self._offer = ClientHello.offering(bootstrap, random, dict.fromkeys(sorted(extensions), True))
        self.frame = self._offer.to_frame()
        """What is sent."""

    def conclude(self, frame: HelloFrame) -> Agreement:
        """Takes the server's hello.

        :raises HelloRefused: the server refused, or chose what was not offered.
        :raises MalformedMessage: it is not a hello.
        """
        hello = ServerHello.from_frame(frame)
        algorithm = check_answer(self._offer, hello)
        chosen = hello.selected.relaykit
        extensions = self._extensions & _names(chosen)
        salt = b""
        if BOUND in self._extensions and BOUND in chosen:
            salt = _salt(chosen[BOUND])
            extensions |= {BOUND}
        carriers = _carriers(chosen.get(CARRIERS)) if CARRIERS in self._extensions else None
        if carriers is not None:
            extensions |= {CARRIERS}
        return Agreement(algorithm, transcript_hash(self.frame, frame), extensions, salt, carriers)


def answer_offer(
    frame: HelloFrame,
    random: bytes,
    extensions: frozenset[str] = EXTENSIONS,
    salt: bytes = b"",
    *,
    secure: bool = False,
    carriers: Mapping[str, int] = NO_CARRIERS,
) -> tuple[HelloFrame, Agreement]:
    """The server's hello in answer to a client's, and what both agree on with it.

    :param random: 32 bytes of chance.
    :param salt: what the token is derived with; needed for :data:`BOUND`.
    :param secure: whether TLS ends here.  Where a client has TLS that ends elsewhere, it has no identity
        here, because what it signs covers the TLS session.
    :param carriers: the ports of this server's carriers, for :data:`CARRIERS`.
    :raises HelloRefused: nothing fits; the client is told with :meth:`ServerHello.refusing`.
    :raises MalformedMessage: it is not a hello.
    """
    offer = ClientHello.from_frame(frame)
    agreed = extensions & _names(offer.capabilities.relaykit)
    if not salt:
        agreed -= {BOUND}
    if offer.bootstrap.tls != secure:
        agreed -= {IDENTITY}
    chosen: dict[str, Any] = dict.fromkeys(sorted(agreed), True)
    if BOUND in agreed:
        chosen[BOUND] = {"salt": base64.b64encode(salt).decode("ascii")}
    if CARRIERS in agreed:
        chosen[CARRIERS] = dict(carriers)
    hello = answer(offer, random, chosen)
    answered = hello.to_frame()
    algorithm = Algorithm(hello.selected.crypto.algorithm)
    salt = salt if BOUND in agreed else b""
    told = dict(carriers) if CARRIERS in agreed else None
    return answered, Agreement(algorithm, transcript_hash(frame, answered), agreed, salt, told)


def _names(object_of_hello: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, value in object_of_hello.items() if value is True)


def _carriers(chosen: Any) -> Mapping[str, int] | None:
    """The ports that a server names; None if it names none in a way that makes sense."""
    if not isinstance(chosen, dict) or len(chosen) > MOST_CARRIERS:
        return None
    if not all(type(port) is int and 0 < port <= HIGHEST_PORT for port in chosen.values()):
        return None
    return chosen


def _salt(chosen: Any) -> bytes:
    """The salt in what a server chose.

    :raises HelloRefused: there is none that could be used.
    """
    try:
        salt = base64.b64decode(chosen["salt"], validate=True)
    except (TypeError, KeyError, ValueError, binascii.Error):
        salt = b""
    if not MIN_SALT_LENGTH <= len(salt) <= MAX_SALT_LENGTH:
        raise HelloRefused("the server's hello has no salt for a bound login")
    return salt
