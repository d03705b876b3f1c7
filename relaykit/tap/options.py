"""The options that ``relaykit-server`` and ``relaykit-client`` have in common.

They are those of ``relaykit server`` and ``relaykit client``, read by ``twistd``'s own parser.  Everything
that can be wrong with the files is found while the options are read, so that ``twistd`` says it on the
terminal and fails, before it becomes a daemon and changes its folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve
from twisted.python import usage

from relaykit.assembly import ClientAssembly, RoleFiles, ServerAssembly
from relaykit.config.load import LoadedClient, LoadedServer, with_other_files
from relaykit.errors import RelaykitError
from relaykit.options import FileUse
from relaykit.tap.daemon_log import daemon_log

__all__ = ["RoleOptions", "with_absolute_paths"]

LoadedT = TypeVar("LoadedT", LoadedServer, LoadedClient)


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
        loaded = with_absolute_paths(assembly.loaded)
        self["assembly"] = evolve(assembly, loaded=loaded)
        try:
            self["log"] = daemon_log(loaded.config.log, self.parent)
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


def with_absolute_paths(loaded: LoadedT) -> LoadedT:
    """The same configuration, the files that are read named from the root.

    They are read when the role starts, and again when they change; a daemon has changed its folder by then.
    """
    return with_other_files(
        loaded, lambda each: each.path if each.use is FileUse.WRITTEN else os.path.abspath(each.path)
    )
