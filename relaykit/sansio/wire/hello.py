"""How both ends of a control connection of version 2 agree: hellos, transcript, keys.

Hellos travel as JSON; what is agreed on covers their bytes exactly as they travelled, unknown keys
included, so nobody in between can have changed them unseen.  relaykit's own extensions are offered
under ``capabilities.relaykit`` and chosen under ``selected.relaykit``; frp ignores both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from attrs import field, frozen
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relaykit.errors import RemoteProtocolError
from relaykit.escaping import told
from relaykit.sansio.wire import gojson
from relaykit.sansio.wire.aead import KEY_LENGTH, Algorithm
from relaykit.sansio.wire.framing import HelloFrame

__all__ = [
    "ALGORITHMS",
    "RANDOM_LENGTH",
    "Bootstrap",
    "Capabilities",
    "ClientHello",
    "ControlKeys",
    "CryptoCapabilities",
    "HelloRefused",
    "MessageCapabilities",
    "Selected",
    "SelectedCrypto",
    "SelectedMessage",
    "ServerHello",
    "answer",
    "check_answer",
    "derive_keys",
    "transcript_hash",
]

ALGORITHMS = (Algorithm.AES_256_GCM, Algorithm.XCHACHA20_POLY1305)
"""What is offered, in order of preference: processors have instructions for the first."""
RANDOM_LENGTH = 32
"""Bytes of chance in each hello."""

_CODEC = "json"
_TRANSCRIPT = b"frp wire v2 crypto transcript"
_KEY_PURPOSE = "frp wire v2 control aead"


class HelloRefused(RemoteProtocolError):
    """The ends cannot agree.  ``text`` is what the peer is told, or what the peer told."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """An object within a hello."""


class Bootstrap(_Part, frozen=True, kw_only=True):
    """How the client came here; informational."""

    transport: str = ""
    tls: bool = False
    tcp_mux: bool = False


class MessageCapabilities(_Part, frozen=True, kw_only=True):
    """How messages may be written."""

    codecs: tuple[str, ...] = ()


class CryptoCapabilities(_Part, frozen=True, kw_only=True):
    """How records may be sealed, in order of preference, and the client's chance."""

    algorithms: tuple[str, ...] = ()
    client_random: bytes = b""


class Capabilities(_Part, frozen=True, kw_only=True):
    """What the client offers; ``relaykit`` holds extensions of our own."""

    message: MessageCapabilities = msgspec.field(default_factory=MessageCapabilities)
    crypto: CryptoCapabilities = msgspec.field(default_factory=CryptoCapabilities)
    relaykit: dict[str, Any] = msgspec.field(default_factory=dict)


class ClientHello(_Part, frozen=True, kw_only=True):
    """From the client, right after the magic.  Answered by :class:`ServerHello`; Login need not wait."""

    bootstrap: Bootstrap = msgspec.field(default_factory=Bootstrap)
    capabilities: Capabilities = msgspec.field(default_factory=Capabilities)

    @classmethod
    def offering(
        cls,
        bootstrap: Bootstrap,
        random: bytes,
        extensions: Mapping[str, Any],
        algorithms: Sequence[Algorithm] = ALGORITHMS,
    ) -> Self:
        """A hello with 32 bytes of chance and the extensions that this end can."""
        return cls(
            bootstrap=bootstrap,
            capabilities=Capabilities(
                message=MessageCapabilities(codecs=(_CODEC,)),
                crypto=CryptoCapabilities(
                    algorithms=tuple(algorithm.value for algorithm in algorithms), client_random=random
                ),
                relaykit=dict(extensions),
            ),
        )

    @classmethod
    def from_frame(cls, frame: HelloFrame) -> Self:
        """What a frame says.

        :raises MalformedMessage: it is not JSON, or something has the wrong type.
        """
        return gojson.decode(frame.payload, cls) or cls()

    def to_frame(self) -> HelloFrame:
        """This hello as it travels; keep it for the transcript."""
        return HelloFrame("client", gojson.encode(self))


class SelectedMessage(_Part, frozen=True, kw_only=True):
    """How messages are written."""

    codec: str = ""


class SelectedCrypto(_Part, frozen=True, kw_only=True):
    """How records are sealed, and the server's chance."""

    algorithm: str = ""
    server_random: bytes = b""


class Selected(_Part, frozen=True, kw_only=True):
    """What the server chose; ``relaykit`` holds extensions of our own."""

    message: SelectedMessage = msgspec.field(default_factory=SelectedMessage)
    crypto: SelectedCrypto = msgspec.field(default_factory=SelectedCrypto)
    relaykit: dict[str, Any] = msgspec.field(default_factory=dict)


class ServerHello(_Part, frozen=True, kw_only=True):
    """From the server, answers :class:`ClientHello`; with an ``error`` the connection ends."""

    selected: Selected = msgspec.field(default_factory=Selected)
    error: str = ""

    @classmethod
    def refusing(cls, text: str) -> Self:
        """A hello that ends the connection."""
        return cls(selected=Selected(message=SelectedMessage(codec=_CODEC)), error=text)

    @classmethod
    def from_frame(cls, frame: HelloFrame) -> Self:
        """What a frame says.

        :raises MalformedMessage: it is not JSON, or something has the wrong type.
        """
        return gojson.decode(frame.payload, cls) or cls()

    def to_frame(self) -> HelloFrame:
        """This hello as it travels; keep it for the transcript."""
        return HelloFrame("server", gojson.encode(self))


@frozen
class ControlKeys:
    """What seals each direction of a control connection."""

    algorithm: Algorithm
    client_to_server: bytes = field(repr=False)
    server_to_client: bytes = field(repr=False)


def answer(
    hello: ClientHello,
    random: bytes,
    extensions: Mapping[str, Any],
    supported: Sequence[Algorithm] = ALGORITHMS,
) -> ServerHello:
    """The server's answer: the first algorithm of the client's that this end supports.

    :param random: 32 bytes of chance.
    :param extensions: what the server chose of ``hello.capabilities.relaykit``.
    :raises HelloRefused: nothing fits; send :meth:`ServerHello.refusing` its text, and close.
    """
    crypto = hello.capabilities.crypto
    if _CODEC not in hello.capabilities.message.codecs:
        raise HelloRefused("unsupported message codec")
    if len(crypto.client_random) != RANDOM_LENGTH:
        raise HelloRefused(
            f"invalid crypto client random length {len(crypto.client_random)}, want {RANDOM_LENGTH}"
        )
    known = {algorithm.value for algorithm in supported}
    chosen = next((name for name in crypto.algorithms if name in known), None)
    if chosen is None:
        raise HelloRefused("no supported crypto algorithm")
    return ServerHello(
        selected=Selected(
            message=SelectedMessage(codec=_CODEC),
            crypto=SelectedCrypto(algorithm=chosen, server_random=random),
            relaykit=dict(extensions),
        )
    )


def check_answer(offer: ClientHello, hello: ServerHello) -> Algorithm:
    """The algorithm that the server chose of what the client offered.

    :raises HelloRefused: the server refused, or chose what was not offered.
    """
    if hello.error:
        raise HelloRefused(told(hello.error))
    selected = hello.selected
    if selected.message.codec not in offer.capabilities.message.codecs:
        raise HelloRefused("the server chose a message codec that was not offered")
    if selected.crypto.algorithm not in offer.capabilities.crypto.algorithms:
        raise HelloRefused("the server chose an algorithm that was not offered")
    if len(selected.crypto.server_random) != RANDOM_LENGTH:
        raise HelloRefused("the server's hello has no random of 32 bytes")
    return Algorithm(selected.crypto.algorithm)


def transcript_hash(client: HelloFrame, server: HelloFrame) -> bytes:
    """What both ends said, as it travelled."""
    digest = hashlib.sha256(_TRANSCRIPT)
    for label, frame in ((b"client hello", client), (b"server hello", server)):
        digest.update(b"\0" + label + b"\0" + len(frame.payload).to_bytes(8, "big"))
        digest.update(frame.payload)
    return digest.digest()


def derive_keys(token: bytes, algorithm: Algorithm, transcript: bytes) -> ControlKeys:
    """The keys of both directions (HKDF with SHA-256, RFC 5869)."""

    def derive(direction: str) -> bytes:
        purpose = f"{_KEY_PURPOSE} {algorithm.value} {direction}".encode("ascii")
        return HKDF(SHA256(), KEY_LENGTH, transcript, purpose).derive(token)

    return ControlKeys(algorithm, derive("client-to-server"), derive("server-to-client"))
