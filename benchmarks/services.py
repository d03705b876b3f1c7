"""The services behind every subject.

nginx, an echo server and one that counts datagrams are started once; iperf3, once for each load.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from benchmarks.certificates import write_certificates
from benchmarks.programs import (
    Program,
    find_program,
    free_ports,
    wait_for_datagram_echo,
    wait_for_listener,
    wait_for_port,
    wait_for_site,
)
from benchmarks.sink import Counter

__all__ = ["DOWNLOAD", "SITES", "TLS_SITE", "ServicePorts", "Services", "SitePorts", "start_services"]

SITES = tuple(f"site-{number}.example" for number in range(10))
"""The hosts of the service for HTTP, where users say which one they want."""

TLS_SITE = "localhost"
"""That of the service for HTTP with TLS: the name that wrk asks for is the one that it dials."""

DOWNLOAD = "/download"
"""The path of something large."""

DOWNLOAD_BYTES = 1 << 36
"""Its size, none of which is on a disk: more than is ever taken of it."""

_NGINX = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl backlog=4096;
        ssl_certificate {files.certificate};
        ssl_certificate_key {files.key};
        ssl_session_tickets off;
        location / {{ return 200 "hello from behind the relay\\n"; }}
        location {download} {{ root {directory}; }}
    }}
}}
"""


@frozen
class ServicePorts:
    """Where the services are reached, directly or through a subject."""

    bulk: int
    http: int
    echo: int
    datagram_sink: int
    datagram_echo: int
    datagram_source: int


@frozen
class SitePorts:
    """Where :data:`SITES` and :data:`TLS_SITE` are reached, directly or at ports that sites share."""

    http: int
    https: int


@frozen
class Services:
    """The running services; :meth:`bulk` and :meth:`flood` start those on their ports."""

    ports: ServicePorts
    sites: SitePorts
    arrived: Counter
    """The datagrams that reached their sink, the service or users."""
    sent: Counter
    """Those that floods sent."""
    _programs: tuple[Program, ...]
    _directory: Path

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Runs iperf3's server: a new one each time, because one whose test was cut short stays busy."""
        command = ["iperf3", "-s", "-B", "127.0.0.1", "-p", str(self.ports.bulk)]
        program = Program("iperf3", command, self._directory / "iperf3.log")
        try:
            wait_for_listener(self.ports.bulk, program)
            yield
        finally:
            program.stop()

    @contextmanager
    def flood(self, public: ServicePorts, flows: int, down: bool) -> Iterator[Sequence[Program]]:
        """Has so many users sent more datagrams than arrive, or (``down``) send them to the service."""
        arrived, sent = str(self.arrived.file), str(self.sent.file)
        if down:
            commands = [
                ["flood", "down", str(self.ports.datagram_source), str(flows), arrived, sent],
                ["sink", str(public.datagram_source), arrived, str(flows)],
            ]
        else:
            commands = [["flood", "up", str(public.datagram_sink), str(flows), arrived, sent]]
        with ExitStack() as stack:
            programs = []
            for name, *arguments in commands:
                command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
                programs.append(Program(name, command, self._directory / f"flood-{name}.log"))
                stack.callback(programs[-1].stop)
            yield programs

    def stop(self) -> None:
        """Ends them."""
        for program in self._programs:
            program.stop()


def start_services(directory: Path) -> Services:
    """Starts the services on free ports.

    :raises ProgramFailed: one is not installed, or does not start.
    """
    bulk, http, https, echo, datagram_sink, datagram_echo, datagram_source = free_ports(7)
    arrived, sent = Counter(directory / "arrived"), Counter(directory / "sent")
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _NGINX.format(
            directory=directory,
            port=http,
            tls_port=https,
            files=write_certificates(directory),
            download=DOWNLOAD,
        )
    )
    # nginx reads it as another user where it is started by root.
    directory.chmod(0o755)
    with Path(f"{directory}{DOWNLOAD}").open("wb") as download:
        download.truncate(DOWNLOAD_BYTES)
    python = [sys.executable, "-m"]
    nginx = find_program("nginx") or "/usr/sbin/nginx"
    programs = (
        Program("nginx", [nginx, "-p", str(directory), "-c", str(configuration)], directory / "nginx.log"),
        Program("echo", [*python, "benchmarks.echo", str(echo), str(datagram_echo)], directory / "echo.log"),
        Program(
            "sink",
            [*python, "benchmarks.sink", str(datagram_sink), str(arrived.file)],
            directory / "sink.log",
        ),
    )
    ports = ServicePorts(bulk, http, echo, datagram_sink, datagram_echo, datagram_source)
    services = Services(ports, SitePorts(http, https), arrived, sent, programs, directory)
    try:
        wait_for_port(http, programs[0])
        wait_for_site(https, TLS_SITE, programs[0], tls=True)
        wait_for_port(echo, programs[1])
        wait_for_datagram_echo(datagram_echo, programs[1])
    except BaseException:
        services.stop()
        raise
    return services
