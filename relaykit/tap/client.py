"""``twistd relaykit-client``: a client."""

from __future__ import annotations

from relaykit.assembly import read_client
from relaykit.tap.options import RoleOptions
from relaykit.tap.starting import EndingProgram

__all__ = ["Options", "makeService"]


class Options(RoleOptions):
    """The command line of ``relaykit-client``."""

    longdesc = "Runs a client that publishes local services through a relay server."
    read = staticmethod(read_client)


def makeService(options: Options) -> EndingProgram:
    """The client; it opens nothing before it is started."""
    return EndingProgram.of(options, lambda client: client.when_first_login())
