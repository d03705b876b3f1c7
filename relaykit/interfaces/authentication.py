"""Authentication: how a client proves who it is, and how a server verifies that, now or later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.sansio.control.credentials import Proof, Scope
    from relaykit.values import ClientIdentity

__all__ = ["IProver", "IVerifier"]


class IProver(Interface):
    """The client's half."""

    scopes: frozenset[Scope] = Attribute("What is proven, the login at least; nothing else is asked for.")

    def prove(scope: Scope, bound: bool) -> Proof | Deferred[Proof]:
        """The proof for one message, at once or later.

        ``bound`` tells that the login is bound to its TLS session: both ends prove the token that way.  The
        Deferred is cancelled where the connection has ended, or nobody waits for its proof any more.

        :raises CredentialError: there is none; the text says why.  So may the Deferred fail.
        """


class IVerifier(Interface):
    """The server's half."""

    scopes: frozenset[Scope] = Attribute("What is verified, the login at least; nothing else is asked for.")

    def verify(scope: Scope, proof: Proof, client: ClientIdentity) -> Deferred[None] | None:
        """Checks what came with a message: None, or a Deferred that fires later, for "it holds".

        ``client`` is who sent it.  In a login its run id is the one that it asks for, maybe none.  Nothing
        else of that connection is done before the answer.  The Deferred is cancelled where the connection
        has ended, or it takes too long.

        :raises RefusedError: it does not hold; the text is for the peer.  So may the Deferred fail.
        """
