"""Reads configuration files: the one way from a path, or from a table, to checked options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.config.problems import ConfigurationProblem
from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.options import Options, ProxyCommon, VisitorCommon

if TYPE_CHECKING:
    from relaykit.plugins import ProxyTypes

__all__ = [
    "ConfiguredProxy",
    "ConfiguredVisitor",
    "LoadedClient",
    "LoadedServer",
    "client_from_table",
    "load_client",
    "load_server",
    "server_from_table",
]


@frozen
class ConfiguredProxy:
    """One proxy to start: the keys that all have, and a checked instance of its type's ``proxy_options``."""

    common: ProxyCommon
    options: Options
    type_name: str


@frozen
class ConfiguredVisitor:
    """One visitor to start: as :class:`ConfiguredProxy`, with its type's ``visitor_options``."""

    common: VisitorCommon
    options: Options
    type_name: str


@frozen
class LoadedServer:
    """A server's configuration: complete, and checked.

    ``ingress_options`` has the proxy types with a table ``[proxyTypes.NAME]``; the others have defaults.
    """

    config: ServerConfig
    ingress_options: Mapping[str, Options]
    warnings: tuple[ConfigurationProblem, ...]


@frozen
class LoadedClient:
    """A client's configuration: complete, and checked; what is disabled or not in ``start`` is left out."""

    config: ClientConfig
    proxies: tuple[ConfiguredProxy, ...]
    visitors: tuple[ConfiguredVisitor, ...]
    warnings: tuple[ConfigurationProblem, ...]


def load_server(
    path: str,
    *,
    types: ProxyTypes,
    environ: Mapping[str, str],
    strict: bool = True,
    allow_unsafe: Collection[str] = (),
    cwd: str = "",
) -> LoadedServer:
    """Reads a server's file.

    ``environ`` is what templates see.  Relative paths are resolved against ``cwd``, empty for the
    process's own.  Without ``strict``, unknown keys are ignored.  ``allow_unsafe`` names features
    that need permission: ``TokenSourceExec``.

    :raises ConfigurationProblems: the file cannot be read or used, with every reason.
    """
    raise NotImplementedError


def load_client(
    path: str,
    *,
    types: ProxyTypes,
    environ: Mapping[str, str],
    strict: bool = True,
    allow_unsafe: Collection[str] = (),
    cwd: str = "",
) -> LoadedClient:
    """Reads a client's file and the files it includes; see :func:`load_server`.

    :raises ConfigurationProblems: a file cannot be read or used, with every reason.
    """
    raise NotImplementedError


def server_from_table(
    table: Mapping[str, Any],
    *,
    types: ProxyTypes,
    allow_unsafe: Collection[str] = (),
) -> LoadedServer:
    """Makes a server's configuration of a plain table, as a file would hold it (command lines do).

    :raises ConfigurationProblems: it cannot be used.
    """
    raise NotImplementedError


def client_from_table(
    table: Mapping[str, Any],
    *,
    types: ProxyTypes,
    environ: Mapping[str, str],
    allow_unsafe: Collection[str] = (),
) -> LoadedClient:
    """Makes a client's configuration of a plain table with ``proxies`` and ``visitors`` in it.

    :raises ConfigurationProblems: it cannot be used.
    """
    raise NotImplementedError
