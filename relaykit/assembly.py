"""A server or a client made of a configuration: what the commands, the daemons and other programs begin with.

::

    client = read_client(RoleFiles(config="frpc.toml", environ=os.environ)).make(reactor)

Reading finds every mistake before anything is opened; making opens nothing either.  The roles' own modules
are imported when one is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from attrs import frozen
from twisted.logger import Logger

from relaykit.certificates.files import TlsFiles
from relaykit.certificates.judging import NOT_YET
from relaykit.config.load import (
    LoadedClient,
    LoadedServer,
    files_named_in,
    load_client,
    load_server,
    with_other_files,
)
from relaykit.config.problems import ConfigurationProblem
from relaykit.config.tokens import WEAK_BITS, resolve_token, strength_bits
from relaykit.control_sockets import control_folder, socket_name
from relaykit.errors import RelaykitError, TransportSecurityError
from relaykit.options import FileUse, NamedFile
from relaykit.plugins import ProxyTypes
from relaykit.ssh_gateway.library import lacks
from relaykit.state import StateDirectory
from relaykit.values import Secret

if TYPE_CHECKING:
    from relaykit.administration.attaching import ClientAdministration, ServerAdministration
    from relaykit.administration.guards import Guard
    from relaykit.administration.site import AdministrationSite
    from relaykit.administration.steering import Steering
    from relaykit.client.service import RelayClient
    from relaykit.history.service import History
    from relaykit.interfaces import IEntrance
    from relaykit.logs.tail import LogTail
    from relaykit.server.service import RelayServer

__all__ = [
    "LARGEST_SECRET_FILE",
    "ClientAssembly",
    "RoleFiles",
    "ServerAssembly",
    "check_ssh_gateway",
    "load_files",
    "read_client",
    "read_secret_file",
    "read_server",
    "with_absolute_paths",
    "with_credentials",
]

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable that names the folder of systemd's credentials.  Source: systemd.exec(5), LoadCredential=."""

LARGEST_SECRET_FILE = 64 * 1024
"""Bytes of a file with a secret; one has a few dozen.  Guards against a wrong path."""

_BETWEEN_THE_ROLES = "transport.tls"
"""The table of TLS between clients and the server; any other is of a proxy type, for its users."""

_PARTS = (FileUse.CERTIFICATE, FileUse.KEY, FileUse.AUTHORITIES)

log = Logger()

LoadedT = TypeVar("LoadedT", LoadedServer, LoadedClient)


@frozen(kw_only=True)
class RoleFiles:
    """The files that a role is read from, and how.

    :ivar folder: what relative paths start from, those in the files too; empty for the current one.
    :ivar state_dir: comes before what the configuration says; empty for that.
    :ivar token_file: likewise.
    """

    config: str
    environ: Mapping[str, str]
    strict: bool = True
    allow_unsafe: Collection[str] = ()
    state_dir: str = ""
    token_file: str = ""
    folder: str = ""


@frozen(kw_only=True)
class _Assembly(Generic[LoadedT]):
    """All that a role is made of, but the reactor."""

    loaded: LoadedT
    token: Secret
    types: ProxyTypes
    state: StateDirectory | None
    control: Path | None = None
    """Where its program opens the control socket; None for no such socket."""

    @classmethod
    def of(
        cls,
        loaded: LoadedT,
        types: ProxyTypes,
        environ: Mapping[str, str],
        *,
        state_dir: str = "",
        token_file: str = "",
    ) -> Self:
        """The assembly for a configuration; ``state_dir`` and ``token_file`` come before what it says.

        :raises RelaykitError: its token cannot be read, or a file of TLS or a library cannot be used.
        """
        loaded = with_credentials(loaded, environ)
        _check_tls_files(loaded)
        check_ssh_gateway(loaded)
        config = loaded.config
        token = read_secret_file(token_file) if token_file else resolve_token(config.auth, environ=environ)
        state = StateDirectory.find(state_dir or config.state_dir, environ)
        return cls(
            loaded=loaded, token=token, types=types, state=state, control=control_folder(environ, state)
        )

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]:
        """What to say of the configuration."""
        return self.loaded.warnings

    def _attach(
        self, name: str, role: Any, make: Callable[[], Any], steering: Steering | None, reactor: Any
    ) -> None:
        """Gives a role its web server, where that is wanted, and the control socket of its program.

        :param make: makes its administration, which is imported when somebody needs it.
        """
        administration = cache(make)
        if self.loaded.config.web_server.port:
            administration().serve_web()
        if steering is None or self.control is None:
            return
        from relaykit.administration.control import ControlSocket

        def site(guard: Guard | None) -> AdministrationSite:
            made: AdministrationSite = administration().control_site(guard)
            return made

        ControlSocket(self.control, socket_name(name, self.loaded.path), site, reactor).setServiceParent(role)

    def _tail(self, role: Any, steering: Steering | None, reactor: Any) -> LogTail | None:
        """Has the last lines of the log remembered, where somebody may ask for them."""
        if steering is None and not self.loaded.config.web_server.port:
            return None
        from relaykit.logs.tail import LogTail

        tail = LogTail(lambda: role.config.log.level, reactor)
        tail.setServiceParent(role)
        return tail

    def _history(self, role: str, service: Any, reactor: Any) -> History | None:
        """Has a role keep its history, where that is wanted and there is a place for it."""
        config = self.loaded.config
        is_wanted = bool(config.web_server.port) if config.keep_history is None else config.keep_history
        if not is_wanted or self.state is None:
            return None
        from relaykit.administration.attaching import attach_history

        path = self.state.file_of(f"history-{role}.sqlite", self.loaded.path)
        return attach_history(service, path, reactor)

    def _warn_of_open_state(self) -> None:
        for what in self.state.open_to_others() if self.state is not None else ():
            log.warn("{what}", what=what, problem="open-state")

    def _warn_of_weak_token(self) -> None:
        if self.token and strength_bits(self.token) < WEAK_BITS:
            log.warn(
                "THE TOKEN IS WEAK: who gets between a client and its server, or sees one login without TLS, "
                "can find it out by guessing; make a strong one with: relaykit token",
                problem="weak-token",
            )


class ServerAssembly(_Assembly[LoadedServer]):
    """All that a relay server is made of, but the reactor."""

    def make(self, reactor: Any, steering: Steering | None = None) -> RelayServer:
        """The server; nothing is opened before it is started.

        :param steering: what its program can do for whoever may tell it, over a control socket, too.

        It has the sockets that this process was started with, which another one does not get.
        """
        from relaykit.server.network import network_of_process

        # Before anything imports Twisted's endpoints, which take what the environment says of the sockets.
        make_network = network_of_process(os.environ)
        from relaykit.server.service import RelayServer

        if not self.token and self.loaded.config.auth.method == "token":
            log.warn(
                "NO TOKEN IS SET: whoever reaches this server may publish services on it; "
                "make a token with: relaykit token",
                problem="no-token-set",
            )
        self._warn_of_weak_token()
        self._warn_of_open_state()
        loaded = self.loaded
        server = RelayServer(
            loaded.config,
            self.token,
            self.types,
            reactor,
            self.state,
            loaded.ingress_options,
            make_network=make_network,
            entrances=self._entrances(),
            policies=loaded.policies,
        )
        history = self._history("server", server, reactor)
        tail = self._tail(server, steering, reactor)

        def administration() -> ServerAdministration:
            from relaykit.administration.attaching import ServerAdministration
            from relaykit.administration.steering import Steering

            types = [each.name for each in self.types]
            told = steering or Steering()
            return ServerAdministration(server, loaded, types, reactor, told, history, tail)

        self._attach("server", server, administration, steering, reactor)
        return server

    def _entrances(self) -> Sequence[IEntrance]:
        """Where clients come in besides the bind port."""
        config = self.loaded.config
        if config.ssh_tunnel_gateway.bind_port <= 0:
            return ()
        from relaykit.ssh_gateway.service import SshGateway

        return (SshGateway(config, self.state, self.types),)


class ClientAssembly(_Assembly[LoadedClient]):
    """All that a client is made of, but the reactor."""

    def make(self, reactor: Any, steering: Steering | None = None) -> RelayClient:
        """The client; nothing is opened before it is started.  ``steering`` is as with a server."""
        from relaykit.client.service import RelayClient

        self._warn_of_weak_token()
        self._warn_of_open_state()
        client = RelayClient(self.loaded, self.token, self.types, reactor, self.state)
        history = self._history("client", client, reactor)
        tail = self._tail(client, steering, reactor)

        def administration() -> ClientAdministration:
            from relaykit.administration.attaching import ClientAdministration
            from relaykit.administration.steering import Steering

            told = steering or Steering()
            return ClientAdministration(client, self.loaded, reactor, told, history, tail)

        self._attach("client", client, administration, steering, reactor)
        return client


def read_server(files: RoleFiles) -> ServerAssembly:
    """Reads what a server needs.

    :raises ConfigurationProblems: its configuration cannot be used.
    :raises RelaykitError: its token cannot be read, or a file of TLS cannot be used.
    """
    types = ProxyTypes.installed()
    loaded = load_server(files.config, types=types, **_reading(files))
    return ServerAssembly.of(
        with_absolute_paths(loaded, files.folder), types, files.environ, **_beside(files)
    )


def read_client(files: RoleFiles) -> ClientAssembly:
    """Reads what a client needs; see :func:`read_server`."""
    loaded, types = load_files(files), ProxyTypes.installed()
    return ClientAssembly.of(
        with_absolute_paths(loaded, files.folder), types, files.environ, **_beside(files)
    )


def load_files(files: RoleFiles, text: str | None = None) -> LoadedClient:
    """A client's configuration; ``text`` is what counts as the content of its file, which is not read then.

    :raises ConfigurationProblems: it cannot be used.
    """
    return load_client(files.config, types=ProxyTypes.installed(), text=text, **_reading(files))


def with_absolute_paths(loaded: LoadedT, folder: str) -> LoadedT:
    """The same configuration, the files that are read named from the root where a folder is given.

    They are read when the role starts, and again when they change; a daemon has changed its folder by then.
    """
    if not folder:
        return loaded

    def path_of(named: NamedFile) -> str:
        if named.use is FileUse.WRITTEN:
            return named.path
        return os.path.abspath(os.path.join(folder, named.path))

    return with_other_files(loaded, path_of)


def read_secret_file(path: str, what: str = "token") -> Secret:
    """The token, or another secret, in a file, without white space around it.

    :raises RelaykitError: the file cannot be read, or is empty.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
            secret = file.read(LARGEST_SECRET_FILE + 1)
    except OSError as error:
        raise RelaykitError(
            f"cannot read the {what} file {path}: {error.strerror}", problem="token-file"
        ) from error
    if len(secret) > LARGEST_SECRET_FILE:
        raise RelaykitError(
            f"cannot use the {what} file {path}: it is larger than {LARGEST_SECRET_FILE} bytes",
            problem="token-file",
        )
    if not secret.strip():
        raise RelaykitError(f"cannot use the {what} file {path}: it is empty", problem="token-file")
    return Secret(secret.strip())


def tls_files(loaded: LoadedServer | LoadedClient) -> list[TlsFiles]:
    """The files of TLS that a configuration names, a group for each table."""
    if isinstance(loaded, LoadedClient) and not loaded.config.transport.tls.enable:
        return []
    return list(_grouped(files_named_in(loaded), shown_to_verifiers=isinstance(loaded, LoadedServer)))


def _grouped(named: Iterable[NamedFile], *, shown_to_verifiers: bool) -> Iterator[TlsFiles]:
    tables: dict[str, dict[FileUse, str]] = {}
    for each in named:
        if each.use in _PARTS:
            tables.setdefault(each.key.rpartition(".")[0], {})[each.use] = each.path
    for table, paths in tables.items():
        certificate, key, authorities = (paths.get(each, "") for each in _PARTS)
        yield TlsFiles(
            table=table,
            certificate=certificate,
            key=key,
            authorities=authorities,
            for_users=table != _BETWEEN_THE_ROLES,
            shown_to_verifiers=shown_to_verifiers,
        )


def _check_tls_files(loaded: LoadedServer | LoadedClient) -> None:
    """Finds what cannot be used before anything is opened; a clock that is behind, as after power was lost,
    is waited for by a client.

    :raises TransportSecurityError: a file cannot be used.
    """
    now = datetime.now(UTC)
    for each in tls_files(loaded):
        try:
            each.read(now)
        except TransportSecurityError as error:
            if error.problem != NOT_YET or isinstance(loaded, LoadedServer):
                raise


def check_ssh_gateway(loaded: LoadedServer | LoadedClient) -> None:
    """Finds out whether the SSH gateway that a server's file asks for can be there.

    :raises RelaykitError: it cannot.
    """
    if not isinstance(loaded, LoadedServer) or loaded.config.ssh_tunnel_gateway.bind_port <= 0:
        return
    if lacking := lacks():
        raise RelaykitError(f"sshTunnelGateway.bindPort: {lacking}", problem="ssh-library")
    from relaykit.ssh_gateway.host_key import look

    look(loaded.config.ssh_tunnel_gateway)


def with_credentials(loaded: LoadedT, environ: Mapping[str, str]) -> LoadedT:
    """The same configuration; a file is read from what systemd hands over under the name of its key."""
    folder = environ.get(CREDENTIALS, "")
    if not os.path.isabs(folder):
        return loaded

    def path_of(named: NamedFile) -> str:
        handed_over = os.path.join(folder, named.key)
        return handed_over if os.path.isfile(handed_over) else named.path

    return with_other_files(loaded, path_of)


def _reading(files: RoleFiles) -> dict[str, Any]:
    return {
        "environ": files.environ,
        "strict": files.strict,
        "allow_unsafe": files.allow_unsafe,
        "token_given": bool(files.token_file),
        "cwd": files.folder,
    }


def _beside(files: RoleFiles) -> dict[str, str]:
    token_file = os.path.join(files.folder, files.token_file) if files.token_file else ""
    return {"state_dir": files.state_dir, "token_file": token_file}
