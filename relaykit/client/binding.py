"""When a client binds its login, and what it says when that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from relaykit.sansio.control.login_proofs import BindingFailure, BoundLogin
from relaykit.sansio.control.negotiation import WireProtocol
from relaykit.sansio.control.texts import NOT_BOUND, WRONG_TOKEN

if TYPE_CHECKING:
    from relaykit.client.remembered import Remembered
    from relaykit.config.schema import ClientConfig
    from relaykit.sansio.control.events import BindingFailed
    from relaykit.values import Secret

__all__ = ["BindingPolicy"]

_OTHER_TOKEN = "the token is not the server's"
_BETWEEN = "or somebody is between you and the server"


@frozen
class BindingPolicy:
    """What the configuration and the memory of one server make of ``auth.bound``."""

    server: str
    """Host and port, as they are configured."""
    setting: BoundLogin
    possible: bool
    """Whether TLS, version 2 of the wire and a token are configured."""

    @classmethod
    def of(cls, config: ClientConfig, token: Secret, server: str) -> BindingPolicy:
        """The policy for a server."""
        wire = WireProtocol(config.transport.wire_protocol)
        possible = (
            bool(token)
            and config.auth.method == "token"
            and config.transport.tls.enable
            and wire is not WireProtocol.V1
        )
        return cls(server, BoundLogin(config.auth.bound), possible)

    @property
    def required(self) -> bool:
        """Whether the configuration allows no other login."""
        return self.setting is BoundLogin.REQUIRE

    def mode(self, known: Remembered) -> BoundLogin:
        """How the next login is made: who was seen proving itself must do so for ever."""
        if self.required or not self.possible:
            return self.setting if self.required else BoundLogin.OFF
        if self.setting is BoundLogin.PREFER and known.bound:
            return BoundLogin.REQUIRE
        return self.setting

    def impossible(self, tls_version: str) -> str:
        """Why no login to this server can be bound, though it must be."""
        if not self.possible:
            return 'auth.bound = "require" needs TLS, version 2 of the wire, and a token'
        return (
            f"the login to {self.server} cannot be bound: that takes TLSv1.3, and the connection has "
            f"{tls_version or 'no TLS'}; somebody in between may have brought that about"
        )

    def explained(self, failure: BindingFailed, known: Remembered, certificate: str) -> str:
        """What a failure means, with every cause that it can have."""
        if failure.why is not BindingFailure.NOT_AGREED:
            return f"{_said(failure)}: {self._other_token(known, certificate)}"
        text = self._not_agreed()
        if known.certificate and certificate != known.certificate:
            text += f"; its certificate, {certificate}, is not the one that it had before"
        if known.bound:
            text += (
                "; if the server was replaced, or takes no bound logins any more, "
                f"then: relaykit forget {self.server}"
            )
        return text

    def _other_token(self, known: Remembered, certificate: str) -> str:
        """What it is where the proof did not hold: with the certificate that was proved, it is the token."""
        if not known.certificate:
            return f"{_OTHER_TOKEN}, {_BETWEEN}"
        if certificate == known.certificate:
            return _OTHER_TOKEN
        return (
            f"{_OTHER_TOKEN}, {_BETWEEN}: its certificate, {certificate}, is not the one that it had before; "
            f"if the server was replaced: relaykit forget {self.server}"
        )

    def _not_agreed(self) -> str:
        before = 'which auth.bound = "require" demands' if self.required else "as it did before"
        return (
            f"{self.server} does not agree to a bound login, {before}: either it is no relaykit server, or "
            'it has no token, or auth.bound = "off", or TLS is ended in between by somebody who hides this'
        )


def _said(failure: BindingFailed) -> str:
    """What the answer to the login was."""
    if failure.why is BindingFailure.NOT_PROVEN:
        return "the login was accepted without a proof"
    # The longer text says what is said here, too.
    return WRONG_TOKEN if failure.text == NOT_BOUND else failure.text
