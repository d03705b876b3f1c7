"""A server, a client and what they publish, for a test: ours, or frp's at one of the two ends."""

from __future__ import annotations

import itertools
import json
import resource
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.interfaces import ICarrier
from relaykit.plugins import Carriers
from tests.integration.programs import FORKED, PATIENCE_S, Program, free_ports, relaykit_command
from tests.integration.traffic import LOOPBACK, Service, echo

__all__ = [
    "NOTHING",
    "PATIENT",
    "SECRET_KEY",
    "TOKEN",
    "Published",
    "RelayTestCase",
    "Table",
    "Way",
    "every_way",
]

TOKEN = "a token for tests"
SECRET_KEY = "a key for tests"

Table = Mapping[str, Any]
"""A part of a configuration file; keys with dots stand for tables in tables."""

NOTHING: Table = MappingProxyType({})

PATIENT: Table = MappingProxyType({"userConnTimeout": 10 * int(PATIENCE_S)})
"""What keeps a server from letting users go because a client, or the machine, took its time."""


@frozen
class Way:
    """One combination of what a client can choose."""

    wire: str
    tls: bool
    mux: bool
    transforms: bool = False
    """Whether work connections and visits are encrypted and compressed."""
    carrier: str = "tcp"
    """``transport.protocol`` of the client."""

    @property
    def name(self) -> str:
        """For the names of tests."""
        return "_".join(
            (
                *((self.carrier,) if self.carrier != "tcp" else ()),
                self.wire,
                "tls" if self.tls else "plain",
                "mux" if self.mux else "nomux",
                *(("transforms",) if self.transforms else ()),
            )
        )

    def server(self, bind_port: int) -> Table:
        """What it takes at the server, whose clients find each carrier at the same number.

        :raises SkipTest: the carrier needs what is not installed here.
        """
        carrier = self._carrier
        own_port = {f"{carrier.name}BindPort": bind_port} if carrier.capabilities.own_port else {}
        return {"transport.tcpMux": self.mux, **own_port}

    @property
    def client(self) -> Table:
        """What it takes at the client."""
        unverified = {"transport.websocket.verifyCertificate": False} if self.carrier == "wss" else {}
        return {
            **unverified,
            "transport.wireProtocol": self.wire,
            "transport.tls.enable": self.tls,
            "transport.tcpMux": self.mux,
            "transport.protocol": self.carrier,
        }

    @property
    def is_muxed(self) -> bool:
        """Whether all streams of a session share one connection."""
        return self.mux or self._carrier.capabilities.streams

    @property
    def tells_ends(self) -> bool:
        """Whether an end hears from the system that the program at the other one is gone."""
        return not self._carrier.capabilities.own_port

    def server_pings(self, interval_s: int) -> Table:
        """What makes a server notice within two intervals that a client is silent."""
        return self._pings(interval_s) or {"transport.heartbeatTimeout": 2 * interval_s}

    def client_pings(self, interval_s: int) -> Table:
        """The same for a client and a silent server."""
        return self._pings(interval_s) or {"transport.heartbeatInterval": interval_s}

    def _pings(self, interval_s: int) -> Table:
        if self._carrier.capabilities.streams:
            own = f"transport.{self.carrier}"
            return {f"{own}.keepalivePeriod": interval_s, f"{own}.maxIdleTimeout": 2 * interval_s}
        return {"transport.tcpMuxKeepaliveInterval": interval_s} if self.mux else NOTHING

    @property
    def _carrier(self) -> ICarrier:
        """What it is.

        :raises SkipTest: it needs what is not installed here.
        """
        carrier = Carriers.installed().get(self.carrier)
        if lack := carrier.lacks():
            raise SkipTest(f"{carrier.name} {lack}")
        return carrier

    @property
    def flow(self) -> Table:
        """What it takes at a proxy or a visitor."""
        return {
            "transport.useEncryption": self.transforms,
            "transport.useCompression": self.transforms,
        }


def every_way(
    *wires: str,
    transforms: Sequence[bool] = (False, True),
    tls: Sequence[bool] = (False, True),
    mux: Sequence[bool] = (False, True),
    carrier: str = "tcp",
) -> Iterator[Way]:
    """Every combination with these versions of the wire."""
    for each in itertools.product(wires, tls, mux, transforms):
        yield Way(*each, carrier=carrier)


@frozen
class Published:
    """One local service that is published twice, and where users find it."""

    tcp: int
    """The port on the server."""
    stcp: int
    """The port of the visitor."""
    client: Program


class RelayTestCase(SynchronousTestCase):
    """Starts programs, services and users, and ends all of them after the test."""

    server_command: tuple[str, ...] = relaykit_command("frps")
    client_command: tuple[str, ...] = relaykit_command("frpc")

    def setUp(self) -> None:
        """Makes a folder for what the programs write."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        # The STUN server of relaykit has the next one, too.
        self.bind_port, _ = free_ports(2)
        self._numbers = itertools.count(1)
        self._programs: list[Program] = []

    def allow_descriptors(self, count: int) -> None:
        """Lets this process, and the programs that it starts, have so many; else skips the test."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < count:
            raise SkipTest(f"{count} descriptors are needed, and {hard} are allowed (ulimit -Hn)")
        if soft != resource.RLIM_INFINITY and soft < count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    # --- programs -------------------------------------------------------------------------------

    def write_configuration(self, table: Table) -> str:
        """Writes a configuration file; answers its path."""
        path = self.folder / f"{next(self._numbers)}.json"
        path.write_text(json.dumps(_nested(table)))
        return str(path)

    def start(
        self, command: Sequence[str], table: Table, environ: Mapping[str, str] | None = None
    ) -> Program:
        """Starts a role with this configuration; what it said is beside it after the test."""
        return self.start_file(command, self.write_configuration(table), environ=environ)

    def start_file(
        self,
        command: Sequence[str],
        path: str,
        sockets: Sequence[socket.socket] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Program:
        """The same for a configuration file that is there."""
        is_plain = not sockets and tuple(command[: len(relaykit_command())]) == relaykit_command()
        program = Program((*command, "-c", path), self.folder, environ, sockets, FORKED and is_plain)
        self.addCleanup(lambda: Path(path).with_suffix(".log").write_text(program.output))
        self.end_with_test(program)
        return program

    def end_with_test(self, program: Program) -> None:
        """Ends a program after the test, and looks at what it said."""
        self._programs.append(program)
        self.addCleanup(self._check_no_defect, program)
        self.addCleanup(self._stop, program)

    def start_server(self, table: Table = NOTHING, command: Sequence[str] = ()) -> Program:
        """A server that is ready; its users wait for as long as it takes."""
        server = self.start(
            command or self.server_command,
            {"bindAddr": LOOPBACK, "bindPort": self.bind_port, "auth.token": TOKEN, **PATIENT, **table},
        )
        server.wait_for("started successfully")
        return server

    def start_client(
        self,
        table: Table = NOTHING,
        proxies: Sequence[Table] = (),
        visitors: Sequence[Table] = (),
        command: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Program:
        """A client of that server; whoever starts it waits for what it needs."""
        return self.start(
            command or self.client_command,
            {
                "serverAddr": LOOPBACK,
                "serverPort": self.bind_port,
                "auth.token": TOKEN,
                "proxies": [_nested(each) for each in proxies],
                "visitors": [_nested(each) for each in visitors],
                **table,
            },
            environ,
        )

    def stop_programs(self) -> None:
        """Ends all that were started so far."""
        for program in self._programs:
            self._stop(program)

    def publish(self, way: Way, service: Service, where: Published | None = None) -> Published:
        """A client that publishes a service as ``tcp`` and as ``stcp``, and visits the latter."""
        tcp, stcp = (where.tcp, where.stcp) if where else free_ports(2)
        client = self.start_client(
            way.client,
            [
                {"name": "open", "type": "tcp", "localPort": service.port, "remotePort": tcp, **way.flow},
                {
                    "name": "secret",
                    "type": "stcp",
                    "localPort": service.port,
                    "secretKey": SECRET_KEY,
                    **way.flow,
                },
            ],
            [
                {
                    "name": "visitor",
                    "type": "stcp",
                    "serverName": "secret",
                    "secretKey": SECRET_KEY,
                    "bindPort": stcp,
                    **way.flow,
                }
            ],
        )
        self.wait_published(client)
        return Published(tcp, stcp, client)

    def wait_published(self, client: Program, times: int = 1) -> None:
        """Waits until what :meth:`publish` publishes can be reached, for the so-manieth time."""
        client.wait_for("start proxy success", 2 * times)
        client.wait_for("start visitor success")

    # --- services and users ---------------------------------------------------------------------

    def start_service(self, serve: Callable[[socket.socket], None] = echo, **where: Any) -> Service:
        """A local service."""
        service = Service(serve, **where)
        self.addCleanup(service.stop)
        return service

    def wait_for_it(self, is_so: Callable[[], bool]) -> None:
        """Waits for what a program does on its own."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            self.assertLess(time.monotonic(), deadline, "it does not get so")
            time.sleep(0.02)

    def _stop(self, program: Program) -> None:
        """Ends a program, which does not wait for flows that another one keeps open."""
        for each in self._programs:
            each.terminate()
        program.stop()

    def _check_no_defect(self, program: Program) -> None:
        """Whatever happened to it, no program may have run into a defect of its own."""
        for sign in ("Traceback", "a defect", "panic:"):
            self.assertNotIn(sign, program.output)


def _nested(table: Table) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in table.items():
        inner = nested
        *parents, last = key.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return nested
