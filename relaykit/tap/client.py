"""``twistd relaykit-client``: a client."""

from __future__ import annotations

from relaykit.clock import tick_monotonically
from relaykit.commands.making import ClientMaker, RoleFiles, read_client
from relaykit.tap.options import RoleOptions
from relaykit.tap.starting import EndingProgram

__all__ = ["Options", "makeService"]


class Options(RoleOptions):
    """The command line of ``relaykit-client``."""

    longdesc = "Runs a client that publishes local services through a relay server."

    def read(self, files: RoleFiles) -> ClientMaker:
        return read_client(files)


def makeService(options: Options) -> EndingProgram:
    """The client; it opens nothing before it is started."""
    from twisted.internet import reactor

    tick_monotonically(reactor)
    client = options["maker"].make(reactor)
    return EndingProgram(client, client.when_first_login, reactor)
