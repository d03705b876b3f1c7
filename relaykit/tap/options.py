"""The options that ``relaykit-server`` and ``relaykit-client`` have in common.

They are those of ``relaykit server`` and ``relaykit client``, read by ``twistd``'s own parser.  Everything
that can be wrong with the files is found while the options are read, so that ``twistd`` says it on the
terminal and fails, before it becomes a daemon and changes its folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.python import usage

from relaykit.assembly import ClientAssembly, RoleFiles, ServerAssembly, with_absolute_paths
from relaykit.errors import RelaykitError
from relaykit.logs.observers import LogWriter, log_writer
from relaykit.tap.daemon_log import daemon_log

if TYPE_CHECKING:
    from relaykit.config.schema.sections import LogConfig

__all__ = ["RoleOptions"]


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text == "true"


class RoleOptions(usage.Options):
    """Reads what a role needs; ``self["assembly"]`` makes its service, ``self["log"]`` writes its log.

    ``self["read"](strict)`` reads it again, wherever the program has gone since, and
    ``self["change_log"](config)`` has the log go on as a configuration says.

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
        files, folder = self._files(), os.getcwd()
        try:
            assembly: Any = self.read(files)
        except RelaykitError as error:
            raise usage.UsageError(str(error)) from error
        for warning in assembly.warnings:
            print(f"WARNING: {warning}")
        loaded = with_absolute_paths(assembly.loaded, folder)
        self["assembly"] = evolve(assembly, loaded=loaded)
        try:
            writer = self["log"] = self._log_writer(loaded.config.log)
        except OSError as error:
            raise usage.UsageError(f"cannot log to {error.filename}: {error.strerror}") from error

        def read_again(strict: bool | None) -> ServerAssembly | ClientAssembly:
            now = files.strict if strict is None else strict
            return self.read(evolve(files, folder=folder, strict=now))

        self["read"] = read_again
        self["files"] = evolve(files, folder=folder)

        def change_log(config: LogConfig) -> None:
            settings = daemon_log(config, self.parent, folder)
            if writer is not None and settings is not None:
                writer.change(settings)

        self["change_log"] = change_log

    def _log_writer(self, config: LogConfig) -> LogWriter | None:
        settings = daemon_log(config, self.parent)
        return None if settings is None else log_writer(settings, sys.stdout)

    def _files(self) -> RoleFiles:
        return RoleFiles(
            config=self["config"],
            environ=os.environ,
            strict=self["strict-config"],
            allow_unsafe=[name for name in self["allow-unsafe"].split(",") if name],
            state_dir=self["state-dir"],
            token_file=self["token-file"],
        )
