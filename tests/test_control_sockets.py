"""Tests for where control sockets are."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.control_sockets import (
    control_folder,
    control_folders,
    is_socket_of,
    reachable_path,
    socket_name,
)
from relaykit.state import StateDirectory


class PlacesTests(SynchronousTestCase):
    """Tests for names and folders."""

    def test_names(self) -> None:
        """Roles and files have sockets of their own, however the path of a file is written."""
        path = Path(self.mktemp())
        path.write_text("")
        name = socket_name("client", str(path))
        self.assertEqual(name, socket_name("client", str(path.absolute())))
        others = {
            socket_name("server", str(path)),
            socket_name("client", f"{path}x"),
            socket_name("client", ""),
        }
        self.assertEqual(len(others | {name}), 4)
        self.assertTrue(is_socket_of("client", name))
        for role, other in (("server", name), ("client", f"{name}.lock"), ("client", "identity.pem")):
            self.assertFalse(is_socket_of(role, other))

    def test_folders(self) -> None:
        """What systemd has made comes first, then that of the user's session, then the state directory."""
        session = Path(self.mktemp()).absolute()
        session.mkdir()
        state = StateDirectory(Path("/state"))
        environ = {"RUNTIME_DIRECTORY": "/run/x:/run/y", "XDG_RUNTIME_DIR": str(session)}
        self.assertEqual(control_folder(environ, state), Path("/run/x"))
        del environ["RUNTIME_DIRECTORY"]
        self.assertEqual(control_folder(environ, state), session / "relaykit")
        self.assertEqual(control_folder({"XDG_RUNTIME_DIR": "/no/such"}, state), Path("/state"))
        self.assertIsNone(control_folder({}, None))
        self.assertEqual(
            list(control_folders({}, state, "client")),
            [Path("/state"), Path("/run/relaykit-client"), Path("/var/lib/relaykit-client")],
        )

    def test_deep_folder(self) -> None:
        """A socket can be reached in a folder whose path is longer than that of a socket may be."""
        folder = Path(self.mktemp()).absolute() / ("x" * 120)
        folder.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as dialing:
            with reachable_path(folder, "s") as path:
                listening.bind(path)
            listening.listen()
            with reachable_path(folder, "s") as path:
                dialing.connect(path)
        self.assertEqual(os.listdir(folder), ["s"])
