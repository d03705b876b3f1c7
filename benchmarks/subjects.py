"""What is compared: each subject starts both of its ends and says where users dial."""

from __future__ import annotations

import enum
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path

from attrs import astuple, evolve, frozen

from benchmarks.certificates import write_certificates
from benchmarks.far_line import FAR, NEAR, READY
from benchmarks.programs import (
    Program,
    find_program,
    free_ports,
    wait_for_datagram_echo,
    wait_for_echo,
    wait_for_listener,
    wait_for_port,
    wait_for_site,
    wait_for_words,
)
from benchmarks.punched import BULK, ECHO, STUN_ADDRS, Meeting, Punched, meet
from benchmarks.services import SITES, TLS_SITE, ServicePorts, Services, SitePorts

__all__ = [
    "FAR_LOSS",
    "LIMITS",
    "MODES",
    "TOKEN",
    "Running",
    "Stage",
    "Subject",
    "available_subjects",
    "site_proxy",
]

TOKEN = "benchmark-benchmark-benchmark"

SLOW_LINE_BYTES_A_SECOND = 2_500_000
"""20 Mbit/s each way: an ordinary connection of a home."""

MODES: Mapping[str, tuple[str, str]] = {
    "default": ("", ""),
    "mux": ("", "transport.tls.enable = false\n"),
    "plain": ("transport.tcpMux = false\n", "transport.tcpMux = false\ntransport.tls.enable = false\n"),
}
"""Lines that a mode adds to the server's and to the client's configuration, for frp and for relaykit:
``default`` is TLS and mux, ``mux`` has no TLS, ``plain`` neither."""


_CARRIERS: Mapping[str, str] = {
    "websocket": 'transport.protocol = "websocket"\n',
    "websocket-plain": 'transport.protocol = "websocket"\ntransport.tls.enable = false\n',
    "quic": 'transport.protocol = "quic"\n',
    "kcp": 'transport.protocol = "kcp"\n',
}
"""Lines that have a client reach its server in another way, for frp and for relaykit; with mux, where the
carrier has no streams of its own."""

_WSS = 'transport.protocol = "wss"\ntransport.websocket.verifyCertificate = false\n'
"""The same for what frp's server does not do."""

_PORT_KEYS: Mapping[str, str] = {"quic": "quicBindPort", "kcp": "kcpBindPort"}
"""Keys of a server's configuration for carriers that need a port of UDP; it may have the same number."""

_FRP_WIRE = 'transport.wireProtocol = "v1"\n'
"""Where one end is frp's: the version that frp itself uses by default.  The other costs its end more."""

_PROXIES = (
    ("bulk", "tcp"),
    ("http", "tcp"),
    ("echo", "tcp"),
    ("datagram-sink", "udp"),
    ("datagram-echo", "udp"),
    ("datagram-source", "udp"),
)
"""Name and type of what each subject publishes, in the order of :class:`ServicePorts`."""

LIMITS = (1, 20, 100)
"""Limits of bandwidth, in MB (1,048,576 bytes) a second, to which frp and relaykit hold the service for HTTP,
too, in the mode ``default``."""


class Stage(enum.Enum):
    """What a subject is started for: the loads of one stage are put on the same start, one by one."""

    STREAMS = "one port for each service"
    DATAGRAMS = "the same, and no streams before: flows of datagrams linger"
    SITES = "ports that sites share, which are told apart by their names"
    SLOW_LINE = "only a slow line between its two ends"
    FAR = "its two ends 20 ms apart, there and back"
    FAR_LOSS_05 = "the same, and 0.5 % of the packets are lost"
    FAR_LOSS_2 = "the same with 2 %"
    PUNCHED = "two clients behind routers of a laboratory, who meet past the server"
    ABUSE = "attacked by strangers and by a client, its log as talkative as by default"


FAR_LOSS: Mapping[Stage, float] = {Stage.FAR: 0.0, Stage.FAR_LOSS_05: 0.005, Stage.FAR_LOSS_2: 0.02}
"""The part of the packets that far lines lose."""

_FAR_DELAY_S = 0.01
"""How late they are, in each direction."""

_EVERYWHERE = frozenset(Stage) - {Stage.ABUSE, Stage.PUNCHED, *FAR_LOSS}

_OF_CARRIERS = frozenset({Stage.STREAMS, *FAR_LOSS})

_CONGESTION = "cubic"
"""How TCP finds out its speed on far lines, unless a subject says otherwise: as on nearly every machine."""


@frozen
class Running:
    """A started subject."""

    ports: ServicePorts
    programs: tuple[Program, ...]
    first_byte_ms: float | None = None
    """From the start of its first program to the first echoed byte."""
    line: Program | None = None
    """The slow or far line between its two ends, if there is one."""
    limited: Mapping[int, int] = {}
    """Where the service for HTTP is held to a limit, by the limit."""
    sites: SitePorts | None = None
    """Where sites are, if it was started for them."""
    bind: int = 0
    """The port that clients log in at, and strangers reach."""
    add_client: Callable[[str, str], Program] | None = None
    """Starts one more client, by a name, with these proxies; its output tells of each that is there."""
    punched: Punched | None = None
    """The laboratory, if it was started for one; then its programs are both clients."""

    def stop(self) -> None:
        """Ends it, the client first."""
        if self.punched is not None:
            self.punched.stop()
            return
        for program in reversed(self.programs):
            program.stop()
        if self.line is not None:
            self.line.stop()

    def cpu_seconds(self) -> float:
        """Processor time of both ends so far."""
        return sum(program.cpu_seconds() for program in self.programs)


Start = Callable[[Path, Services, Stage], Running]


@frozen
class _Reached:
    """Where a server listens, and what its clients dial."""

    bound: str
    dialed: str


_LOOPBACK = _Reached("127.0.0.1", "127.0.0.1")
_FAR = _Reached(NEAR, FAR)


@frozen
class Subject:
    """Something to measure; ``start`` gets an empty directory."""

    name: str
    title: str
    version: str
    start: Start
    stages: Set[Stage] = _EVERYWHERE
    """What it can be started for, and is compared in."""


def available_subjects() -> list[Subject]:
    """The direct loopback, relaykit, and each peer that is found, in every mode; frp also with our ends."""
    found = [Subject("direct", "direct", "", _direct, _EVERYWHERE - {Stage.SLOW_LINE})]
    relaykit = [sys.executable, "-m", "relaykit"]
    server, client = [*relaykit, "server"], [*relaykit, "client"]
    version = _version(*relaykit, "--version")
    for mode in MODES:
        start = _frp_like(server, client, mode)
        found.append(Subject(f"relaykit-{mode}", f"relaykit {mode}", version, start, _stages(mode)))
    start = _frp_like(server, client, "default", congestion="bbr")
    found.append(Subject("relaykit-bbr", "relaykit default, BBR", version, start, FAR_LOSS.keys()))
    for name, lines in (*_CARRIERS.items(), ("wss", _WSS)):
        start = _frp_like(server, client, "default", lines, _PORT_KEYS.get(name, ""))
        found.append(Subject(f"relaykit-{name}", f"relaykit {name}", version, start, _OF_CARRIERS))
    frps, frpc = find_program("frps", "RELAYKIT_FRP_BIN"), find_program("frpc", "RELAYKIT_FRP_BIN")
    if frps and frpc:
        for name, title, start in (
            ("relaykit-frpc", "relaykit + frpc", _frp_like(server, [frpc], "default", _FRP_WIRE)),
            ("frps-relaykit", "frps + relaykit", _frp_like([frps], client, "default", _FRP_WIRE)),
        ):
            found.append(Subject(name, title, version, start, {Stage.DATAGRAMS}))
        for mode in MODES:
            start = _frp_like([frps], [frpc], mode)
            found.append(Subject(f"frp-{mode}", f"frp {mode}", _version(frps, "-v"), start, _stages(mode)))
        for name, lines in _CARRIERS.items():
            start = _frp_like([frps], [frpc], "default", lines, _PORT_KEYS.get(name, ""))
            found.append(Subject(f"frp-{name}", f"frp {name}", _version(frps, "-v"), start, _OF_CARRIERS))
    found += _punched_subjects(server, client, version, frps or "", frpc or "")
    rathole = find_program("rathole", "RELAYKIT_RATHOLE_BIN")
    if rathole:
        version = _version(rathole, "--version")
        stages = _EVERYWHERE - {Stage.SITES}
        found.append(Subject("rathole-plain", "rathole plain", version, _rathole(rathole, tls=False), stages))
        found.append(Subject("rathole-tls", "rathole TLS", version, _rathole(rathole, tls=True), stages))
    return found


def _punched_subjects(
    server: list[str], client: list[str], version: str, frps: str, frpc: str
) -> Iterable[Subject]:
    """Own ends that meet as they like best, and, as frp's do, our clients and its own at its server."""
    own = 'peers = "relaykit"\n'
    best = Meeting(server, client, STUN_ADDRS, own, own)
    yield Subject("relaykit-punched", "relaykit punched", version, _meeting(best), {Stage.PUNCHED})
    if not (frps and frpc):
        return
    for protocol in ("quic", "kcp"):
        lines = f'protocol = "{protocol}"\n'
        for name, program, its in (
            ("relaykit", client, version),
            ("frp", [frpc], _version(frps, "-v")),
        ):
            start = _meeting(Meeting([frps], program, visitor_lines=lines))
            title = f"{name} xtcp {protocol.upper()}"
            yield Subject(f"{name}-xtcp-{protocol}", title, its, start, {Stage.PUNCHED})


def _meeting(meeting: Meeting) -> Start:
    def start(directory: Path, services: Services, stage: Stage) -> Running:
        punched = meet(meeting, TOKEN, directory)
        ports = evolve(services.ports, bulk=BULK, echo=ECHO)
        return Running(ports, punched.clients, punched=punched)

    return start


def _stages(mode: str) -> Set[Stage]:
    """A server takes every mode at its bind port, so it is attacked in one only; so is far away only one."""
    return _EVERYWHERE | {Stage.ABUSE, *FAR_LOSS} if mode == "default" else _EVERYWHERE


def _direct(directory: Path, services: Services, stage: Stage) -> Running:
    return Running(services.ports, (), sites=services.sites)


def _frp_like(
    server: list[str],
    client: list[str],
    mode: str,
    more_client_lines: str = "",
    port_key: str = "",
    congestion: str = _CONGESTION,
) -> Start:
    server_lines, client_lines = MODES[mode]
    client_lines += more_client_lines

    def start(directory: Path, services: Services, stage: Stage) -> Running:
        bind, *remote = free_ports(1 + len(_PROXIES))
        limited = dict(zip(LIMITS, free_ports(len(LIMITS)), strict=True)) if mode == "default" else {}
        sites = SitePorts(*free_ports(2)) if stage is Stage.SITES else None
        reached, dialed, line = _LOOPBACK, bind, None
        if stage is Stage.SLOW_LINE:
            dialed, line = _line_to(bind, directory)
        elif stage in FAR_LOSS:
            reached, line = _FAR, _far_line(FAR_LOSS[stage], congestion, directory)
        level = "info" if stage is Stage.ABUSE else "warn"
        server_file = directory / "server.toml"
        server_file.write_text(
            f'bindAddr = "{reached.bound}"\nbindPort = {bind}\nproxyBindAddr = "127.0.0.1"\n'
            f'auth.token = "{TOKEN}"\nlog.level = "{level}"\n{server_lines}'
            + (f"{port_key} = {bind}\n" if port_key else "")
            + (f"vhostHTTPPort = {sites.http}\nvhostHTTPSPort = {sites.https}\n" if sites else "")
        )

        def client_command(name: str, log_level: str, proxies: str) -> list[str]:
            file = directory / f"{name}.toml"
            file.write_text(
                f'serverAddr = "{reached.dialed}"\nserverPort = {dialed}\nauth.token = "{TOKEN}"\n'
                f'log.level = "{log_level}"\nlog.disablePrintColor = true\n{client_lines}{proxies}'
            )
            return [*client, "-c", str(file)]

        def add_client(name: str, proxies: str) -> Program:
            return Program(name, client_command(name, "info", proxies), directory / f"{name}.log")

        proxies = "".join(
            f'\n[[proxies]]\nname = "{name}"\ntype = "{kind}"\nlocalPort = {local}\nremotePort = {public}\n'
            for (name, kind), local, public in zip(_PROXIES, astuple(services.ports), remote, strict=True)
        )
        proxies += "".join(
            f'\n[[proxies]]\nname = "limited-{limit}"\ntype = "tcp"\nlocalPort = {services.ports.http}\n'
            f'remotePort = {public}\ntransport.bandwidthLimit = "{limit}MB"\n'
            for limit, public in limited.items()
        )
        if sites:
            proxies += site_proxy("site", "http", services.sites.http, SITES)
            proxies += site_proxy("tls-site", "https", services.sites.https, [TLS_SITE])
        running = _start_both(
            directory,
            [*server, "-c", str(server_file)],
            client_command("client", "warn", proxies),
            (reached.bound, bind),
            ServicePorts(*remote),
            line,
            sites,
        )
        return evolve(running, bind=bind, limited=limited, add_client=add_client)

    return start


def site_proxy(name: str, kind: str, local: int, domains: Iterable[str]) -> str:
    """The lines of a proxy that is told apart by the names of hosts, in a client's configuration."""
    listed = ", ".join(f'"{domain}"' for domain in domains)
    return (
        f'\n[[proxies]]\nname = "{name}"\ntype = "{kind}"\nlocalPort = {local}\ncustomDomains = [{listed}]\n'
    )


def _rathole(program: str, *, tls: bool) -> Start:
    def start(directory: Path, services: Services, stage: Stage) -> Running:
        bind, *remote = free_ports(1 + len(_PROXIES))
        dialed, line = _line_to(bind, directory) if stage is Stage.SLOW_LINE else (bind, None)
        server_file, client_file = directory / "server.toml", directory / "client.toml"
        server_transport = client_transport = ""
        if tls:
            files = write_certificates(directory)
            server_transport = (
                '[server.transport]\ntype = "tls"\n[server.transport.tls]\n'
                f'pkcs12 = "{files.pkcs12}"\npkcs12_password = "{files.password}"\n'
            )
            client_transport = (
                '[client.transport]\ntype = "tls"\n[client.transport.tls]\n'
                f'trusted_root = "{files.authority}"\nhostname = "localhost"\n'
            )
        server_file.write_text(
            f'[server]\nbind_addr = "127.0.0.1:{bind}"\ndefault_token = "{TOKEN}"\n{server_transport}'
            + "".join(
                f'[server.services.{name}]\ntype = "{kind}"\nbind_addr = "127.0.0.1:{public}"\n'
                for (name, kind), public in zip(_PROXIES, remote, strict=True)
            )
        )
        client_file.write_text(
            f'[client]\nremote_addr = "127.0.0.1:{dialed}"\ndefault_token = "{TOKEN}"\n{client_transport}'
            + "".join(
                f'[client.services.{name}]\ntype = "{kind}"\nlocal_addr = "127.0.0.1:{local}"\n'
                for (name, kind), local in zip(_PROXIES, astuple(services.ports), strict=True)
            )
        )
        return _start_both(
            directory,
            [program, "--server", str(server_file)],
            [program, "--client", str(client_file)],
            (_LOOPBACK.bound, bind),
            ServicePorts(*remote),
            line,
        )

    return start


def _line_to(bind: int, directory: Path) -> tuple[int, Program]:
    """Starts a slow line to a port; the port to dial instead."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.line", str(port), str(bind), str(SLOW_LINE_BYTES_A_SECOND)]
    line = Program("line", command, directory / "line.log")
    try:
        wait_for_listener(port, line)
    except BaseException:
        line.stop()
        raise
    return port, line


def _far_line(loss: float, congestion: str, directory: Path) -> Program:
    """Starts a far line, whose ends are always the same two addresses."""
    command = [sys.executable, "-m", "benchmarks.far_line", str(_FAR_DELAY_S), str(loss), congestion]
    line = Program("line", command, directory / "line.log")
    try:
        wait_for_words(READY, line)
    except BaseException:
        line.stop()
        raise
    return line


def _start_both(
    directory: Path,
    server_command: list[str],
    client_command: list[str],
    bind: tuple[str, int],
    ports: ServicePorts,
    line: Program | None,
    sites: SitePorts | None = None,
) -> Running:
    begun = time.perf_counter()
    server = Program("server", server_command, directory / "server.log")
    programs = [server]
    try:
        wait_for_port(bind[1], server, host=bind[0])
        programs.append(Program("client", client_command, directory / "client.log"))
        wait_for_echo(ports.echo, *programs)
        first_byte_ms = (time.perf_counter() - begun) * 1e3
        for port in (ports.bulk, ports.http):
            wait_for_port(port, *programs)
        wait_for_datagram_echo(ports.datagram_echo, *programs)
        if sites:
            wait_for_site(sites.http, SITES[-1], *programs)
            wait_for_site(sites.https, TLS_SITE, *programs, tls=True)
    except BaseException:
        Running(ports, tuple(programs), line=line).stop()
        raise
    return Running(ports, tuple(programs), first_byte_ms, line, sites=sites)


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found[0] if found else "unknown"
