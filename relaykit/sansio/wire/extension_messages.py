"""relaykit's own messages; each is legal only where both ends agreed on its extension in the hello.

A login that carries proofs, and its answer, travel as the bytes that the proofs are about, so that nobody
has to write them a second time in exactly the same way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from relaykit.sansio.wire.messages import Login, Message, Name

__all__ = ["Goodbye", "IdentifiedLogin", "ProvenLogin", "ProvenLoginResp", "Signal"]


class Signal(Message, frozen=True, kw_only=True):
    """Either way on a control connection: a message of a proxy type, which only the type reads.

    Not answered, in order.  ``proxy_name`` is the proxy's name on the server; ``visitor_name`` names
    the visitor that it comes from or goes to, empty for the proxy's own client.
    """

    type_byte = None
    number = 0x5201
    secret_fields = frozenset({"body"})

    proxy_name: Name = ""
    visitor_name: Name = ""
    body: dict[str, Any] = msgspec.field(default_factory=dict)


class IdentifiedLogin(Login, frozen=True, kw_only=True):
    """The body of a login that carries proofs.

    ``identity`` is the public key (Ed25519, 32 bytes) that the client signs with, empty for none.
    With ``stands_by`` the client takes nothing from another one with the same identity that is alive.
    """

    identity: bytes = b""
    stands_by: bool = False


class ProvenLogin(Message, frozen=True, kw_only=True):
    """From the client in place of ``Login``, after the server's hello; answered as that is.

    ``login`` is the body of an :class:`IdentifiedLogin`.  ``binding`` proves the token for this very
    connection, and there is no ``privilege_key`` then; ``signature`` proves the identity.  Where the
    login is bound, :class:`ProvenLoginResp` answers it.
    """

    type_byte = None
    number = 0x5202
    secret_fields = frozenset({"login", "binding", "signature"})

    login: bytes = b""
    binding: bytes = b""
    signature: bytes = b""


class ProvenLoginResp(Message, frozen=True, kw_only=True):
    """From the server, answers a bound :class:`ProvenLogin` whose proof holds.

    ``answer`` is the body of a ``LoginResp``; ``binding`` proves that the server knows the token, too.
    """

    type_byte = None
    number = 0x5203
    secret_fields = frozenset({"binding"})

    answer: bytes = b""
    binding: bytes = b""


class Goodbye(Message, frozen=True, kw_only=True):
    """From the server, last on a control connection: why it ends the session.  Not answered.

    ``why`` is the value of a :class:`relaykit.values.Ended`; ``text`` says more for the log.
    """

    type_byte = None
    number = 0x5204

    why: Name = ""
    text: str = ""
