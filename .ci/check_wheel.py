"""Installs a built wheel into a fresh virtual environment and checks what a user would see first."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

SERVICES = ("relaykit-server", "relaykit-client")
PROXY_TYPES = ("tcp", "stcp")
PAGES = ("server.html", "client.js", "style.css", "overview.js", "uplot.js", "LICENSES.txt")


def main(dist: Path) -> int:
    """Checks the only wheel in ``dist``; answers the exit code."""
    (wheel,) = dist.glob("*.whl")
    with tempfile.TemporaryDirectory(prefix="relaykit-wheel-") as directory:
        venv.create(directory, with_pip=True)
        installed = Path(directory)
        programs = installed / "bin"

        def run(*command: str) -> str:
            # Run elsewhere than in the checkout, whose own plugins would be found.
            done = subprocess.run(
                [str(programs / command[0]), *command[1:]],
                cwd=directory,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
            return done.stdout + done.stderr

        run("pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
        problems = []
        for program in ("twist", "twistd"):
            text = run(program, "--help")
            problems += [f"{program} --help does not list {name}" for name in SERVICES if name not in text]
        (cache,) = installed.glob("lib/python*/site-packages/twisted/plugins/dropin.cache")
        if b"relaykit_dropin" not in cache.read_bytes():
            problems.append("Twisted's plugin cache was not written anew")
        text = run("relaykit", "plugins")
        problems += [f"relaykit plugins does not list {name}" for name in PROXY_TYPES if name not in text]
        version = run("relaykit", "--version").strip()
        if version.split()[-1:] != [wheel.name.split("-")[1]]:
            problems.append(f"relaykit --version says {version!r}, the wheel is {wheel.name}")
        pages = [
            path.name
            for path in installed.glob("lib/python*/site-packages/relaykit/administration/static/**/*")
        ]
        problems += [f"{name} of the dashboards is not installed" for name in PAGES if name not in pages]
        if not (installed / "share" / "man" / "man1" / "relaykit.1").is_file():
            problems.append("the manual page is not installed")
        run("pip", "uninstall", "--quiet", "--yes", "relaykit")
        left = [str(path) for path in installed.glob("lib/python*/site-packages/**/*relaykit*.py")]
        problems += [f"left behind by uninstalling: {path}" for path in left]
        run("twist", "--help")
    for problem in problems:
        print(problem)
    print(f"{wheel.name}: {'not good' if problems else 'installs, lists its plugins, runs, uninstalls'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
