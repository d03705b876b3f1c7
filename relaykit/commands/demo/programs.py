"""Programs of ours on machines of a laboratory: each with a file of its own, heard by its log."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from relaykit.commands.demo.namespaces import entered
from relaykit.errors import RelaykitError

__all__ = ["Event", "Programs"]

Event: TypeAlias = Mapping[str, Any]
"""The fields of a log event, as the log has them in JSON."""

_LAST_LINES = 5
"""Lines of no event that are kept, for the case that a program ends: they say why."""

_REMOVER = 'cat; rm -rf "$0"'
"""Removes a folder once whoever has the other end of its pipe is gone, in whichever way."""


@define(eq=False)
class Programs:
    """Starts them, and ends all.  Whatever becomes of this process, neither they nor their files are left.

    :param on_event: is told who says what.
    :param on_lost: is told that a program has ended by itself.
    """

    _reactor: Any
    _environ: Mapping[str, str]
    _on_event: Callable[[str, Event], None]
    _on_lost: Callable[[RelaykitError], None]
    folder: Path = field(init=False, factory=lambda: Path(tempfile.mkdtemp(prefix="relaykit-demo-")))
    """Where their files are."""
    _remover: subprocess.Popen[bytes] = field(init=False)
    _running: list[_Program] = field(factory=list, init=False)
    _awaited: list[tuple[str, Callable[[Event], bool], Deferred[None]]] = field(factory=list, init=False)

    @_remover.default
    def _start_remover(self) -> subprocess.Popen[bytes]:
        command = ["sh", "-c", _REMOVER, str(self.folder)]
        # In a session of its own no Ctrl-C ends it.
        return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def start(self, name: str, role: str, configuration: str, where: str) -> None:
        """Starts a server or client in a namespace."""
        file = self.folder / f"{name}.toml"
        file.write_text(configuration)
        relaykit = [sys.executable, "-m", "relaykit", role, "-c", str(file)]
        command = ["setpriv", "--pdeathsig", "KILL", *relaykit, "--state-dir", str(self.folder / name)]
        program = _Program(lambda event: self._said(name, event), lambda why: self._ended(name, why))
        with entered(where):
            self._reactor.spawnProcess(program, command[0], command, self._environ)
        self._running.append(program)

    def when(self, name: str, is_it: Callable[[Event], bool]) -> Deferred[None]:
        """Fires at the next event of a program that is the one."""
        awaited: Deferred[None] = Deferred()
        self._awaited.append((name, is_it, awaited))
        return awaited

    def end(self) -> Deferred[Any]:
        """Ends all at once, and removes their files; fires when it is done."""
        self._awaited.clear()
        running, self._running = self._running, []
        return DeferredList([each.kill() for each in running]).addCallback(self._remove_files)

    def _remove_files(self, _: object) -> None:
        assert self._remover.stdin is not None, "it has a pipe"
        self._remover.stdin.close()
        self._remover.wait()

    def _said(self, name: str, event: Event) -> None:
        self._on_event(name, event)
        for awaited in tuple(self._awaited):
            who, is_it, deferred = awaited
            if who == name and is_it(event):
                self._awaited.remove(awaited)
                deferred.callback(None)

    def _ended(self, name: str, why: str) -> None:
        if self._running:
            self._on_lost(RelaykitError(f"the program of the {name} has ended: {why}", problem="demo"))


class _Program(ProcessProtocol):
    """One program whose output is events in JSON."""

    def __init__(self, on_event: Callable[[Event], None], on_end: Callable[[str], None]) -> None:
        self._on_event = on_event
        self._on_end = on_end
        self._rest = b""
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._gone: Deferred[None] = Deferred()

    def kill(self) -> Deferred[None]:
        """Ends it; fires when it is gone.  It need not end in order: what it keeps is removed, too."""
        if self.transport is not None and not self._gone.called:
            self.transport.signalProcess("KILL")
        return self._gone

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                self._on_event(json.loads(line))
            except ValueError:
                self._last.append(line.decode(errors="replace"))

    def errReceived(self, data: bytes) -> None:
        self._last.extend(data.decode(errors="replace").splitlines())

    def processEnded(self, reason: Failure) -> None:
        self._gone.callback(None)
        self._on_end(" ".join([reason.getErrorMessage(), *self._last]))
