"""What frp 0.70.1 said to 817 configuration files, and how to ask relaykit the same.

``data/config-cases.jsonl`` has one recorded run of ``frps verify`` or ``frpc verify`` a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from relaykit.config.legacy.names import CLIENT, HTTP_PLUGIN, PROXY, SERVER, VISITOR
from relaykit.config.load import load_client, load_server
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.plugins import ProxyTypeReference, ProxyTypes

__all__ = ["Blame", "Case", "Verdict", "blames", "builtin_types", "cases"]

_DATA = Path(__file__).parent / "data" / "config-cases.jsonl"
_ALLOW_UNSAFE = ("--allow-unsafe", "--allow_unsafe")


def builtin_types() -> ProxyTypes:
    """The proxy types that the cases are tried with."""
    return ProxyTypes.from_references(
        ProxyTypeReference(name, f"relaykit.proxies.{name}")
        for name in ("tcp", "udp", "stcp", "sudp", "http", "https", "tcpmux", "xtcp")
    )


@frozen
class Verdict:
    """What relaykit said: problems, or none and warnings."""

    problems: tuple[ConfigurationProblem, ...]
    warnings: tuple[ConfigurationProblem, ...]

    @property
    def exit_status(self) -> int:
        """The exit status of ``verify``."""
        return 1 if self.problems else 0


@frozen
class Case:
    """One file, with what it includes and how the program was called, and what frp said."""

    id: str
    role: str
    main: str
    files: Mapping[str, str]
    environ: Mapping[str, str]
    strict: bool
    allow_unsafe: tuple[str, ...]
    exit_status: int
    output: str

    def write(self, directory: str) -> None:
        """Writes its files below a directory."""
        for name, text in self.files.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="")

    def ask(self, types: ProxyTypes, directory: str) -> Verdict:
        """What relaykit says to the files that were written there."""
        load = load_server if self.role == "frps" else load_client
        try:
            loaded = load(
                self.main,
                types=types,
                environ=self.environ,
                strict=self.strict,
                allow_unsafe=self.allow_unsafe,
                cwd=directory,
                # frp's server does without a token in silence, and nearly no case has one.
                token_given=True,
            )
        except ConfigurationProblems as error:
            return Verdict(error.problems, error.warnings)
        return Verdict((), loaded.warnings)


def cases() -> Iterator[Case]:
    """Every recorded case."""
    with _DATA.open(encoding="utf-8") as lines:
        for line in lines:
            yield _case(json.loads(line))


def _case(recorded: Mapping[str, Any]) -> Case:
    main, *flags = recorded["args"][2:]
    allowed: list[str] = []
    for position, flag in enumerate(flags):
        name, _, value = flag.partition("=")
        if name in _ALLOW_UNSAFE:
            allowed += (value or flags[position + 1]).split(",")
    return Case(
        id=recorded["id"],
        role=recorded["role"],
        main=main,
        files={main: recorded["text"], **recorded.get("files", {})},
        environ=recorded.get("env", {}),
        strict="--strict_config=false" not in flags,
        allow_unsafe=tuple(allowed),
        exit_status=recorded["expect"]["exit"],
        output="...".join(recorded["expect"]["stdout_contains"]),
    )


# --- what frp's words blame -----------------------------------------------------------------


@frozen
class Blame:
    """What a recorded text blames.

    ``key`` is the end of the path of a key without list indexes, empty if none is named; ``entry`` the
    proxy or visitor, such as ``proxies[0]``; ``value`` a text that must be repeated; ``line`` counts from 1,
    ``column`` from 0.
    """

    text: str
    key: str = ""
    entry: str = ""
    value: str = ""
    line: int | None = None
    column: int | None = None
    in_included: bool = False

    def fits(self, problem: ConfigurationProblem, main: str) -> bool:
        """Whether a problem is about the same thing; ``main`` is the main file."""
        return (
            any(map(self._fits_key, _names(problem.key)))
            and problem.key.startswith(self.entry)
            and self.value in problem.what
            and self.line in (None, problem.line)
            and self._fits_column(problem)
            and (not self.in_included or problem.file != main)
        )

    def _fits_key(self, key: str) -> bool:
        plain = re.sub(r"\[\d+\]", "", key).casefold()
        if self.key in _MAPS:
            plain = plain.rpartition(".")[0]
        wanted = self.key.casefold()
        return not wanted or plain == wanted or plain.endswith(f".{wanted}")

    def _fits_column(self, problem: ConfigurationProblem) -> bool:
        """Columns of frp may point into the expression that relaykit points to the beginning of."""
        if self.column is None or problem.column is None:
            return self.column is None
        _, _, expression = problem.what.rpartition(" in ")
        return 0 <= self.column - (problem.column - 1) < len(expression)


def _names(key: str) -> list[str]:
    """A key as it is told, and what one of an INI file is called today."""
    old = key.rpartition(".")[2]
    tables = {"": (SERVER, CLIENT, PROXY, VISITOR), "httpPlugins.": (HTTP_PLUGIN,)}
    return [
        key,
        *(
            f"{around}{each.keys[old].today}"
            for around, names in tables.items()
            for each in names
            if old in each.keys
        ),
    ]


def blames(case: Case) -> list[Blame]:
    """What is blamed, for each recorded text.

    :raises LookupError: no rule knows a text.
    """
    if _ONE_TEXT.match(case.output):
        return [_blame(case.output, case)]
    return [_blame(line, case) for line in case.output.split("\n") if not line.startswith("WARNING: ")]


def _blame(text: str, case: Case) -> Blame:
    entry = re.search(r"decode (proxy|visitor) at index (\d+)", text)
    place = re.match(r"template: frp:(\d+)(?::(\d+))?|toml: line (\d+), column", text)
    value = re.search(r"unknown (?:proxy|visitor) type: (?P<value>.+)", text, re.S)
    for pattern, key in _RULES:
        match = re.search(pattern, text)
        if match is not None:
            return Blame(
                text,
                match.expand(key),
                "" if entry is None else f"{_LISTS[entry[1]]}[{entry[2]}]",
                "" if value is None else f'"{value["value"]}',
                int(place[1] or place[3]) if place and "the document ends there" not in text else None,
                int(place[2]) if place and place[2] else None,
                "load additional config from" in text,
            )
    raise LookupError(f"{case.id}: {text}")


_ONE_TEXT = re.compile(r"decode |proxy |visitor ")
"""Texts that may repeat a value with line breaks in it."""

_LISTS = {"proxy": "proxies", "visitor": "visitors"}
_MAPS = ("metadatas", "featureGates")
"""frp blames the map, relaykit the key in it."""

_SOURCE = r"^invalid (auth\.(?:oidc\.)?tokenSource): "

_RULES: tuple[tuple[str, str], ...] = (
    (r'field "(?:ClientCommonConfig\.)?(?:APIMetadata\.)?([\w.]+)": cannot unmarshal', r"\1"),
    (r'unknown field "(.*)"', r"\1"),
    (r"Go struct field [\w.]*?(\w+) of type", r"\1"),
    (r"unmarshal number into Go value of type v1\.typedEnvelope|: type is required", ""),
    (r"unknown (?:proxy|visitor) type: ", "type"),
    (r"plugin type is empty|unknown (?:visitor )?plugin type", "plugin.type"),
    (r"unit not support|strconv\.ParseFloat", "transport.bandwidthLimit"),
    (r"name \[.*\] is duplicated", "name"),
    (r"^failed to parse \w+ \w+, err: (?:invalid )?type", "type"),
    (r"role should be 'server' or 'visitor'", "role"),
    (
        r"^failed to render template for proxy .*local ports number should be same with remote ports number",
        "remotePort",
    ),
    (r"^failed to render template for proxy .*range number is invalid", "localPort"),
    (r"^parse config error: invalid protocol", "transport.protocol"),
    (r"^parse config error: invalid heartbeat_timeout", "transport.heartbeatTimeout"),
    (r"^parse config error: include: directory of", "includes"),
    (r"(\w[\w.]*): port number", r"\1"),
    (r"^invalid (transport\.\w+),", r"\1"),
    (r"^invalid auth method", "auth.method"),
    (r"^invalid auth additional scopes", "auth.additionalScopes"),
    (r"^invalid log level", "log.level"),
    (r"^tls\.(\w+) must be specified", r"webServer.tls.\1"),
    (r"^invalid http plugin ops", "httpPlugins.ops"),
    (r"^cannot specify both auth\.token and auth\.tokenSource", "auth.tokenSource"),
    (r"^cannot specify both auth\.oidc\.tokenSource and any", "auth.oidc.tokenSource"),
    (r'^unsafe feature "TokenSourceExec"', "tokenSource.type"),
    (_SOURCE + "file path", r"\1.file.path"),
    (_SOURCE + r"(\w+) configuration", r"\1.\2"),
    (_SOURCE + "exec command", r"\1.exec.command"),
    (_SOURCE + "exec env name", r"\1.exec.env.name"),
    (_SOURCE + "unsupported value", r"\1.type"),
    (r"^VirtualNet feature is not enabled", "virtualNet.address"),
    (r"^(auth\.oidc\.[\w.]+) (?:is required|must|is not allowed)", r"\1"),
    (r"server name is required", "serverName"),
    (r"name should not be empty|name is required", "name"),
    (r"bind port is required", "bindPort"),
    (r"subdomain and custom domains should not be both empty", "customDomains"),
    (r"not support multiplexer", "multiplexer"),
    (r"not support proxy protocol version", "transport.proxyProtocolVersion"),
    (r"bandwidth limit mode should be", "transport.bandwidthLimitMode"),
    (r"not support health check type", "healthCheck.type"),
    (r"health check path should not be empty", "healthCheck.path"),
    (r"annotation key .* is invalid", "annotations"),
    (r"plugin \w+: (\w+) is required", r"plugin.\1"),
    (r"protocol should be kcp or quic", "protocol"),
    (r"^stat .*: no such file or directory", "includes"),
    # Nothing is blamed but the text of the file.
    (
        r"^template: frp:|^toml: |^error converting YAML to JSON|load additional config from .* error: toml",
        "",
    ),
    (r"^unexpected (?:EOF|end of JSON input)|^invalid character|^json: unsupported value", ""),
    (r"cannot unmarshal \w+ into Go value of type v1\.\w*(?:Server|Client)Config$", ""),
)
"""Patterns of recorded texts, the first that matches counts, and the key that each blames."""
