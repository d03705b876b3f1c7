"""Tables that say who may log in: the token, where it comes from, OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from relaykit.config.schema.sections import choice_problems
from relaykit.options import FileUse, Options, Problem, doc, file, secret
from relaykit.values import NO_SECRET, Secret

__all__ = [
    "AUTH_METHODS",
    "AUTH_SCOPES",
    "BOUND_LOGINS",
    "Auth",
    "ClientAuth",
    "ClientOidc",
    "CommandVariable",
    "ServerAuth",
    "ServerOidc",
    "TokenCommand",
    "TokenFile",
    "TokenSource",
]

AUTH_METHODS = ("token", "oidc")
"""What ``auth.method`` may be."""

BOUND_LOGINS = ("prefer", "require", "off")
"""What ``auth.bound`` may be."""

AUTH_SCOPES = ("HeartBeats", "NewWorkConns")
"""What ``auth.additionalScopes`` may name."""

_SOURCES = ("file", "exec")


class TokenFile(Options, frozen=True, kw_only=True):
    """A token that is the content of a file."""

    path: Annotated[
        str, file(FileUse.SECRET), doc("Path of the file; white space around the token is left out.")
    ] = ""

    def chosen_problems(self) -> Iterable[Problem]:
        """What is wrong with it, if the token source chooses it."""
        if not self.path:
            yield Problem("path", "must be given")


class CommandVariable(Options, frozen=True, kw_only=True):
    """One environment variable of a command."""

    name: Annotated[str, doc("Name of the variable.")] = ""
    value: Annotated[Secret, secret(optional=True), doc("Its value.")] = NO_SECRET


class TokenCommand(Options, frozen=True, kw_only=True):
    """A token that a command prints; needs ``--allow-unsafe TokenSourceExec``."""

    command: Annotated[str, doc("Program to run; no shell is involved.")] = ""
    args: Annotated[tuple[str, ...], doc("Its arguments.")] = ()
    env: Annotated[tuple[CommandVariable, ...], doc("Variables added to the environment.")] = ()

    def chosen_problems(self) -> Iterable[Problem]:
        """What is wrong with it, if the token source chooses it."""
        if not self.command:
            yield Problem("command", "must be given")
        for position, variable in enumerate(self.env):
            if not variable.name:
                yield Problem(f"env[{position}].name", "must be given")
            elif "=" in variable.name:
                yield Problem(f"env[{position}].name", 'must not contain "="')


class TokenSource(Options, frozen=True, kw_only=True):
    """Where a token is read from."""

    type: Annotated[str, doc("file or exec.")] = ""
    file: TokenFile | None = None
    exec: TokenCommand | None = None

    def problems(self) -> Iterable[Problem]:
        chosen = self.chosen()
        if self.type not in _SOURCES:
            yield from choice_problems("type", self.type, _SOURCES)
        elif chosen is None:
            yield Problem(self.type, f'must be given when type is "{self.type}"')
        else:
            for problem in chosen.chosen_problems():
                yield Problem(f"{self.type}.{problem.key}", problem.reason)

    def chosen(self) -> TokenFile | TokenCommand | None:
        """The table that :attr:`type` selects; the other one is ignored."""
        return {"file": self.file, "exec": self.exec}.get(self.type)


class ServerOidc(Options, frozen=True, kw_only=True):
    """OpenID Connect, as the server checks it."""

    issuer: Annotated[str, doc("URL of the issuer.")] = ""
    audience: Annotated[str, doc("Audience that tokens must have; empty: not checked.")] = ""
    skip_expiry_check: Annotated[bool, doc("Accepts expired tokens.")] = False
    skip_issuer_check: Annotated[bool, doc("Accepts tokens of other issuers.")] = False


class Auth(Options, frozen=True, kw_only=True):
    """What says who may log in at both ends."""

    method: Annotated[str, doc("token or oidc.")] = "token"
    additional_scopes: Annotated[
        tuple[str, ...], doc("What is proved and checked besides the login: HeartBeats, NewWorkConns.")
    ] = ()
    token: Annotated[
        Secret,
        secret(needed_with="needs_token", may_be_empty=True),
        doc("Secret that server and clients share; it also keys encryption."),
    ] = NO_SECRET
    token_source: TokenSource | None = None
    bound: Annotated[
        str,
        doc(
            "Logins that hold for one TLS session and prove the token to both ends, between relaykit's own: "
            "require has no others, off has none; a client with prefer binds its logins once it saw that the "
            "server does so."
        ),
    ] = "prefer"

    @property
    def needs_token(self) -> bool:
        """Whether a token must be in the file.

        A client gets in nowhere without one, unless nobody is asked for it there.
        """
        return False

    def problems(self) -> Iterable[Problem]:
        yield from choice_problems("method", self.method, AUTH_METHODS)
        yield from choice_problems("bound", self.bound, BOUND_LOGINS)
        if self.bound == "require" and self.method == "oidc":
            yield Problem("bound", "a bound login proves the token: auth.method must be token")
        for scope in self.additional_scopes:
            yield from choice_problems("additionalScopes", scope, AUTH_SCOPES)
        if self.token and self.token_source is not None:
            yield Problem("tokenSource", "cannot be given together with auth.token")


class ServerAuth(Auth, frozen=True, kw_only=True):
    """Who may log in to the server."""

    oidc: ServerOidc = ServerOidc()

    @property
    def needs_token(self) -> bool:
        return self.method == "token" and self.token_source is None

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.method == "oidc" and not self.oidc.issuer.startswith(("https://", "http://")):
            yield Problem("oidc.issuer", "must be the URL of the provider, as it calls itself")


class ClientOidc(Options, frozen=True, kw_only=True):
    """OpenID Connect, as the client asks for tokens."""

    client_id: Annotated[str, doc("Client id at the issuer.")] = msgspec.field(default="", name="clientID")
    client_secret: Annotated[
        Secret,
        # Whether there must be one is the issuer's business.
        secret(optional=True),
        doc("Client secret at the issuer."),
    ] = NO_SECRET
    audience: Annotated[str, doc("Audience to ask for.")] = ""
    scope: Annotated[str, doc("Scope to ask for.")] = ""
    token_endpoint_url: Annotated[str, doc("URL that tokens are asked from; http or https.")] = msgspec.field(
        default="", name="tokenEndpointURL"
    )
    additional_endpoint_params: Annotated[dict[str, str], doc("Further form fields of the request.")] = (
        msgspec.field(default_factory=dict)
    )
    trusted_ca_file: Annotated[
        str, file(FileUse.AUTHORITIES), doc("Authorities for the token endpoint (PEM).")
    ] = ""
    insecure_skip_verify: Annotated[bool, doc("Does not verify the token endpoint.")] = False
    proxy_url: Annotated[
        Secret,
        secret(optional=True),
        doc("Proxy to the token endpoint: http, https, socks5 or socks5h."),
    ] = msgspec.field(default=NO_SECRET, name="proxyURL")
    token_source: TokenSource | None = None

    def problems(self) -> Iterable[Problem]:
        if self.token_source is not None and self != ClientOidc(token_source=self.token_source):
            yield Problem("tokenSource", "cannot be given together with any other key of auth.oidc")

    def credential_problems(self) -> Iterator[Problem]:
        """What is wrong with asking for tokens this way, once ``auth.method`` is ``oidc``."""
        if self.token_source is not None:
            return
        if not self.client_id:
            yield Problem("clientID", "must be given")
        yield from self._endpoint_problems()
        if "scope" in self.additional_endpoint_params:
            yield Problem("additionalEndpointParams.scope", "is not allowed: give auth.oidc.scope")
        if self.audience and "audience" in self.additional_endpoint_params:
            yield Problem(
                "additionalEndpointParams.audience", "cannot be given together with auth.oidc.audience"
            )

    def _endpoint_problems(self) -> Iterator[Problem]:
        key = "tokenEndpointURL"
        if not self.token_endpoint_url:
            yield Problem(key, "must be given")
            return
        try:
            url = urlsplit(self.token_endpoint_url)
            absolute = bool(url.scheme and url.hostname and "%" not in url.netloc)
        except ValueError:
            absolute = False
        if not absolute:
            yield Problem(key, "must be an absolute http or https URL")
        elif url.scheme not in ("http", "https"):
            yield Problem(key, "must use http or https")


class ClientAuth(Auth, frozen=True, kw_only=True):
    """How the client shows that it may log in."""

    oidc: ClientOidc = ClientOidc()

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.method == "oidc":
            for problem in self.oidc.credential_problems():
                yield Problem(f"oidc.{problem.key}", problem.reason)
