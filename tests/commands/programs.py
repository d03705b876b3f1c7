"""Programs that run, for commands that ask them: each answers what a test says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.control_sockets import LOOPBACK, LoopbackDoor, is_at_loopback, reachable_path, socket_name
from relaykit.values import Secret
from tests.commands.terminal import Printed, run_printed

__all__ = ["AskingTestCase", "FakeProgram"]


class FakeProgram:
    """Answers at a control socket, once for each connection that asks something.

    :param answers: by the beginning of what is asked, such as ``GET /control/status``: what is answered as
        JSON, bytes that are answered as they are, or the status and the JSON of a failure.
    """

    def __init__(self, folder: Path, name: str, answers: Mapping[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self._answers = answers
        path = folder / name
        self._socket = self._at_loopback(path) if is_at_loopback(path) else self._at(path)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it; its socket stays."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _at(self, path: Path) -> socket.socket:
        bound = socket.socket(socket.AF_UNIX)
        with reachable_path(path.parent, path.name) as reachable:
            bound.bind(reachable)
        return bound

    def _at_loopback(self, path: Path) -> socket.socket:
        bound = socket.socket()
        bound.bind((LOOPBACK, 0))
        path.write_bytes(LoopbackDoor(bound.getsockname()[1], Secret("s3cret")).dump())
        return bound

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                if head := connection.recv(10_000):
                    asked = head.split(b" HTTP")[0].decode()
                    self.asked.append(asked)
                    self.heads.append(head)
                    connection.sendall(self._answer(asked))

    def _answer(self, asked: str) -> bytes:
        answer = next(answer for words, answer in self._answers.items() if asked.startswith(words))
        if isinstance(answer, bytes):
            return answer
        status, told = answer if isinstance(answer, tuple) else (200, answer)
        body = json.dumps(told).encode()
        return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class AskingTestCase(SynchronousTestCase):
    """Has a folder of control sockets."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def program(self, role: str, answers: Mapping[str, Any], config: str = "c.toml") -> FakeProgram:
        """A program that runs until the end of the test."""
        program = FakeProgram(self.folder, socket_name(role, config), answers)
        self.addCleanup(program.stop)
        return program

    def ask(self, *words: str, on_terminal: bool = False) -> Printed:
        """Runs a command."""
        return run_printed([*words, "--state-dir", str(self.folder)], on_terminal=on_terminal)
