"""The layers of relaykit: which part may import which.  The architecture page is drawn from this table."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

__all__ = [
    "CORE_LIBRARIES",
    "FORBIDDEN_IN_CORES",
    "LAYERS",
    "ROOT",
    "Layer",
    "imports_of",
    "layer_of",
    "modules",
]

ROOT = Path(__file__).resolve().parent.parent
"""Where the package ``relaykit`` is."""


@frozen
class Layer:
    """One part of the package: what it is for, and what of relaykit it may import besides itself."""

    purpose: str
    may_import: tuple[str, ...]


_VOCABULARY = ("values", "errors", "escaping", "options", "interfaces", "policy_requests")

LAYERS: Mapping[str, Layer] = {
    "tap": Layer(
        "what twistd and twist start",
        (
            "verifying",
            "reloading",
            "assembly",
            "administration",
            "tuning",
            "config",
            "clock",
            "logs",
            *_VOCABULARY,
        ),
    ),
    "commands": Layer(
        "the relaykit command and frp's command lines",
        (
            "supervision",
            "verifying",
            "reloading",
            "assembly",
            "administration",
            "control_sockets",
            "known_problems",
            "tuning",
            "config",
            "server",
            "client",
            "nat",
            "dataplane",
            "sansio",
            "logs",
            "certificates",
            "state",
            "clock",
            "plugins",
            "flags",
            *_VOCABULARY,
        ),
    ),
    "supervision": Layer(
        "what systemd is told of a program",
        (),
    ),
    "verifying": Layer(
        "what is wrong with a configuration, without using it",
        ("reloading", "assembly", "config", "blocking", "plugins", *_VOCABULARY),
    ),
    "reloading": Layer(
        "the configuration of a role that runs, read again",
        ("config", "blocking", *_VOCABULARY),
    ),
    "assembly": Layer(
        "a server or a client made of a configuration",
        (
            "administration",
            "history",
            "control_sockets",
            "ssh_gateway",
            "config",
            "server",
            "client",
            "logs",
            "certificates",
            "state",
            "plugins",
            *_VOCABULARY,
        ),
    ),
    "ssh_gateway": Layer(
        "clients that need nothing but ssh, let in as clients of the server",
        (
            "config",
            "dataplane",
            "driver",
            "timer",
            "sansio",
            "flags",
            "plugins",
            "authentication",
            "state",
            "replacing",
            *_VOCABULARY,
        ),
    ),
    "administration": Layer(
        "what a running role lets itself be asked and told over HTTP",
        (
            "history",
            "config",
            "server",
            "client",
            "known_problems",
            "logs",
            "certificates",
            "dataplane",
            "control_sockets",
            "blocking",
            "state",
            "replacing",
            "plugins",
            "blocking",
            "timer",
            "clock",
            "sansio",
            *_VOCABULARY,
        ),
    ),
    "testing": Layer(
        "the public test kit, which runs real servers and clients in memory",
        (
            "config",
            "server",
            "client",
            "carriers",
            "nat",
            "dataplane",
            "driver",
            "timer",
            "sansio",
            "plugins",
            *_VOCABULARY,
        ),
    ),
    "server": Layer(
        "the role of the relay server",
        (
            "config",
            "carriers",
            "nat",
            "dataplane",
            "driver",
            "timer",
            "descriptors",
            "sansio",
            "plugins",
            "logs",
            "certificates",
            "state",
            "authentication",
            "oidc",
            "token_key",
            "clock",
            *_VOCABULARY,
        ),
    ),
    "client": Layer(
        "the role of the client, visitors included",
        (
            "config",
            "carriers",
            "nat",
            "dataplane",
            "driver",
            "timer",
            "sansio",
            "plugins",
            "certificates",
            "state",
            "authentication",
            "oidc",
            "token_key",
            "clock",
            *_VOCABULARY,
        ),
    ),
    "policies": Layer(
        "the policies that are built in, on the same seam as foreign ones",
        ("config", "dataplane", "sansio", *_VOCABULARY),
    ),
    "config": Layer(
        "configuration files into checked options",
        ("plugins", "sansio", *_VOCABULARY),
    ),
    "local_services": Layer(
        "the local services that are built in, on the same seam as foreign ones",
        ("proxies", "dataplane", "driver", "timer", "blocking", "certificates", "sansio", *_VOCABULARY),
    ),
    "proxies": Layer(
        "the built-in proxy types, on the same seam as foreign ones",
        ("driver", "timer", "descriptors", "certificates", "sansio", *_VOCABULARY),
    ),
    "carriers": Layer(
        "how a stream gets from the client to the server",
        ("dataplane", "driver", "timer", "certificates", "sansio", *_VOCABULARY),
    ),
    "nat": Layer(
        "STUN and the discovery of NATs on real sockets",
        ("driver", "timer", "descriptors", "segmentation", "blocking", "sansio", *_VOCABULARY),
    ),
    "oidc": Layer(
        "tokens of an OpenID Connect provider as what proves who a client is",
        ("dataplane", "blocking", "sansio", *_VOCABULARY),
    ),
    "dataplane": Layer(
        "moving bytes; knows nothing of sessions or proxy types",
        ("driver", "timer", "descriptors", "segmentation", "certificates", "sansio", *_VOCABULARY),
    ),
    "history": Layer(
        "what was moved, by minute, hour and day, kept over restarts",
        ("timer", "blocking", *_VOCABULARY),
    ),
    "flags": Layer(
        "command lines as frp reads them, and the flags of proxies",
        (),
    ),
    "known_problems": Layer(
        "what is behind the messages of all parts, and what to do",
        (),
    ),
    "logs": Layer(
        "where log events go, in frp's format and for machines, and lines about users",
        ("blocking", "values", "errors", "escaping", "options"),
    ),
    "certificates": Layer(
        "a certificate of one's own, and those in files: judged, and read again when they change",
        ("timer", "state", "values", "errors"),
    ),
    "driver": Layer(
        "runs protocol cores: tells their events, sends their output, wakes them in time",
        ("timer", "sansio", *_VOCABULARY),
    ),
    "descriptors": Layer(
        "how many open files there may be, and for whom",
        (),
    ),
    "segmentation": Layer(
        "datagrams of one size that the kernel cuts apart and joins",
        (),
    ),
    "timer": Layer(
        "a deadline that can be set again and again",
        ("sansio",),
    ),
    "plugins": Layer(
        "proxy types by name, found as Twisted plugins",
        _VOCABULARY,
    ),
    "control_sockets": Layer(
        "where the control socket of a program is",
        ("state", "values", "errors"),
    ),
    "state": Layer(
        "what is kept from one start to the next",
        ("replacing", "values", "errors"),
    ),
    "replacing": Layer("files that are replaced as a whole", ()),
    "authentication": Layer(
        "the token as what proves who a client is",
        ("sansio", *_VOCABULARY),
    ),
    "token_key": Layer(
        "the token as a key, made in another thread",
        ("sansio", "values", "errors"),
    ),
    "blocking": Layer(
        "calls that block, in threads",
        (),
    ),
    "clock": Layer(
        "monotonic time for whatever waits",
        ("values", "errors"),
    ),
    "tuning": Layer(
        "what makes a process fit for many users",
        ("values", "errors"),
    ),
    "interfaces": Layer(
        "every interface between the parts",
        ("options", "sansio", "values", "errors"),
    ),
    "options": Layer(
        "how a table of options is declared",
        ("values", "errors"),
    ),
    "policy_requests": Layer("what the policies of a server are asked", ("values",)),
    "sansio": Layer(
        "protocol cores: no I/O, no clock, no chance",
        ("values", "errors", "escaping"),
    ),
    "errors": Layer("every exception", ("values",)),
    "escaping": Layer("texts of others made fit to be seen", ()),
    "values": Layer("frozen values that everybody may hold", ()),
}
"""From the programs at the top to the vocabulary at the bottom: a layer imports only from below."""

CORE_LIBRARIES = frozenset(
    {"attrs", "msgspec", "cryptography", "cramjam", "crc32c", "hpack", "idna", "joserfc", "websockets"}
)
"""What ``sansio`` may import besides the standard library."""

FORBIDDEN_IN_CORES = frozenset(
    {"asyncio", "multiprocessing", "os", "random", "secrets", "select", "selectors", "signal"}
    | {"socket", "socketserver", "ssl", "subprocess", "tempfile", "threading", "time"}
)
"""What ``sansio`` may not import of the standard library: I/O, clocks and chance come as arguments."""


def modules() -> Iterator[Path]:
    """Every source file of the package, relative to :data:`ROOT`."""
    return (path.relative_to(ROOT) for path in sorted((ROOT / "relaykit").rglob("*.py")))


def layer_of(dotted: str) -> str:
    """The layer of a dotted module name of relaykit; empty for the package itself."""
    return dotted.partition(".")[2].partition(".")[0]


def imports_of(path: Path) -> frozenset[str]:
    """Dotted names of the modules that a source file imports, anywhere in it.

    ``from relaykit import values`` counts as ``relaykit.values``.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"{path}: relative import; imports name the whole path")
            module = node.module or ""
            if module == "relaykit":
                found.update(
                    f"relaykit.{alias.name}" for alias in node.names if not alias.name.startswith("__")
                )
            else:
                found.add(module)
    return frozenset(found)
