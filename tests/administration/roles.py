"""The API of a whole role in memory, as its control socket has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock

from relaykit.administration.attaching import ClientAdministration, ServerAdministration
from relaykit.administration.site import AdministrationSite
from relaykit.administration.steering import Steering
from relaykit.assembly import RoleFiles, read_client, read_server
from relaykit.logs.tail import LogTail

__all__ = ["ROLES", "control_site"]

ROLES: Mapping[str, tuple[Any, Any, tuple[Any, ...], str]] = {
    "server": (read_server, ServerAdministration, (("tcp",),), ""),
    "client": (read_client, ClientAdministration, (), 'store.path = "store.json"'),
}
"""How each role is read, its administration, what that wants to know beside, and the role's file."""


def control_site(role: str, folder: Path, reactor: MemoryReactorClock) -> AdministrationSite:
    """What a role that does nothing answers; it has a log that can be looked at, and no history.

    :param folder: gets its files.
    """
    read, administration, further, text = ROLES[role]
    config = folder / f"{role}.toml"
    config.write_text(f'auth.token = "none"\n{text}\n')
    assembly = read(RoleFiles(config=str(config), environ={}))
    tail = LogTail(lambda: "info", reactor)
    service = assembly.make(reactor)
    made = administration(service, assembly.loaded, *further, reactor, Steering(), None, tail)
    site: AdministrationSite = made.control_site(None)
    return site
