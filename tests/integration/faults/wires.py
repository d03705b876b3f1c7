"""Two machines and the wire between them: network namespaces of this test's own, and rules that drop."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterator, Sequence

from tests.natlab.namespaces import entered, ip_batch, run, why_not, within

__all__ = ["CLIENT_ADDRESS", "SERVER_ADDRESS", "Wire", "missing_namespaces"]

SERVER_ADDRESS = "198.18.0.1"
CLIENT_ADDRESS = "198.18.0.2"

_numbers = itertools.count()

_TABLE = "table inet faults"

_CHAINS = f"""
{_TABLE} {{
    chain sent {{ type filter hook output priority 0; }}
    chain received {{ type filter hook input priority 0; }}
}}
"""


@functools.cache
def missing_namespaces() -> str | None:
    """Why there can be no wire here; None where there can."""
    if os.geteuid():
        return "network namespaces need root"
    return why_not(_CHAINS) or None


class Wire:
    """A server's machine and a client's machine, connected; :meth:`remove` takes them away."""

    def __init__(self) -> None:
        self._name = f"rkf{os.getpid()}x{next(_numbers)}"
        self.server, self.client = f"{self._name}s", f"{self._name}c"
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Removes both machines."""
        for name in (self.server, self.client):
            run(["ip", "netns", "del", name], check=False)

    def at_server(self) -> Sequence[str]:
        """What to put before a command line to run it on the server's machine."""
        return within(self.server)

    def at_client(self) -> Sequence[str]:
        """The same for the client's."""
        return within(self.client)

    @contextlib.contextmanager
    def on_server(self) -> Iterator[None]:
        """The calling thread is on the server's machine."""
        with entered(self.server):
            yield

    @contextlib.contextmanager
    def on_client(self) -> Iterator[None]:
        """The same for the client's."""
        with entered(self.client):
            yield

    def drop(self, *rules: str) -> None:
        """Drops what a rule of the client's machine matches: ``sent tcp dport 7000``."""
        self._nft("".join(f"add rule inet faults {rule} drop\n" for rule in rules))

    def heal(self) -> None:
        """Drops nothing any more."""
        self._nft("flush chain inet faults sent\nflush chain inet faults received\n")

    def ip(self, command: str) -> None:
        """Runs one command of ``ip`` on the client's machine."""
        ip_batch([command], self.client)

    def _nft(self, text: str) -> None:
        run([*within(self.client), "nft", "-f", "-"], text)

    def _make(self) -> None:
        for name in (self.server, self.client):
            run(["ip", "netns", "add", name])
        wire = f"{self._name}w"
        ip_batch([f"link add {wire} netns {self.server} type veth peer name {wire} netns {self.client}"])
        for name, address in ((self.server, SERVER_ADDRESS), (self.client, CLIENT_ADDRESS)):
            ip_batch(["link set lo up", f"addr add {address}/24 dev {wire}", f"link set {wire} up"], name)
        self.link = wire
        self._nft(_CHAINS)
