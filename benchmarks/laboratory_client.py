"""Our client where the Internet is a laboratory: ``python -m benchmarks.laboratory_client -c FILE``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner, textFileLogObserver

from relaykit.assembly import RoleFiles, read_client
from relaykit.client.network import Network, make_network
from relaykit.client.service import RelayClient
from relaykit.commands.runner import ProcessRunner
from relaykit.tuning import prepare_process
from tests.natlab.rendezvous import is_public

if TYPE_CHECKING:
    from relaykit.config.schema import ClientConfig

__all__ = ["main"]

_OPENING_TTL = 2
"""So far datagrams may go that open the own router: the laboratory's Internet is one router deep."""


def main(file: str) -> None:
    """Runs the client that the file configures; what it would take for nobody's addresses is the Internet."""
    prepare_process()
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    assembly = read_client(RoleFiles(config=file, environ=os.environ))
    client = RelayClient(
        assembly.loaded, assembly.token, assembly.types, reactor, make_network=_network_of_laboratory
    )

    def begin() -> Deferred[None]:
        client.startService()
        return client.when_first_login().addCallback(lambda _: None)

    ProcessRunner(reactor, begin, client.stopService).run()


def _network_of_laboratory(config: ClientConfig, reactor: Any) -> Network:
    made = make_network(config, reactor)
    around = evolve(made.network_info, internet=is_public, opening_ttl=_OPENING_TTL)
    return evolve(made, network_info=around)


if __name__ == "__main__":
    main(sys.argv[2])
