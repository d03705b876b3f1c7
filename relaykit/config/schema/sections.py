"""Tables that the configurations of both roles have: the log, the web server, QUIC.

Also home of the small checks that several tables share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from relaykit.config.schema.addresses import is_loopback
from relaykit.options import (
    Count,
    CountOrOff,
    FileUse,
    Host,
    ListeningPort,
    Options,
    Problem,
    Seconds,
    doc,
    file,
    secret,
)
from relaykit.values import NO_SECRET, Secret

__all__ = [
    "LOG_FORMATS",
    "LOG_LEVELS",
    "LogConfig",
    "QuicConfig",
    "WebServerConfig",
    "WebServerTls",
    "choice_problems",
]

LOG_LEVELS = ("trace", "debug", "info", "warn", "error")
"""What ``log.level`` may be, from the most to the least talkative."""

LOG_FORMATS = ("text", "json")
"""What ``log.format`` may be."""


def choice_problems(key: str, value: str, choices: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with a text that must be one of a few."""
    if value not in choices:
        what = f'"{value}" is not' if value else "must be given, and be"
        yield Problem(key, f"{what} one of {', '.join(choices)}")


class LogConfig(Options, frozen=True, kw_only=True):
    """Where the log goes and what is in it."""

    to: Annotated[
        str, file(FileUse.WRITTEN), doc("console for standard output, else the path of a file.")
    ] = "console"
    level: Annotated[str, doc("Least severity: trace, debug, info, warn or error.")] = "info"
    max_days: Annotated[CountOrOff, doc("Days that rotated files are kept; negative keeps all.")] = 3
    disable_print_color: Annotated[bool, doc("Leaves out the colors on the console.")] = False
    format: Annotated[str, doc("text for frp's lines, json for one JSON object a line.")] = "text"

    def problems(self) -> Iterable[Problem]:
        yield from choice_problems("level", self.level, LOG_LEVELS)
        yield from choice_problems("format", self.format, LOG_FORMATS)


class WebServerTls(Options, frozen=True, kw_only=True):
    """The web server's certificate; the presence of this table switches HTTPS on."""

    cert_file: Annotated[str, doc("Certificate chain (PEM).")] = ""
    key_file: Annotated[str, doc("Private key (PEM).")] = ""
    trusted_ca_file: Annotated[str, doc("Accepted for frp's files; unused.")] = ""
    server_name: Annotated[str, doc("Accepted for frp's files; unused.")] = ""

    def problems(self) -> Iterable[Problem]:
        for key, value in (("certFile", self.cert_file), ("keyFile", self.key_file)):
            if not value:
                yield Problem(key, "must be given when the table webServer.tls is there")


class WebServerConfig(Options, frozen=True, kw_only=True):
    """The web server of the dashboard and of the administration API."""

    addr: Annotated[Host, doc("Address to listen on.")] = "127.0.0.1"
    port: Annotated[ListeningPort, doc("Port to listen on; 0 for no web server.")] = 0
    user: Annotated[
        str, doc("User name that must be given; with an empty password too, nobody is asked.")
    ] = ""
    password: Annotated[
        Secret,
        secret(needed_with="user", may_be_empty=True),
        doc("Password that must be given."),
    ] = NO_SECRET
    assets_dir: Annotated[str, doc("Directory that is served in place of the built-in pages.")] = ""
    pprof_enable: Annotated[bool, doc("Accepted for frp's files; unused.")] = False
    tls: WebServerTls | None = None

    def problems(self) -> Iterable[Problem]:
        if self.port and not self.password and not is_loopback(self.addr):
            yield Problem(
                "password",
                f"must be given, as others than this machine reach {self.addr} (or set addr to 127.0.0.1)",
            )


class QuicConfig(Options, frozen=True, kw_only=True):
    """Properties of QUIC connections."""

    keepalive_period: Annotated[Seconds, doc("Seconds between two keepalives.")] = 10
    max_idle_timeout: Annotated[Seconds, doc("Seconds of silence after which a connection is lost.")] = 30
    max_incoming_streams: Annotated[Count, doc("Most streams that the peer may have open.")] = 100_000
