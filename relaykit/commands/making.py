"""Makes the two roles of what was configured; opens nothing.

The roles' own modules are imported when one is made: most mistakes are found before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.logger import Logger

from relaykit.commands.loading import read_secret_file
from relaykit.config.load import LoadedClient, LoadedServer, load_client, load_server
from relaykit.config.problems import ConfigurationProblem
from relaykit.config.tokens import WEAK_BITS, resolve_token, strength_bits
from relaykit.plugins import ProxyTypes
from relaykit.state import StateDirectory
from relaykit.values import Secret

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.config.schema import ClientConfig, ServerConfig
    from relaykit.server.service import RelayServer

__all__ = ["ClientMaker", "RoleFiles", "ServerMaker", "read_client", "read_server"]

log = Logger()


@frozen(kw_only=True)
class RoleFiles:
    """The files that a role is read from, and how; relative paths are those of the current folder.

    :ivar state_dir: comes before what the configuration says; empty for that.
    :ivar token_file: likewise.
    """

    config: str
    environ: Mapping[str, str]
    strict: bool = True
    allow_unsafe: Collection[str] = ()
    state_dir: str = ""
    token_file: str = ""


@frozen(kw_only=True)
class ServerMaker:
    """All that a relay server is made of, but the reactor."""

    loaded: LoadedServer
    token: Secret
    types: ProxyTypes
    state: StateDirectory | None

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]:
        """What to say of the configuration."""
        return self.loaded.warnings

    def make(self, reactor: Any) -> RelayServer:
        """The server; nothing is opened before it is started."""
        from relaykit.server.service import RelayServer

        if not self.token:
            log.warn(
                "NO TOKEN IS SET: whoever reaches this server may publish services on it; "
                "make a token with: relaykit token"
            )
        _warn_of_weak_token(self.token)
        loaded = self.loaded
        return RelayServer(loaded.config, self.token, self.types, reactor, self.state, loaded.ingress_options)


@frozen(kw_only=True)
class ClientMaker:
    """All that a client is made of, but the reactor."""

    loaded: LoadedClient
    token: Secret
    types: ProxyTypes
    state: StateDirectory | None

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]:
        """What to say of the configuration."""
        return self.loaded.warnings

    def make(self, reactor: Any) -> RelayClient:
        """The client; nothing is opened before it is started."""
        from relaykit.client.service import RelayClient

        _warn_of_weak_token(self.token)
        loaded = self.loaded
        return RelayClient(
            loaded.config, loaded.proxies, loaded.visitors, self.token, self.types, reactor, self.state
        )


def read_server(files: RoleFiles) -> ServerMaker:
    """Reads what a server needs.

    :raises ConfigurationProblems: its configuration cannot be used.
    :raises RelaykitError: its token cannot be read.
    """
    types = ProxyTypes.installed()
    loaded = load_server(
        files.config,
        types=types,
        environ=files.environ,
        strict=files.strict,
        allow_unsafe=files.allow_unsafe,
        token_given=bool(files.token_file),
    )
    return ServerMaker(
        loaded=loaded,
        token=_token_of(loaded.config, files),
        types=types,
        state=_state_of(loaded.config, files),
    )


def read_client(files: RoleFiles) -> ClientMaker:
    """Reads what a client needs; see :func:`read_server`."""
    types = ProxyTypes.installed()
    loaded = load_client(
        files.config,
        types=types,
        environ=files.environ,
        strict=files.strict,
        allow_unsafe=files.allow_unsafe,
        token_given=bool(files.token_file),
    )
    return ClientMaker(
        loaded=loaded,
        token=_token_of(loaded.config, files),
        types=types,
        state=_state_of(loaded.config, files),
    )


def _token_of(config: ServerConfig | ClientConfig, files: RoleFiles) -> Secret:
    if files.token_file:
        return read_secret_file(files.token_file)
    return resolve_token(config.auth, environ=files.environ)


def _state_of(config: ServerConfig | ClientConfig, files: RoleFiles) -> StateDirectory | None:
    return StateDirectory.find(files.state_dir or config.state_dir, files.environ)


def _warn_of_weak_token(token: Secret) -> None:
    if token and strength_bits(token) < WEAK_BITS:
        log.warn(
            "THE TOKEN IS WEAK: who gets between a client and its server, or sees one login without TLS, can "
            "find it out by guessing; make a strong one with: relaykit token"
        )
