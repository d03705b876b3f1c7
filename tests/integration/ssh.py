"""An sshd of a test's own, and a client that knows it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.integration.programs import PATIENCE_S, Program, ProgramFailed, free_port
from tests.integration.walkthrough import HOST, WalkTestCase, path_of

__all__ = ["SshServer", "Sshd"]

_ALIAS = "behind-the-nat"


class Sshd:
    """A server on a port of the loopback, of this machine or where ``within`` leads.

    Its files are in a folder that is made for them.

    :ivar client: the command line of its user, up to the port and the name of the host.
    """

    def __init__(self, folder: Path, port: int, within: Sequence[str] = ()) -> None:
        sshd, ssh, keygen = map(path_of, ("sshd", "ssh", "ssh-keygen"))
        self.port = port
        self._within = within
        folder.mkdir(mode=0o700)
        for key in ("host", "user"):
            make_key = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(make_key, check=True, timeout=PATIENCE_S)
        (folder / "authorized_keys").write_bytes((folder / "user.pub").read_bytes())
        (folder / "known_hosts").write_text(f"{_ALIAS} {(folder / 'host.pub').read_text()}")
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            "PermitRootLogin yes\n"
        )
        (folder / "ssh_config").write_text(
            f"Host *\n  HostName 127.0.0.1\n  HostKeyAlias {_ALIAS}\n  IdentityFile {folder}/user\n"
            f"  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
        )
        self.client = (ssh, "-F", f"{folder}/ssh_config")
        self.program = Program((*within, sshd, "-D", "-e", "-f", f"{folder}/sshd_config"), folder)

    def wait(self) -> None:
        """Waits until its user gets in without relaykit.

        :raises SkipTest: it lets nobody in here; for it has no folder, or the account is locked.
        """
        if not self._lets_in():
            raise SkipTest(f"sshd lets nobody in on this machine: {self.program.output}")

    def _lets_in(self) -> bool:
        try:
            self.program.wait_for(f"Server listening on 127.0.0.1 port {self.port}")
        except ProgramFailed:
            return False
        direct = [*self._within, *self.client, "-p", str(self.port), HOST, "true"]
        done = subprocess.run(
            direct, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE_S
        )
        return done.returncode == 0


class SshServer(Sshd):
    """One on the machine of a reader, who finds ``ssh`` on the path: it knows the server as :data:`HOST`."""

    def __init__(self, case: WalkTestCase) -> None:
        super().__init__(case.folder / "sshd", free_port())
        case.addCleanup(self.program.stop)
        case.command("ssh", f'exec {" ".join(self.client)} "$@" "echo reached \\$SSH_CONNECTION"')
        self.wait()
