"""The loads: each answers figures of one run, by name of measure."""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import frozen

from benchmarks.abuse import suffer
from benchmarks.attacks import ATTACKS
from benchmarks.limits import deviation, longest_burst, watch_download
from benchmarks.programs import ProgramFailed
from benchmarks.services import SITES, TLS_SITE, Services
from benchmarks.sites import asks_for, idle_users, wait_until_registered
from benchmarks.subjects import FAR_LOSS, LIMITS, TOKEN, Running, Stage, site_proxy

__all__ = ["EXTRA", "LOADS", "MEASURES", "Load", "Measure", "parse_iperf", "parse_wrk"]

HTTP_CONNECTIONS = 50
HELD_CONNECTIONS = 500
FLOOD_FLOWS = 50
DATAGRAM_FLOWS = 10_000
PING_BYTES = 64
PING_ROUNDS = 4000
CHURN_CONNECTIONS = 100_000
IDLE_USERS = 10_000
PROXIES = 2000
DOMAINS = 10_000
DOMAINS_A_PROXY = 100
"""As many as have room in a message of frp's: 10 KiB."""

_GIB = 1 << 30
_GBIT, _MBIT = 1e9, 1e6
_MB = 1 << 20
_SETTLE_S = 0.5
"""Quiet time before memory is read, and between two loads of which one leaves much to do."""

_MOST_SETTLES = 60
"""How often that is waited for, until both ends have nothing more to do: a bound, for one that never has."""

_BUSY_PART = 0.1
"""The part of a processor that both ends together use at most when they have nothing to do."""

_FILLING_S = 4.0
"""Time until a transfer has filled every buffer on the way."""

_WATCHED_S = 4.0
"""Time for a few answers that each take more than a second."""

_ATTACKED_S = 5.0
"""Time for so many users that the slowest hundredth of them is more than one."""

_LIMIT_S = 5.0
"""Time over which a limit must be kept to."""

_TIMEOUT_S = 10.0

_RAMP_S = 2.0
"""Time until a flood has found out how much is too much."""

_TRIES = 5
"""How often a datagram is sent until it counts as not answered."""

_TRY_S = 2.0
"""Time that the answers of all flows get until those without one try again."""

_ASKED_AT_ONCE = 25
"""Flows that begin without a pause: what any socket buffer has room for."""

_ASKED_A_SECOND = 5000
"""Flows that begin in a second."""


@frozen
class Measure:
    """One row of the result."""

    title: str
    unit: str
    more_is_better: bool = True


_TOLD_OF_ATTACKS = (
    ("before-p50", "a new user before, median", "ms"),
    ("before-p99", "a new user before, 99th percentile", "ms"),
    ("p50", "a new user, median", "ms"),
    ("p99", "a new user, 99th percentile", "ms"),
    ("cpu", "CPU of the server", "%"),
    ("memory", "growth of the server", "MB"),
    ("log", "log, of the attacker's bytes", "%"),
    ("rate", "the attacker's bytes", "MB/s"),
)

_FAR: Mapping[Stage, str] = {Stage.FAR: "far", Stage.FAR_LOSS_05: "far-0.5", Stage.FAR_LOSS_2: "far-2"}
"""What the names of loads over far lines begin with."""


def _far_measures(stage: Stage) -> Iterator[tuple[str, Measure]]:
    """What is measured over a far line."""
    where = f"20 ms, {FAR_LOSS[stage] * 100:g} % lost"
    for name, title, unit in (
        ("bulk-1-up", "bulk, 1 stream, to the service", "CPU-s/GiB"),
        ("bulk-1-down", "bulk, 1 stream, to the user", "CPU-s/GiB"),
        ("keep-alive", "HTTP keep-alive, 50 connections", "CPU-us/req"),
        ("connections", "HTTP, one connection a request", "CPU-us/req"),
    ):
        rate = "Mbit/s" if name.startswith("bulk") else "req/s"
        yield f"{_FAR[stage]}-{name}", Measure(f"{where}: {title}", rate)
        yield f"{_FAR[stage]}-{name}-cpu", Measure(f"{where}: {title}: CPU", unit, False)
    yield f"{_FAR[stage]}-first-byte", Measure(f"{where}: start of both ends to the first byte", "ms", False)


MEASURES: Mapping[str, Measure] = {
    "bulk-1-up": Measure("bulk, 1 stream, to the service", "Gbit/s"),
    "bulk-1-down": Measure("bulk, 1 stream, to the user", "Gbit/s"),
    "bulk-10-up": Measure("bulk, 10 streams, to the service", "Gbit/s"),
    "bulk-10-down": Measure("bulk, 10 streams, to the user", "Gbit/s"),
    "bulk-1-up-cpu": Measure("bulk, 1 stream, to the service: CPU", "CPU-s/GiB", False),
    "bulk-1-down-cpu": Measure("bulk, 1 stream, to the user: CPU", "CPU-s/GiB", False),
    "bulk-10-up-cpu": Measure("bulk, 10 streams, to the service: CPU", "CPU-s/GiB", False),
    "bulk-10-down-cpu": Measure("bulk, 10 streams, to the user: CPU", "CPU-s/GiB", False),
    "keep-alive": Measure("HTTP keep-alive, 50 connections", "req/s"),
    "keep-alive-cpu": Measure("HTTP keep-alive: CPU", "CPU-us/req", False),
    "connections": Measure("HTTP, one connection a request", "req/s"),
    "connections-cpu": Measure("HTTP, one connection a request: CPU", "CPU-us/req", False),
    "ping-p50": Measure("ping-pong of 64 bytes, median", "us", False),
    "ping-p99": Measure("ping-pong of 64 bytes, 99th percentile", "us", False),
    **{f"limit-{limit}": Measure(f"limit of {limit} MB/s, deviation", "%", False) for limit in LIMITS},
    **{
        f"limit-{limit}-burst": Measure(f"limit of {limit} MB/s, longest burst", "ms", False)
        for limit in LIMITS
    },
    "slow-line": Measure("ping-pong while a transfer fills a line of 20 Mbit/s, median", "ms", False),
    "datagrams-1": Measure("datagrams of 1,200 bytes, 1 flow, to the service, delivered", "/s"),
    "datagrams-1-offered": Measure("datagrams of 1,200 bytes, 1 flow, to the service, offered", "/s"),
    "datagrams-1-cpu": Measure(
        "datagrams of 1,200 bytes, 1 flow, to the service: CPU", "CPU-us/delivered", False
    ),
    "datagrams-50": Measure("datagrams of 1,200 bytes, 50 flows, to the service, delivered", "/s"),
    "datagrams-50-offered": Measure("datagrams of 1,200 bytes, 50 flows, to the service, offered", "/s"),
    "datagrams-50-cpu": Measure(
        "datagrams of 1,200 bytes, 50 flows, to the service: CPU", "CPU-us/delivered", False
    ),
    "datagrams-1-down": Measure("datagrams of 1,200 bytes, 1 flow, to the user, delivered", "/s"),
    "datagrams-1-down-offered": Measure("datagrams of 1,200 bytes, 1 flow, to the user, offered", "/s"),
    "datagrams-1-down-cpu": Measure(
        "datagrams of 1,200 bytes, 1 flow, to the user: CPU", "CPU-us/delivered", False
    ),
    "datagrams-50-down": Measure("datagrams of 1,200 bytes, 50 flows, to the user, delivered", "/s"),
    "datagrams-50-down-offered": Measure("datagrams of 1,200 bytes, 50 flows, to the user, offered", "/s"),
    "datagrams-50-down-cpu": Measure(
        "datagrams of 1,200 bytes, 50 flows, to the user: CPU", "CPU-us/delivered", False
    ),
    "datagram-ping-p50": Measure("ping-pong of a datagram of 64 bytes, median", "us", False),
    "datagram-ping-p99": Measure("ping-pong of a datagram of 64 bytes, 99th percentile", "us", False),
    "datagram-flows": Measure("datagram flows at once, of 10,000, answered", "flows"),
    "datagram-flows-server": Measure("memory per datagram flow, server", "KB", False),
    "datagram-flows-client": Measure("memory per datagram flow, client", "KB", False),
    "http-keep-alive": Measure("site, keep-alive, 50 connections", "req/s"),
    "http-keep-alive-cpu": Measure("site, keep-alive: CPU", "CPU-us/req", False),
    "http-connections": Measure("site, one connection a request", "req/s"),
    "http-connections-cpu": Measure("site, one connection a request: CPU", "CPU-us/req", False),
    "https-connections": Measure("site with TLS of its own, new connections", "/s"),
    "https-connections-cpu": Measure("site with TLS of its own: CPU", "CPU-us/connection", False),
    "http-idle-server": Measure("site, 10,000 idle users: memory, server", "MB", False),
    "http-idle-client": Measure("site, 10,000 idle users: memory, client", "MB", False),
    "proxies": Measure("2,000 sites of one client, from its login to the last one", "s", False),
    "routes-10": Measure("sites, 10 domains", "req/s"),
    "routes-10000": Measure("sites, 10 of 10,000 domains", "req/s"),
    "routes-ratio": Measure("sites, of 10,000 domains / of 10", "ratio"),
    "idle-server": Measure("idle memory, server", "MB", False),
    "idle-client": Measure("idle memory, client", "MB", False),
    "held-server": Measure("memory per held connection, server", "KB", False),
    "held-client": Measure("memory per held connection, client", "KB", False),
    "first-byte": Measure("start of both ends to the first echoed byte", "ms", False),
    "churn-server": Measure("memory after 100,000 connections / after 10,000, server", "ratio", False),
    "churn-client": Measure("memory after 100,000 connections / after 10,000, client", "ratio", False),
    **{name: measure for stage in FAR_LOSS for name, measure in _far_measures(stage)},
    "punched-first-byte": Measure("direct path: a first user's first echoed byte", "ms", False),
    "punched-up": Measure("direct path: bulk, to the service", "Gbit/s"),
    "punched-down": Measure("direct path: bulk, to the user", "Gbit/s"),
    "punched-up-cpu": Measure("direct path: bulk, to the service: CPU of both ends", "CPU-s/GiB", False),
    "punched-down-cpu": Measure("direct path: bulk, to the user: CPU of both ends", "CPU-s/GiB", False),
    **{
        f"{attack}-{told}": Measure(f"{attack}: {title}", unit, False)
        for attack in ATTACKS
        for told, title, unit in _TOLD_OF_ATTACKS
    },
}
"""Every measure, in the order of the table."""

Figures = dict[str, float]


@frozen
class Load:
    """Puts a running subject under load for about so many seconds and measures."""

    name: str
    run: Callable[[Running, Services, float], Figures]
    stage: Stage = Stage.STREAMS
    """What the subject is started for."""


def parse_iperf(report: str) -> tuple[float, int]:
    """Bits a second and bytes that arrived, from iperf3's JSON.

    :raises ProgramFailed: it reports an error.
    """
    parsed = json.loads(report)
    if "error" in parsed:
        raise ProgramFailed(f"iperf3: {parsed['error']}")
    received = parsed["end"]["sum_received"]
    return float(received["bits_per_second"]), int(received["bytes"])


def parse_wrk(report: str) -> tuple[float, int]:
    """Requests a second and requests, from wrk's report.

    :raises ProgramFailed: requests failed, or none was answered.
    """
    if re.search(r"Socket errors: connect [1-9]|Non-2xx", report):
        raise ProgramFailed(f"wrk: {report}")
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", report, re.MULTILINE)
    total = re.search(r"^\s+(\d+) requests in", report, re.MULTILINE)
    if rate is None or total is None or not int(total[1]):
        raise ProgramFailed(f"wrk: {report}")
    return float(rate[1]), int(total[1])


def _bulk(streams: int, down: bool, stage: Stage = Stage.STREAMS) -> Load:
    name = _named(f"bulk-{streams}-{'down' if down else 'up'}", stage)
    unit = _MBIT if stage in _FAR else _GBIT

    def run(running: Running, services: Services, seconds: float) -> Figures:
        command = ["iperf3", "-c", "127.0.0.1", "-p", str(running.ports.bulk), "-J"]
        command += ["-t", f"{seconds:.0f}", "-P", str(streams), *(["-R"] if down else [])]
        with services.bulk():
            before = running.cpu_seconds()
            bits_a_second, content = parse_iperf(_output(command, seconds))
        return {name: bits_a_second / unit} | _spent(name, running, before, content / _GIB)

    return Load(name, run, stage)


def _http(name: str, *, close: bool, stage: Stage = Stage.STREAMS) -> Load:
    name = _named(name, stage)

    def run(running: Running, services: Services, seconds: float) -> Figures:
        before = running.cpu_seconds()
        rate, requests = _wrk(f"http://127.0.0.1:{running.ports.http}/", seconds, close=close)
        return {name: rate} | _spent(name, running, before, requests / 1e6)

    return Load(name, run, stage)


def _first_byte(stage: Stage) -> Load:
    """From the start of both ends to a user's first byte, with all handshakes."""
    name = _named("first-byte", stage)

    def run(running: Running, services: Services, seconds: float) -> Figures:
        assert running.first_byte_ms is not None, "nothing was started"
        return {name: running.first_byte_ms}

    return Load(name, run, stage)


def _far_loads(stage: Stage) -> Iterator[Load]:
    yield _first_byte(stage)
    yield _bulk(1, down=False, stage=stage)
    yield _bulk(1, down=True, stage=stage)
    yield _http("keep-alive", close=False, stage=stage)
    yield _http("connections", close=True, stage=stage)


def _named(name: str, stage: Stage) -> str:
    return f"{_FAR[stage]}-{name}" if stage in _FAR else name


def _ping(running: Running, services: Services, seconds: float) -> Figures:
    message = bytes(PING_BYTES)
    took = []
    with socket.create_connection(("127.0.0.1", running.ports.echo), _TIMEOUT_S) as user:
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(PING_ROUNDS):
            begun = time.perf_counter()
            user.sendall(message)
            _receive(user, PING_BYTES)
            took.append(time.perf_counter() - begun)
    percentiles = statistics.quantiles(took[PING_ROUNDS // 10 :], n=100)
    return {"ping-p50": percentiles[49] * 1e6, "ping-p99": percentiles[98] * 1e6}


def _flood(flows: int, *, down: bool = False) -> Load:
    """More datagrams than can be carried: what arrives of them, and what each one costs both ends."""
    name = f"datagrams-{flows}{'-down' if down else ''}"

    def run(running: Running, services: Services, seconds: float) -> Figures:
        with services.flood(running.ports, flows, down) as programs:
            time.sleep(_RAMP_S)
            spent, arrived, sent = running.cpu_seconds(), services.arrived.read(), services.sent.read()
            begun = time.perf_counter()
            time.sleep(seconds)
            took = time.perf_counter() - begun
            arrived, sent = services.arrived.read() - arrived, services.sent.read() - sent
            figures = _spent(name, running, spent, max(arrived, 1) / 1e6)
            for program in programs:
                program.check()
        return {name: arrived / took, f"{name}-offered": sent / took} | figures

    return Load(name, run, Stage.DATAGRAMS)


def _datagram_ping(running: Running, services: Services, seconds: float) -> Figures:
    message = bytes(PING_BYTES)
    took = []
    with _datagram_user(running) as user:
        user.settimeout(_TIMEOUT_S)
        for _ in range(PING_ROUNDS):
            begun = time.perf_counter()
            user.send(message)
            user.recv(PING_BYTES)
            took.append(time.perf_counter() - begun)
    percentiles = statistics.quantiles(took[PING_ROUNDS // 10 :], n=100)
    return {"datagram-ping-p50": percentiles[49] * 1e6, "datagram-ping-p99": percentiles[98] * 1e6}


def _datagram_flows(running: Running, services: Services, seconds: float) -> Figures:
    """Very many users at once, each of which asks until it is answered, and stays."""
    _allow_many_sockets()
    time.sleep(_SETTLE_S)
    before = [program.resident_bytes() for program in running.programs]
    users: dict[int, socket.socket] = {}
    with ExitStack() as stack:
        poller = stack.enter_context(select.epoll())
        for _ in range(DATAGRAM_FLOWS):
            user = stack.enter_context(_datagram_user(running))
            user.setblocking(False)
            users[user.fileno()] = user
            poller.register(user, select.EPOLLIN)

        def take_answers(timeout: float) -> None:
            for descriptor, _ in poller.poll(timeout):
                with suppress(OSError):
                    users[descriptor].recv(PING_BYTES)
                    poller.unregister(users.pop(descriptor))

        for _ in range(_TRIES):
            for number, user in enumerate(list(users.values()), 1):
                with suppress(OSError):
                    user.send(bytes(PING_BYTES))
                if number % _ASKED_AT_ONCE == 0:
                    time.sleep(_ASKED_AT_ONCE / _ASKED_A_SECOND)
                    take_answers(0)
            until = time.monotonic() + _TRY_S
            while users and time.monotonic() < until:
                take_answers(_TRY_S / 10)
        time.sleep(_SETTLE_S)
        after = [program.resident_bytes() for program in running.programs]
    figures = {"datagram-flows": float(DATAGRAM_FLOWS - len(users))}
    for role, early, late in zip(("server", "client"), before, after, strict=False):
        figures[f"datagram-flows-{role}"] = (late - early) / DATAGRAM_FLOWS / 1e3
    return figures


def _site(name: str, *, tls: bool, close: bool) -> Load:
    def run(running: Running, services: Services, seconds: float) -> Figures:
        if running.sites is None:
            return {}
        if tls:
            url, more = f"https://{TLS_SITE}:{running.sites.https}/", []
        else:
            url, more = f"http://127.0.0.1:{running.sites.http}/", ["-H", f"Host: {SITES[0]}"]
        before = running.cpu_seconds()
        rate, requests = _wrk(url, seconds, *more, close=close)
        return {name: rate} | _spent(name, running, before, requests / 1e6)

    return Load(name, run, Stage.SITES)


def _site_idle(running: Running, services: Services, seconds: float) -> Figures:
    """Very many users who have asked once and stay connected."""
    if not running.programs or running.sites is None:
        return {}
    _allow_many_sockets()
    with idle_users(running.sites.http, SITES[0], IDLE_USERS):
        time.sleep(_SETTLE_S)
        resident = [program.resident_bytes() for program in running.programs]
    _settle(running)
    return {
        f"http-idle-{role}": each / 1e6 for role, each in zip(("server", "client"), resident, strict=True)
    }


def _site_proxies(running: Running, services: Services, seconds: float) -> Figures:
    """A client with very many proxies: from its login to the last of them that is there."""
    if running.add_client is None:
        return {}
    lines = "".join(
        site_proxy(f"many-{number}", "http", services.ports.http, [f"many-{number}.example"])
        for number in range(PROXIES)
    )
    client = running.add_client("many", lines)
    try:
        return {"proxies": wait_until_registered(client, PROXIES)}
    finally:
        client.stop()


def _routes(running: Running, services: Services, seconds: float) -> Figures:
    """The same requests, before and after a client has come with very many domains that nobody asks for."""
    if running.add_client is None or running.sites is None:
        return {}
    more = range(DOMAINS - len(SITES))
    lines = "".join(
        site_proxy(
            f"domains-{first}",
            "http",
            services.ports.http,
            [f"domain-{number}.example" for number in more[first : first + DOMAINS_A_PROXY]],
        )
        for first in more[::DOMAINS_A_PROXY]
    )
    url = f"http://127.0.0.1:{running.sites.http}/"
    with _script(asks_for(SITES)) as script:
        few, _ = _wrk(url, seconds, "-s", str(script))
        client = running.add_client("domains", lines)
        try:
            wait_until_registered(client, len(more[::DOMAINS_A_PROXY]))
            _settle(running)
            many, _ = _wrk(url, seconds, "-s", str(script))
        finally:
            client.stop()
        _settle(running)
    return {"routes-10": few, "routes-10000": many, "routes-ratio": many / few}


def _limits(running: Running, services: Services, seconds: float) -> Figures:
    figures = {}
    for limit, port in running.limited.items():
        arrivals = watch_download(port, max(seconds, _LIMIT_S))
        figures[f"limit-{limit}"] = deviation(arrivals, limit * _MB) * 100
        figures[f"limit-{limit}-burst"] = longest_burst(arrivals, limit * _MB) * 1e3
    return figures


def _slow_line(running: Running, services: Services, seconds: float) -> Figures:
    """An echo for one user while another one uploads as fast as the line lets it."""
    message = bytes(PING_BYTES)
    took = []
    with services.bulk():
        command = ["iperf3", "-c", "127.0.0.1", "-p", str(running.ports.bulk), "-t", "60"]
        transfer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            time.sleep(_FILLING_S)
            with socket.create_connection(("127.0.0.1", running.ports.echo), _TIMEOUT_S) as user:
                until = time.perf_counter() + max(seconds, _WATCHED_S)
                while (begun := time.perf_counter()) < until:
                    user.sendall(message)
                    _receive(user, PING_BYTES)
                    took.append(time.perf_counter() - begun)
            if transfer.poll() is not None:
                raise ProgramFailed("the transfer did not last")
        finally:
            transfer.kill()
            transfer.wait()
    return {"slow-line": statistics.median(took) * 1e3}


def _attack(attack: str) -> Load:
    def run(running: Running, services: Services, seconds: float) -> Figures:
        server, _ = running.programs
        told = suffer(attack, server, running.bind, TOKEN, running.ports.echo, max(seconds, _ATTACKED_S))
        _settle(running)
        return {f"{attack}-{what}": figure for what, figure in told.items()}

    return Load(attack, run, Stage.ABUSE)


def _punched_first_byte(running: Running, services: Services, seconds: float) -> Figures:
    """From a user's connection, for whom the clients have to meet first, to what comes back to him."""
    assert running.punched is not None, "started for something else"
    return {"punched-first-byte": running.punched.first_byte_s() * 1e3}


def _punched_bulk(name: str, *arguments: str) -> Load:
    def run(running: Running, services: Services, seconds: float) -> Figures:
        assert running.punched is not None, "started for something else"
        command = running.punched.iperf(["-J", "-t", f"{seconds:.0f}", *arguments])
        with running.punched.bulk():
            before = running.cpu_seconds()
            bits_a_second, content = parse_iperf(_output(command, seconds))
        return {name: bits_a_second / 1e9} | _spent(name, running, before, content / _GIB)

    return Load(name, run, Stage.PUNCHED)


def _memory(running: Running, services: Services, seconds: float) -> Figures:
    if not running.programs:
        return {}
    time.sleep(_SETTLE_S)
    idle = [program.resident_bytes() for program in running.programs]
    users = []
    try:
        for _ in range(HELD_CONNECTIONS):
            user = socket.create_connection(("127.0.0.1", running.ports.echo), _TIMEOUT_S)
            users.append(user)
            user.sendall(b"x")
        for user in users:
            _receive(user, 1)
        time.sleep(_SETTLE_S)
        held = [program.resident_bytes() for program in running.programs]
    finally:
        for user in users:
            user.close()
    figures = {}
    for role, before, after in zip(("server", "client"), idle, held, strict=True):
        figures[f"idle-{role}"] = before / 1e6
        figures[f"held-{role}"] = (after - before) / HELD_CONNECTIONS / 1e3
    return figures


def _churn(running: Running, services: Services, seconds: float) -> Figures:
    if not running.programs:
        return {}
    _make_connections(running, CHURN_CONNECTIONS // 10)
    early = [program.resident_bytes() for program in running.programs]
    _make_connections(running, CHURN_CONNECTIONS * 9 // 10)
    late = [program.resident_bytes() for program in running.programs]
    return {f"churn-{role}": b / a for role, a, b in zip(("server", "client"), early, late, strict=True)}


LOADS: Mapping[str, Load] = {
    load.name: load
    for load in (
        Load("memory", _memory),
        Load("ping", _ping),
        _bulk(1, down=False),
        _bulk(1, down=True),
        _bulk(10, down=False),
        _bulk(10, down=True),
        _http("keep-alive", close=False),
        _http("connections", close=True),
        Load("limits", _limits),
        Load("datagram-flows", _datagram_flows, Stage.DATAGRAMS),
        Load("datagram-ping", _datagram_ping, Stage.DATAGRAMS),
        _flood(1),
        _flood(FLOOD_FLOWS),
        _flood(1, down=True),
        _flood(FLOOD_FLOWS, down=True),
        Load("http-idle", _site_idle, Stage.SITES),
        _site("http-keep-alive", tls=False, close=False),
        _site("http-connections", tls=False, close=True),
        _site("https-connections", tls=True, close=True),
        Load("routes", _routes, Stage.SITES),
        Load("proxies", _site_proxies, Stage.SITES),
        Load("slow-line", _slow_line, Stage.SLOW_LINE),
        *map(_attack, ATTACKS),
        Load("churn", _churn),
        Load("punched-first-byte", _punched_first_byte, Stage.PUNCHED),
        *(load for stage in FAR_LOSS for load in _far_loads(stage)),
        _punched_bulk("punched-up"),
        _punched_bulk("punched-down", "-R"),
    )
}
"""Every load, in the order of a round: memory first, while nothing has been used yet."""


EXTRA: Set[str] = {
    "churn",
    *(load.name for load in LOADS.values() if load.stage in {Stage.PUNCHED, *FAR_LOSS}),
}
"""Those that are put on a subject only where they are named: one takes minutes, the others need root."""


def _spent(name: str, running: Running, before: float, amount: float) -> Figures:
    if not running.programs:
        return {}
    return {f"{name}-cpu": (running.cpu_seconds() - before) / amount}


def _make_connections(running: Running, count: int) -> None:
    while count > 0:
        _, requests = _wrk(f"http://127.0.0.1:{running.ports.http}/", 5, close=True)
        count -= requests
    time.sleep(_SETTLE_S)


def _wrk(url: str, seconds: float, *more: str, close: bool = False) -> tuple[float, int]:
    command = ["wrk", "-t", "2", "-c", str(HTTP_CONNECTIONS), "-d", f"{seconds:.0f}s", *more]
    command += ["-H", "Connection: close"] if close else []
    return parse_wrk(_output([*command, url], seconds))


@contextmanager
def _script(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="relaykit-benchmark-") as directory:
        file = Path(directory, "requests.lua")
        file.write_text(text)
        yield file


def _settle(running: Running) -> None:
    """Waits until both ends have done what an earlier load has left them to do."""
    for _ in range(_MOST_SETTLES):
        before = running.cpu_seconds()
        time.sleep(_SETTLE_S)
        if running.cpu_seconds() - before < _SETTLE_S * _BUSY_PART:
            return


def _allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _output(command: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{command[0]} did not end") from error
    if done.returncode and not done.stdout:
        raise ProgramFailed(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def _datagram_user(running: Running) -> socket.socket:
    user = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    user.connect(("127.0.0.1", running.ports.datagram_echo))
    return user


def _receive(user: socket.socket, count: int) -> None:
    while count:
        data = user.recv(count)
        if not data:
            raise ProgramFailed("the echo ended early")
        count -= len(data)
