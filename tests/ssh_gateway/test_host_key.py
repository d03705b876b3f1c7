"""Tests for :mod:`relaykit.ssh_gateway.host_key`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from twisted.conch.ssh.keys import Key
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import SshTunnelGateway
from relaykit.errors import RelaykitError
from relaykit.ssh_gateway.host_key import FILE_NAME, load_or_create
from relaykit.state import StateDirectory


def rsa_pem(bits: int) -> bytes:
    """A key as frp makes them."""
    return rsa.generate_private_key(65537, bits).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


class HostKeyTests(SynchronousTestCase):
    """Tests for :func:`load_or_create`."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.state = StateDirectory(self.folder / "state")

    def load(self, **keys: str) -> Key:
        """The key that a configuration with these keys gives."""
        given: dict[str, Any] = {"auto_gen_private_key_path": "", **keys}
        return load_or_create(SshTunnelGateway(bind_port=1, **given), self.state)

    def test_kept(self) -> None:
        """It is made once, and kept where only its owner reads it."""
        first = self.load()
        self.assertEqual(first.sshType(), b"ssh-ed25519")
        self.assertEqual(self.load().fingerprint(), first.fingerprint())
        mode = stat.S_IMODE(os.stat(self.folder / "state" / FILE_NAME).st_mode)
        self.assertEqual(mode, 0o600)

    def test_no_state(self) -> None:
        """Where nothing can be kept there is a new one each time, and a warning."""
        gateway = SshTunnelGateway(bind_port=1, auto_gen_private_key_path="")
        with capturedLogs() as logs:
            one, other = (load_or_create(gateway, None) for _ in range(2))
        self.assertNotEqual(one.fingerprint(), other.fingerprint())
        self.assertEqual(len(logs), 2)

    def test_of_frp(self) -> None:
        """A key that frp has made is used on; one is made at the path that is given."""
        path = self.folder / "frp"
        path.write_bytes(rsa_pem(2048))
        self.assertEqual(self.load(auto_gen_private_key_path=str(path)).sshType(), b"ssh-rsa")
        made = self.folder / "made"
        made.touch()
        first = self.load(auto_gen_private_key_path=str(made))
        self.assertEqual(self.load(auto_gen_private_key_path=str(made)).fingerprint(), first.fingerprint())
        self.assertEqual(stat.S_IMODE(made.stat().st_mode), 0o600)
        self.assertFalse((self.folder / "state").exists())

    def test_private_key_file(self) -> None:
        """A file that is named comes first."""
        path = self.folder / "key"
        path.write_bytes(rsa_pem(2048))
        self.assertEqual(self.load(private_key_file=str(path)).sshType(), b"ssh-rsa")

    def test_unusable(self) -> None:
        """What cannot be used is named, with its key and its file."""
        path = self.folder / "key"
        sealed = ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.BestAvailableEncryption(b"secret"),
        )
        public = ed25519.Ed25519PrivateKey.generate().public_key()
        for content, why in (
            (b"", "no private key"),
            (b"junk", "no private key"),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "no private"),
            (sealed, "passphrase"),
            (
                public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
                "public",
            ),
            (rsa_pem(1024), "too weak"),
            (b"x" * 100_000, "larger"),
        ):
            path.write_bytes(content)
            error = self.assertRaises(RelaykitError, self.load, private_key_file=str(path))
            self.assertIn("sshTunnelGateway.privateKeyFile: ", str(error))
            self.assertIn(why, str(error))
            self.assertIn(str(path), str(error))
        for keys in (
            {"private_key_file": str(self.folder / "none")},
            {"auto_gen_private_key_path": str(self.folder / "none" / "key")},
        ):
            self.assertIn("none", str(self.assertRaises(RelaykitError, self.load, **keys)))
