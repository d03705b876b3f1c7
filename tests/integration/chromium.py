"""A headless Chromium that a test leads through pages, by the DevTools protocol over pipes.

Source: https://chromedevtools.github.io/devtools-protocol/, and ``--remote-debugging-pipe`` of Chromium.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.programs import PATIENCE_S

__all__ = ["BROWSERS", "Chromium", "found_browser"]

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""What Chromium is called, here and there."""

_TOLD = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


def found_browser() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Chromium:
    """One page in a browser of its own, which the test ends."""

    def __init__(self, program: str, folder: Path, headers: dict[str, str]) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        words = (
            *(program, "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
            # It sees its own pages only, and machines may lack what its sandbox or its memory takes.
            *("--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile"),
            "--remote-debugging-pipe",
        )
        self._process = subprocess.Popen(
            ("sh", "-c", f'exec "$0" "$@" 3<&{commands} 4>&{answers}', *words),
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(commands, answers),
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = itertools.count(1)
        self._read = b""
        self._session = ""
        self.complaints: list[str] = []
        """What the pages have said on their console, and what the browser has said of them."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Network.setExtraHTTPHeaders", headers=headers)

    def end(self) -> None:
        """Ends it, with all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Has something done, and answers what came of it."""
        number = next(self._numbers)
        said: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            said["sessionId"] = self._session
        os.write(self._commands, json.dumps(said).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            told = self._next(deadline)
            if told.get("id") == number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result

    def show(self, width: int, dark: bool = False) -> None:
        """Goes on with a window of this width, and light or dark colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=media)

    def open(self, url: str) -> None:
        """Goes to a page, from anywhere."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page, or of what it promises."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait_for(self, script: str, holds: Callable[[Any], bool] = bool) -> Any:
        """Waits until an expression has a value that will do."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(value := self.evaluate(script)):
            assert time.monotonic() < deadline, (script, value, self.evaluate("document.body.innerText"))
            time.sleep(0.05)
        return value

    def press(self, key: str) -> None:
        """Presses and lets go of a key."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_CODES[key]
            )

    def picture(self) -> bytes:
        """The page as a PNG, as far as the window shows it."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._answers, 1 << 16)
            assert piece, "the browser has ended"
            self._read += piece
        message, _, self._read = self._read.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        if told.get("method") in _TOLD and told["params"].get("entry", {}).get("level") != "info":
            self.complaints.append(json.dumps(told["params"]))
        return told


_CODES = {"Tab": 9, "Enter": 13, "Escape": 27}
