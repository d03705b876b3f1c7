"""The options that ``relaykit-server`` and ``relaykit-client`` have in common.

They are those of ``relaykit server`` and ``relaykit client``, read by ``twistd``'s own parser.  Everything
that can be wrong with the files is found while the options are read, so that ``twistd`` says it on the
terminal and fails, before it becomes a daemon and changes its folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from attrs import evolve
from twisted.python import usage

from relaykit.assembly import ClientAssembly, RoleFiles, ServerAssembly
from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.errors import RelaykitError
from relaykit.tap.daemon_log import daemon_log

__all__ = ["RoleOptions", "with_absolute_paths"]

ConfigT = TypeVar("ConfigT", ServerConfig, ClientConfig)

_TLS_FILES = ("cert_file", "key_file", "trusted_ca_file")


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text == "true"


class RoleOptions(usage.Options):
    """Reads what a role needs; ``self["assembly"]`` makes its service, ``self["log"]`` writes its log.

    :cvar read: reads it from files; raises :class:`RelaykitError` when it cannot be used.
    """

    read: Callable[[RoleFiles], ServerAssembly | ClientAssembly]

    optParameters = [
        ["config", "c", "", "Configuration file (TOML, YAML or JSON)."],
        ["strict-config", None, True, "Refuse keys that are not known: true or false.", _boolean],
        ["allow-unsafe", None, "", "Allow features that run commands: TokenSourceExec."],
        ["state-dir", None, "", "Folder of what is kept from one start to the next."],
        ["token-file", None, "", "File with the token; comes before what the configuration says."],
    ]

    def postOptions(self) -> None:
        if not self["config"]:
            raise usage.UsageError("a configuration file is needed: -c FILE")
        try:
            assembly: Any = self.read(self._files())
        except RelaykitError as error:
            raise usage.UsageError(str(error)) from error
        for warning in assembly.warnings:
            print(f"WARNING: {warning}")
        config = with_absolute_paths(assembly.loaded.config)
        self["assembly"] = evolve(assembly, loaded=evolve(assembly.loaded, config=config))
        try:
            self["log"] = daemon_log(config.log, self.parent)
        except OSError as error:
            raise usage.UsageError(f"cannot log to {error.filename}: {error.strerror}") from error

    def _files(self) -> RoleFiles:
        return RoleFiles(
            config=self["config"],
            environ=os.environ,
            strict=self["strict-config"],
            allow_unsafe=[name for name in self["allow-unsafe"].split(",") if name],
            state_dir=self["state-dir"],
            token_file=self["token-file"],
        )


def with_absolute_paths(config: ConfigT) -> ConfigT:
    """The same configuration, the files of TLS named from the root.

    They are read when the role starts, and a daemon has changed its folder by then.
    """
    tls = config.transport.tls
    named = {name: getattr(tls, name) for name in _TLS_FILES}
    absolute = {name: os.path.abspath(path) for name, path in named.items() if path}
    transport = msgspec.structs.replace(config.transport, tls=msgspec.structs.replace(tls, **absolute))
    return msgspec.structs.replace(config, transport=transport)
