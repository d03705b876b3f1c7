"""Command lines of frp's programs with what the programs did, as recorded; and what of it binds us.

A program that takes frp's place gives the same exit status, prints on the same streams, and says word by word
what scripts wait for.  The wording of the rest is its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from relaykit import __version__
from tests.commands.terminal import Printed

__all__ = ["DEVIATIONS", "PROCESS_GROUPS", "STARTS", "Case", "differences", "read_cases"]

_FILE = Path(__file__).with_name("data") / "cli-cases.jsonl"

PROCESS_GROUPS = frozenset({"login-fail", "run-errors", "nathole"})
"""Groups whose command lines start a role or ask the network: they run in a process of their own."""

_RECORDED_VERSION = "0.70.1"

_WORD_BY_WORD = frozenset({"version", "flag-grammar", "help"})
"""Groups whose whole text on standard output is bound."""

_WAITED_FOR = re.compile(
    r"frp[sc]: the configuration file .*"
    r"|frp[sc] uses config file: .*"
    r"|\] try to connect to server\.\.\.\n"
    r"|\[[DIWE]\] \["
    r"|\] connect to server error: "
    r"|start frpc service for config file \[.*\] with aggregated configuration\n"
    r"|frpc service for config file \[.*\] stopped\n"
    r"|frpc service error for config file \[.*\]"
    r"|login to the server failed: "
    r"|With loginFailExit enabled, no additional retries will be attempted"
    r"|127\.0\.0\.1:\d+"
    r"|connection refused"
    r"|no such file or directory"
    r"|discover error: .*"
    r"|\x1b\[[0-9;]*m"
)
"""Texts that are bound wherever they occur."""


@frozen
class Case:
    """One recorded command line."""

    id: str
    group: str
    role: str
    args: tuple[str, ...]
    files: Mapping[str, str]
    environ: Mapping[str, str]
    status: int
    stdout_contains: tuple[str, ...]
    stderr_contains: tuple[str, ...]
    stdout_empty: bool
    stderr_empty: bool

    def write_files(self, folder: Path) -> None:
        """Puts the files of this case into a folder; a server's has a token, which relaykit demands."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if self.role == "frps" and path.suffix == ".toml" and "tokenSource" not in content:
                content = f'auth.token = "t"\n{content}'
            path.write_text(content, "utf-8")


def read_cases() -> tuple[Case, ...]:
    """All records, in their order."""
    return tuple(_case(json.loads(line)) for line in _FILE.read_text("utf-8").splitlines())


def _case(record: Mapping[str, Any]) -> Case:
    expected = record["expect"]
    return Case(
        id=record["id"],
        group=record["group"],
        role=record["role"],
        args=tuple(record["args"]),
        files=record.get("files") or {},
        environ=record.get("env") or {},
        status=expected["exit"],
        stdout_contains=tuple(expected["stdout_contains"]),
        stderr_contains=tuple(expected["stderr_contains"]),
        stdout_empty=expected["stdout_empty"],
        stderr_empty=expected["stderr_empty"],
    )


def differences(case: Case, printed: Printed) -> Iterator[str]:
    """What is different from the record in what binds us."""
    if printed.status != case.status:
        yield f"status {printed.status}, recorded {case.status}"
    for name, text, empty in (
        ("stdout", printed.stdout, case.stdout_empty),
        ("stderr", printed.stderr, case.stderr_empty),
    ):
        if (not text) != empty:
            yield f"{name} is {'empty' if not text else 'not empty'}"
    for name, text, bound in (
        ("stdout", printed.stdout, _bound_texts(case)),
        ("stderr", printed.stderr, map(_without_reason, case.stderr_contains)),
    ):
        at = 0
        for part in bound:
            at = text.find(part, at)
            if at < 0:
                yield f"{name} lacks {part!r}"
                break


def _without_reason(text: str) -> str:
    """A refusal without what Go's library says of a value: which value, of which flag, is bound."""
    return text.partition('" flag: ')[0] if text.startswith("Error: invalid argument ") else text


def _bound_texts(case: Case) -> Iterator[str]:
    for text in case.stdout_contains:
        if text == _RECORDED_VERSION:
            yield f"{__version__}\n"
        elif case.group in _WORD_BY_WORD and case.status == 0:
            yield text
        else:
            yield from (found.group() for found in _WAITED_FOR.finditer(text))


_LATER = {
    "a file is checked as a whole, also for a command that needs only a part": (
        "l273 l274 l283 l284 l293 l294"
    ),
    "the proxy that http_proxy names is not used yet; a warning says so": "l229 l230 l233",
    "a server starts while its provider of OpenID Connect is down": "l244",
    "a number out of its range is refused when the file is read": "l235",
    "a visitor without its secret key is refused before anything is dialed": "l220",
    "a file of TLS that is not there is told when the file is read": "l253",
}

DEVIATIONS: Mapping[str, str] = {case: reason for reason, cases in _LATER.items() for case in cases.split()}
"""Cases in which relaykit differs on purpose, or for now, with the reason."""

STARTS = frozenset({"l244"})
"""Those in which frp ends, and relaykit starts and goes on."""
