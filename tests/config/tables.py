"""Loads configurations that tests write down as text."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.load import LoadedClient, LoadedServer, load_client, load_server
from relaykit.config.problems import ConfigurationProblems
from relaykit.plugins import ProxyTypes
from tests.config.cases import builtin_types

__all__ = ["ConfigurationTestCase"]


class ConfigurationTestCase(SynchronousTestCase):
    """A test case with a directory for configuration files; ``types`` are tcp and stcp."""

    types: ProxyTypes = builtin_types()

    def setUp(self) -> None:
        """Makes the directory."""
        self.directory = os.path.abspath(self.mktemp())
        os.mkdir(self.directory)

    def write(self, name: str, text: str | bytes) -> str:
        """Writes a file; answers its absolute path."""
        path = Path(self.directory, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def client(self, text: str, name: str = "frpc.toml", **options: Any) -> LoadedClient:
        """Loads a client's configuration."""
        self.write(name, text)
        return load_client(name, **self._options(options))

    def server(self, text: str, name: str = "frps.toml", **options: Any) -> LoadedServer:
        """Loads a server's configuration, whose token is elsewhere."""
        self.write(name, text)
        return load_server(name, **self._options({"token_given": True, **options}))

    def client_problems(self, text: str, name: str = "frpc.toml", **options: Any) -> list[str]:
        """What is wrong with a client's configuration, as people read it."""
        error = self.assertRaises(ConfigurationProblems, self.client, text, name, **options)
        return [str(problem) for problem in error.problems]

    def server_problems(self, text: str, name: str = "frps.toml", **options: Any) -> list[str]:
        """What is wrong with a server's configuration, as people read it."""
        error = self.assertRaises(ConfigurationProblems, self.server, text, name, **options)
        return [str(problem) for problem in error.problems]

    def _options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        environ: Mapping[str, str] = {}
        allow_unsafe: Collection[str] = ()
        given: dict[str, Any] = {"types": self.types, "environ": environ, "allow_unsafe": allow_unsafe}
        return {**given, "cwd": self.directory, **options}
