"""The options that ``relaykit-server`` and ``relaykit-client`` have in common.

Everything that can be wrong with the files is found while the options are read, so that ``twistd`` says it
on the terminal and fails, before it becomes a daemon and changes its folder.
"""

from __future__ import annotations

import os
from typing import Any

from attrs import evolve
from twisted.python import usage

from relaykit.commands.making import ClientMaker, RoleFiles, ServerMaker
from relaykit.errors import RelaykitError
from relaykit.tap.paths import with_absolute_paths

__all__ = ["RoleOptions"]


class RoleOptions(usage.Options):
    """Reads what a role needs; ``self["maker"]`` then makes its service."""

    optParameters = [
        ["config", "c", "", "Configuration file (TOML, YAML or JSON)."],
        ["state-dir", None, "", "Folder of what is kept from one start to the next."],
        ["token-file", None, "", "File with the token; comes before what the configuration says."],
        ["allow-unsafe", None, "", "Allow features that run commands: TokenSourceExec."],
    ]
    optFlags = [["lenient", None, "Ignore keys that are not known."]]

    def read(self, files: RoleFiles) -> ServerMaker | ClientMaker:
        """Reads what the role needs.

        :raises RelaykitError: it cannot be used.
        """
        raise NotImplementedError

    def postOptions(self) -> None:
        if not self["config"]:
            raise usage.UsageError("a configuration file is needed: -c FILE")
        try:
            maker: Any = self.read(self._files())
        except RelaykitError as error:
            raise usage.UsageError(str(error)) from error
        for warning in maker.warnings:
            print(f"WARNING: {warning}")
        config = with_absolute_paths(maker.loaded.config)
        self["maker"] = evolve(maker, loaded=evolve(maker.loaded, config=config))

    def _files(self) -> RoleFiles:
        return RoleFiles(
            config=self["config"],
            environ=os.environ,
            strict=not self["lenient"],
            allow_unsafe=[name for name in self["allow-unsafe"].split(",") if name],
            state_dir=self["state-dir"],
            token_file=self["token-file"],
        )
