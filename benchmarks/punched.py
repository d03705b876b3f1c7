"""Two clients behind routers of a laboratory, and users of the one on the other's machine.  Root only."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from benchmarks.programs import Program, ProgramFailed
from relaykit.errors import RelaykitError
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import entered, run, why_not, within

__all__ = ["BULK", "ECHO", "STUN_ADDRS", "Meeting", "Punched", "meet"]

BULK, ECHO = 5201, 7
"""Ports of the services, and of their visitors: each machine has all ports."""

_ROUTERS = ("port", "port")
"""The routers of most homes: one outer port for all destinations, which only those who were sent to reach."""

_SERVER_PORT = 7000
_STUN_PORT = 3478

STUN_ADDRS = f"stunAddrs = {list(SERVER)}\n".replace("'", '"')
"""The line of our server's configuration by which it is a STUN server that frp's clients make use of."""

_KEY = "a secret of both clients"

_CLIENT = f"""
serverAddr = "{SERVER[0]}"
serverPort = {_SERVER_PORT}
natHoleStunServer = "{SERVER[0]}:{_STUN_PORT}"
"""
_PROXY = """
[[proxies]]
name = "service-{port}"
type = "xtcp"
localPort = {port}
secretKey = "{key}"
"""
_VISITOR = """
[[visitors]]
name = "visitor-{port}"
type = "xtcp"
serverName = "service-{port}"
secretKey = "{key}"
bindPort = {port}
"""

_QUIET_S = 5.0
"""Time until clients know their network: they were started before somebody comes."""

_TIMEOUT_S = 20.0

_START_S = 60.0
"""How long a program may take until it listens: nothing is measured meanwhile."""

_LOOK_EVERY_S = 0.1
"""Time between two looks at the ports of a program that starts."""


@frozen
class Meeting:
    """Whose programs meet how."""

    server: Sequence[str]
    client: Sequence[str]
    server_lines: str = ""
    proxy_lines: str = ""
    visitor_lines: str = ""


@frozen
class Punched:
    """Clients that have not met yet: the first user makes them."""

    clients: tuple[Program, ...]
    """The service's, then the visitor's."""
    stop: Callable[[], None]
    _lab: NatLab
    _directory: Path

    def first_byte_s(self) -> float:
        """Seconds until a user's first byte comes back."""
        with entered(self._lab.space("ca")):
            begun = time.perf_counter()
            user = socket.create_connection(("127.0.0.1", ECHO), _TIMEOUT_S)
        with user:
            user.sendall(b"x")
            if user.recv(1) != b"x":
                raise ProgramFailed("the clients did not meet")
            return time.perf_counter() - begun

    def iperf(self, arguments: Sequence[str]) -> list[str]:
        """A command of a user of the service for transfers."""
        return [*within(self._lab.space("ca")), "iperf3", "-c", "127.0.0.1", "-p", str(BULK), *arguments]

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Runs that service: a new one each time, because one whose test was cut short stays busy."""
        command = [*within(self._lab.space("cb")), "iperf3", "-s", "-p", str(BULK)]
        program = Program("iperf3", command, self._directory / "iperf3.log")
        try:
            _wait_for_listener(self._lab.space("cb"), BULK, program)
            yield
        finally:
            program.stop()


def meet(meeting: Meeting, token: str, directory: Path) -> Punched:
    """Starts a laboratory, the server in it, and both clients, and waits until a user can come.

    :raises ProgramFailed: there cannot be one here, or a program does not start.
    """
    why = why_not()
    if why:
        raise ProgramFailed(why)
    lab = NatLab(*_ROUTERS)
    stack = ExitStack()
    try:
        lab.up()
        stack.callback(lab.down)
        machines = _Machines(lab, directory, token, stack)
        machines.start_servers(meeting)
        clients = machines.start_clients(meeting)
        time.sleep(_QUIET_S)
    except BaseException as error:
        stack.close()
        if isinstance(error, RelaykitError):
            raise ProgramFailed(f"the laboratory cannot be made: {error}") from error
        raise
    return Punched(clients, stack.close, lab, directory)


@frozen
class _Machines:
    """Starts programs in a laboratory; they end with the stack."""

    lab: NatLab
    directory: Path
    token: str
    stack: ExitStack

    def start_servers(self, meeting: Meeting) -> None:
        """The relay server, a STUN server that suits frp's clients, and a service that echoes."""
        lines = f'bindAddr = "0.0.0.0"\nbindPort = {_SERVER_PORT}\n{meeting.server_lines}'
        self._start("s", "server", [*meeting.server, *self._configured("server", lines)], _SERVER_PORT)
        lines = f'bindAddr = "0.0.0.0"\nbindPort = {_STUN_PORT}\n{STUN_ADDRS}'
        relaykit = [sys.executable, "-m", "relaykit", "server"]
        self._start("s", "stun", [*relaykit, *self._configured("stun", lines)], _STUN_PORT)
        self._start("cb", "echo", [sys.executable, "-m", "benchmarks.echo", str(ECHO), str(ECHO)], ECHO)

    def start_clients(self, meeting: Meeting) -> tuple[Program, ...]:
        """The client of the services, whose proxies are there then, and that of their visitors."""
        ports = (BULK, ECHO)
        proxies = "".join(_PROXY.format(port=port, key=_KEY) + meeting.proxy_lines for port in ports)
        visitors = "".join(_VISITOR.format(port=port, key=_KEY) + meeting.visitor_lines for port in ports)
        owner = self._start("cb", "owner", [*meeting.client, *self._configured("owner", _CLIENT + proxies)])
        _wait_until(lambda: owner.output().count("start proxy success") == len(ports), "is ready", owner)
        command = [*meeting.client, *self._configured("visitor", _CLIENT + visitors)]
        return owner, self._start("ca", "visitor", command, *ports)

    def _start(self, role: str, name: str, command: Sequence[str], *ports: int) -> Program:
        """A program on a machine, which listens on these ports then."""
        program = Program(name, [*within(self.lab.space(role)), *command], self.directory / f"{name}.log")
        self.stack.callback(program.stop)
        for port in ports:
            _wait_for_listener(self.lab.space(role), port, program)
        return program

    def _configured(self, name: str, lines: str) -> list[str]:
        file = self.directory / f"{name}.toml"
        file.write_text(f'auth.token = "{self.token}"\n{lines}')
        return ["-c", str(file)]


def _wait_for_listener(space: str, port: int, program: Program) -> None:
    """Waits until a program listens on a port in a namespace, without connecting to it."""
    command = [*within(space), "ss", "-Hltn", f"sport = :{port}"]
    _wait_until(lambda: bool(run(command)), f"listens on port {port}", program)


def _wait_until(is_so: Callable[[], bool], what: str, program: Program) -> None:
    deadline = time.monotonic() + _START_S
    while not is_so():
        program.check()
        if time.monotonic() > deadline:
            raise ProgramFailed(f"not so in time: {program.name} {what}:\n{program.output()[-2000:]}")
        time.sleep(_LOOK_EVERY_S)
