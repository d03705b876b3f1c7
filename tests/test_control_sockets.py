"""Tests for where control sockets are."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.control_sockets import (
    LoopbackDoor,
    control_folder,
    control_folders,
    is_at_loopback,
    is_socket_of,
    reachable_path,
    socket_name,
)
from relaykit.state import StateDirectory
from relaykit.values import Secret


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


class LoopbackDoorTests(SynchronousTestCase):
    """Tests for :class:`LoopbackDoor`."""

    def test_file(self) -> None:
        """What is written is read; its secret is seen nowhere else."""
        door = LoopbackDoor(49152, Secret("s3cret"))
        self.assertEqual(LoopbackDoor.parse(door.dump()), door)
        self.assertNotIn("s3cret", repr(door))
        self.assertEqual(door.authorization, "Basic OnMzY3JldA==")

    def test_no_file(self) -> None:
        """Anything else is refused, wherever it ends."""
        whole = LoopbackDoor(49152, Secret("s3cret")).dump()
        others = [b"[]", b"7", b'{"port": 0, "token": "s"}', b'{"port": 65536, "token": "s"}']
        others += [b'{"port": true, "token": "s"}', b'{"port": 1, "token": ""}', b"\xff", b'{"port": "1"}']
        for content in (*others, *(whole[:end] for end in range(len(whole)))):
            with self.subTest(content=content):
                self.assertRaises(ValueError, LoopbackDoor.parse, content)

    def test_names(self) -> None:
        """The file is told from a socket by its name."""
        self.assertTrue(is_at_loopback(Path("/s/control-client-x.port")))
        self.assertTrue(is_socket_of("client", "control-client-x.port"))
        self.assertFalse(is_at_loopback(Path("/s/control-client-x.sock")))
