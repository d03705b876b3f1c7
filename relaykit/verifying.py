"""All that is wrong with a configuration, and with the files that it names, without using it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor

from relaykit.assembly import (
    RoleFiles,
    check_ssh_gateway,
    load_files,
    read_secret_file,
    tls_files,
    with_absolute_paths,
    with_credentials,
)
from relaykit.blocking import BlockingCall
from relaykit.config.load import LoadedClient
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.config.tokens import resolve_token
from relaykit.errors import RelaykitError, TransportSecurityError
from relaykit.interfaces import ILocalServiceParser
from relaykit.plugins import installed_plugins
from relaykit.reloading import NOT_READ, READ_S

if TYPE_CHECKING:
    from relaykit.config.load import LoadedServer
    from relaykit.config.schema.auth import Auth

__all__ = ["Verdict", "Verifying", "file_findings", "verify_client_text"]


@frozen
class Verdict:
    """What was found; a configuration without problems can be used."""

    problems: tuple[ConfigurationProblem, ...] = ()
    warnings: tuple[ConfigurationProblem, ...] = ()


def verify_client_text(files: RoleFiles, text: str) -> Verdict:
    """What is wrong with a text as the content of a client's file, and with the files that it names."""
    try:
        loaded = load_files(files, text)
    except ConfigurationProblems as error:
        return Verdict(error.problems, error.warnings)
    loaded = with_credentials(with_absolute_paths(loaded, files.folder), files.environ)
    token_file = os.path.join(files.folder, files.token_file) if files.token_file else ""
    found = file_findings(loaded, files.config, token_file, files.environ)
    return Verdict(found.problems, (*loaded.warnings, *found.warnings))


def file_findings(
    loaded: LoadedServer | LoadedClient, path: str, token_file: str, environ: Mapping[str, str]
) -> Verdict:
    """What a role would not start with, or would warn of, in the files that its configuration names.

    :param path: of the configuration, for the texts.
    """
    warnings: list[ConfigurationProblem] = []
    problems = [
        *_token_problems(loaded.config.auth, token_file, environ),
        *_gateway_problems(loaded),
        *_service_problems(loaded),
        *_tls_problems(loaded, lambda what: warnings.append(ConfigurationProblem(what=what, file=path))),
    ]
    return Verdict(tuple(ConfigurationProblem(what=each, file=path) for each in problems), tuple(warnings))


def _tls_problems(loaded: LoadedServer | LoadedClient, warn: Callable[[str], None]) -> Iterator[str]:
    """What the role would not start with; what it would warn of is told."""
    now = datetime.now(UTC)
    for each in tls_files(loaded):
        try:
            contents = each.read(now)
        except TransportSecurityError as error:
            yield str(error)
            continue
        for warning, _ in each.warnings(contents, now):
            warn(warning)


def _service_problems(loaded: LoadedServer | LoadedClient) -> Iterator[str]:
    """Why proxies would serve nobody whose local services are within the client."""
    if not isinstance(loaded, LoadedClient):
        return
    # To import it takes the sockets that a server was started with from it.
    from twisted.internet.endpoints import clientFromString

    parsers = installed_plugins(IStreamClientEndpointStringParserWithReactor)
    kinds = {each.prefix.lower() for each in parsers if ILocalServiceParser.providedBy(each)}
    for proxy in loaded.proxies:
        common = proxy.common
        if common.local.partition(":")[0].lower() not in kinds:
            continue
        # None of these needs the reactor to be read.
        try:
            found = list(clientFromString(None, common.local).problems())
        except ValueError as error:
            found = [str(error)]
        yield from (f'proxy "{common.name}": {each}' for each in found)


def _gateway_problems(loaded: LoadedServer | LoadedClient) -> Iterator[str]:
    """Why the server would have no SSH gateway."""
    try:
        check_ssh_gateway(loaded)
    except RelaykitError as error:
        yield str(error)


def _token_problems(auth: Auth, token_file: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Why the token cannot be had; a command that prints it is not run for that."""
    try:
        if token_file:
            read_secret_file(token_file)
        elif auth.token_source is not None and auth.token_source.type == "file":
            resolve_token(auth, environ=environ)
    except RelaykitError as error:
        yield str(error)


class Verifying:
    """Looks at texts beside the users: in a thread, one after the other, each with a deadline.

    :param files: what the role that runs was read from, and how.
    """

    def __init__(self, reactor: Any, files: RoleFiles) -> None:
        self._files = files
        self._call = BlockingCall(reactor, READ_S)
        self._turns = DeferredLock()

    def __call__(self, text: str) -> Deferred[Verdict]:
        """What is wrong with a text as the content of the client's file."""
        found: Deferred[Verdict] = self._turns.run(
            lambda: self._call(lambda: verify_client_text(self._files, text)).addErrback(_not_read)
        )
        return found


def _not_read(failure: Any) -> Verdict:
    failure.trap(DeadlinePassed)
    return Verdict((NOT_READ,))
