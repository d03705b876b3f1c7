"""``twistd relaykit-server``: the relay server."""

from __future__ import annotations

from relaykit.assembly import read_server
from relaykit.tap.options import RoleOptions
from relaykit.tap.starting import EndingProgram

__all__ = ["Options", "makeService"]


class Options(RoleOptions):
    """The command line of ``relaykit-server``."""

    longdesc = "Runs a relay server that clients behind a NAT log in to."
    read = staticmethod(read_server)


def makeService(options: Options) -> EndingProgram:
    """The relay server; it opens nothing before it is started."""
    return EndingProgram.of(options, lambda server: server.when_ready())
