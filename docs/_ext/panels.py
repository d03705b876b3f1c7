"""``.. panel:: client|site|server``: what a command shows on a terminal, drawn by the command's own code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from attrs import evolve
from docutils import nodes
from rich.console import Console, RenderableType
from rich.terminal_theme import MONOKAI
from sphinx.util.docutils import SphinxDirective

from relaykit.commands.status.client_picture import ClientPicture
from relaykit.commands.status.server import ClientRow, ProxyRow, ServerSnapshot
from relaykit.commands.status.server_picture import ServerPicture
from relaykit.commands.status.view import ConnectionState, EntryPoint, Snapshot, UserRequest
from relaykit.dataplane.plane import FlowCounts
from relaykit.sansio.control.server_life import ServerState

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["PANELS", "picture_of", "setup"]

COLUMNS = 84
ROWS = 40

_SSH = Snapshot(
    at=10.0,
    server="relay.example:7000",
    state=ConnectionState.CONNECTED,
    seconds=3723.0,
    round_trip_s=0.0184,
    entry_points=(EntryPoint(name="ssh", leads_to="127.0.0.1:22", open=True, where="relay.example:6000"),),
    flows=FlowCounts(present=1, total=3, near_to_far=48_213, far_to_near=1_204_882),
)
_SITE = evolve(
    _SSH,
    seconds=62.0,
    entry_points=(
        EntryPoint(
            name="demo",
            leads_to="127.0.0.1:8080",
            open=True,
            where="http://demo.relay.example/",
            url="http://demo.relay.example/",
        ),
    ),
    requests=(
        UserRequest(proxy="demo", method="GET", target="/", status=200, took="12 ms", size="1.2 kB"),
        UserRequest(proxy="demo", method="GET", target="/style.css", status=304, took="3 ms", size="0 bytes"),
        UserRequest(
            proxy="demo", method="GET", target="/favicon.ico", status=404, took="2 ms", size="9 bytes"
        ),
    ),
)
_SERVER = ServerSnapshot(
    at=10.0,
    state=ServerState.READY,
    seconds=86_423.0,
    port=7000,
    fingerprint="sha256:9f64a1d27c3be8510f4d6a92e7b3c85d1e2f60718293a4b5c6d7e8f90a1b2c3d",
    clients=(
        ClientRow(name="workshop", address="203.0.113.9", version="0.1.0", is_bound=True, seconds=3723.0),
        ClientRow(name="attic", address="198.51.100.7", version="0.70.1", is_bound=False, seconds=80_000.0),
    ),
    client_count=2,
    proxies=(
        ProxyRow(
            name="ssh", type="tcp", address=":6000", client="workshop", users=1, connections=3, moved=48_213
        ),
        ProxyRow(
            name="camera",
            type="tcp",
            address=":6001",
            client="attic",
            users=0,
            connections=41,
            moved=91_004_882,
        ),
    ),
    proxy_count=2,
    flows=FlowCounts(present=1, total=44, near_to_far=1_873_011, far_to_near=89_131_871),
)

PANELS: Mapping[str, tuple[str, Callable[[Console], RenderableType]]] = {
    "client": (
        "relaykit tcp 22 --remote-port 6000",
        lambda console: ClientPicture("relaykit tcp", codes=False).drawn(
            _SSH, None, console, "q ends it, r dials now, l shows the log"
        ),
    ),
    "site": (
        "relaykit http 8080 --subdomain demo",
        lambda console: ClientPicture("relaykit http").drawn(
            _SITE, None, console, "q ends it, r dials now, l shows the log"
        ),
    ),
    "server": (
        "relaykit server -c server.toml",
        lambda console: ServerPicture("relaykit server").drawn(
            _SERVER, None, console, "q ends it, l shows the log"
        ),
    ),
}
"""What can be shown: the line that a user types, and what draws the panel for a console."""


def picture_of(name: str) -> str:
    """The panel of that name as SVG, in fonts that are there."""
    command, drawn = PANELS[name]
    console = Console(
        record=True, width=COLUMNS, height=ROWS, file=StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(drawn(console))
    svg = console.export_svg(title=command, theme=MONOKAI, unique_id=f"panel-{name}")
    # Pages load nothing from elsewhere.
    return re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)


class Panel(SphinxDirective):
    """The panel as a picture."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draws it."""
        return [nodes.raw("", picture_of(self.arguments[0]), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the directive."""
    app.add_directive("panel", Panel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
