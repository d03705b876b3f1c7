"""``twistd relaykit-server``: the relay server."""

from __future__ import annotations

from relaykit.clock import tick_monotonically
from relaykit.commands.making import RoleFiles, ServerMaker, read_server
from relaykit.tap.options import RoleOptions
from relaykit.tap.starting import EndingProgram

__all__ = ["Options", "makeService"]


class Options(RoleOptions):
    """The command line of ``relaykit-server``."""

    longdesc = "Runs a relay server that clients behind a NAT log in to."

    def read(self, files: RoleFiles) -> ServerMaker:
        return read_server(files)


def makeService(options: Options) -> EndingProgram:
    """The relay server; it opens nothing before it is started."""
    from twisted.internet import reactor

    tick_monotonically(reactor)
    server = options["maker"].make(reactor)
    return EndingProgram(server, server.when_ready, reactor)
