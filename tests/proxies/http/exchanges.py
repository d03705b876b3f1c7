"""Recorded exchanges of frp's ``http``, and a relay in memory that has the same sites, for the same users."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from relaykit.options import LoadBalancer, ProxyTransport
from relaykit.options.travel import convert
from relaykit.proxies import http, https
from relaykit.proxies.http.options import HttpKeys, HttpOptions
from relaykit.proxies.https import HttpsKeys, HttpsOptions
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import LocalService, MemoryRelay
from relaykit.values import Address
from tests.proxies.http.services import Service

__all__ = ["DIRECTORY", "Case", "Message", "Played", "Replay", "Scenario", "load"]

DIRECTORY = Path(__file__).parents[2] / "captures" / "http"

_CLOSED = frozenset({26291, 27099, 29099})
"""Ports at which nobody listened."""

LONG_S = 10.0
"""Seconds that a user waits for what comes: longer than all time-outs of the recordings."""

TEXT_OF_FRP = b"{BUILT-IN PAGE}"
"""What stands in a recording for frp's page."""


# --- what is recorded -----------------------------------------------------------------------------


@frozen
class Case:
    """One connection of a user, and what reached the services meanwhile."""

    scenario: str
    name: str
    events: Sequence[tuple[str, bytes]]
    """What the user sent (``send``) and got (``recv``), and the ends of both (``fin``, ``eof``)."""
    provider: Sequence[tuple[int, bytes]]
    """The port of a service, and what one of its connections brought."""

    @property
    def sent(self) -> bytes:
        """All that the user sent."""
        return b"".join(data for kind, data in self.events if kind == "send")

    @property
    def methods(self) -> list[bytes]:
        """Those of the user's requests, as far as there are some."""
        return re.findall(rb"(?m)^([A-Za-z-]+) \S+ HTTP/", self.sent)

    @property
    def source(self) -> str:
        """The user's address."""
        told = [re.search(rb"X-Forwarded-For: (?:.*, )?(127[.\d]+)\r\n", data) for _, data in self.provider]
        return next((found[1].decode() for found in told if found), "127.0.0.1")

    @property
    def played(self) -> Played:
        """The same as a :class:`Replay` answers it."""
        parts: list[bytes] = [b""]
        for kind, data in self.events:
            if kind == "send":
                parts.append(b"")
            elif kind == "recv":
                parts[-1] += re.sub(rb"x\{(\d+)\}", lambda found: b"x" * int(found[1]), data)
        is_ended = any(kind == "eof" for kind, _ in self.events)
        return Played.of(self, parts, is_ended, self.provider)


@frozen
class Scenario:
    """Cases one after the other with the same programs."""

    name: str
    server: Mapping[str, Any]
    proxies: Sequence[Mapping[str, Any]]
    cases: Sequence[Case]
    refused: Mapping[str, str]
    """Why which proxies could not be registered."""


def load() -> Iterator[Scenario]:
    """All that is recorded."""
    for path in sorted(DIRECTORY.glob("*.jsonl")):
        header, *lines = map(json.loads, path.read_text("utf-8").splitlines())
        clients = [tomllib.loads(text) for text in header["clients"]]
        yield Scenario(
            path.stem,
            tomllib.loads(header["server"]),
            [proxy for client in clients for proxy in client["proxies"]],
            [_case(path.stem, line) for line in lines if "user" in line],
            {line["name"]: line["err"] for line in lines if "err" in line},
        )


def _case(scenario: str, line: Mapping[str, Any]) -> Case:
    events = [(kind, "".join(text).encode("latin-1")) for kind, *text in line["user"]]
    provider = [(each["provider"], each["rx"].encode("latin-1")) for each in line["provider"]]
    return Case(scenario, line["case"], events, provider)


# --- what is compared -----------------------------------------------------------------------------


@frozen
class Message:
    """A request or a response: without the order and the case of its fields and the borders of its chunks.

    ``start`` has method, target and version, or version, status and reason.
    """

    start: tuple[bytes, ...]
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    is_whole: bool = True

    @property
    def status(self) -> int:
        """That of a response."""
        return int(self.start[1])


@frozen
class Played:
    """What came of a case."""

    answers: Sequence[Sequence[Message | bytes]]
    """What the user got after each time that it sent something; behind HTTP, bytes."""
    is_ended: bool
    """Whether its connection was ended for it."""
    requests: Sequence[tuple[int, Sequence[Message | bytes]]]
    """What each connection brought to a service, which is known by its port."""

    @classmethod
    def of(
        cls, case: Case, parts: Sequence[bytes], is_ended: bool, provider: Sequence[tuple[int, bytes]]
    ) -> Played:
        """By what came."""
        methods = iter(case.methods)
        answers = [list(map(_plain, _messages(part, methods))) for part in parts]
        asks_gzip = b"accept-encoding" not in case.sent.lower()
        requests = [
            (port, [_asked(each, asks_gzip) for each in _messages(data, None)]) for port, data in provider
        ]
        return cls(answers, is_ended, sorted(requests, key=lambda pair: pair[0]))

    @property
    def statuses(self) -> tuple[int, ...]:
        """Those of the answers."""
        return tuple(each.status for part in self.answers for each in part if isinstance(each, Message))

    @property
    def asked(self) -> int:
        """How many requests reached services."""
        return sum(isinstance(each, Message) for _, messages in self.requests for each in messages)


def _messages(data: bytes, methods: Iterator[bytes] | None) -> Iterator[Message | bytes]:
    """The messages in a stream: responses to requests with these methods, or else requests."""
    tunnels = False
    while data and not tunnels:
        head, found, data = data.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        first = tuple(start.split(b" ", 2))
        if not found or len(first) < 2 or b"HTTP/" not in start:
            yield head + found + data
            return
        pairs = [line.partition(b":")[::2] for line in lines]
        fields = tuple(sorted((name.lower(), value.strip()) for name, value in pairs))
        is_final = methods is not None and first[1][:1] != b"1"
        method = next(methods, b"GET") if is_final and methods is not None else b""
        tunnels = (
            first[0] == b"CONNECT" or first[1] == b"101" or (method == b"CONNECT" and first[1][:1] == b"2")
        )
        bodiless = tunnels or method == b"HEAD" or first[1][:1] == b"1" or first[1] in (b"204", b"304")
        body, data, is_whole = (b"", data, True) if bodiless else _body(dict(fields), data, is_final)
        yield Message(first, fields, body, is_whole)
    if data:
        yield data


def _body(fields: Mapping[bytes, bytes], data: bytes, until_end: bool) -> tuple[bytes, bytes, bool]:
    """The body and its trailers, what is behind them, and whether they are complete."""
    if fields.get(b"transfer-encoding") == b"chunked":
        body = b""
        while found := re.match(rb"([0-9a-fA-F]+)[^\r]*\r\n", data):
            size = int(found[1], 16)
            data = data[found.end() :]
            if not size:
                trailers, end, rest = (b"\r\n" + data).partition(b"\r\n\r\n")
                return body + trailers, rest, bool(end)
            body, data = body + data[:size], data[size + 2 :]
        return body, data, False
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
        return data[:length], data[length:], len(data) >= length
    return (data, b"", True) if until_end else (b"", data, True)


def _plain(answer: Message | bytes) -> Message | bytes:
    """An answer with a standard date, and one of a server's own without what is its text."""
    if not isinstance(answer, Message):
        return answer
    fields = tuple((name, b"" if name == b"date" else value) for name, value in answer.fields)
    reason = b" ".join(answer.start[1:])
    is_own = answer.body == TEXT_OF_FRP or b"<h1>" in answer.body or answer.body.startswith(reason[:3] + b" ")
    if not is_own and answer.body != b"Unsupported transfer encoding":
        return evolve(answer, fields=fields)
    kept = tuple(pair for pair in fields if pair[0] not in (b"date", b"content-length"))
    start = (*answer.start[:2], reason[4:].partition(b":")[0])
    return Message(start, kept)


def _asked(request: Message | bytes, asks_gzip: bool) -> Message | bytes:
    """A request without the wish for gzip that frp adds to nearly all whose user has none."""
    if not isinstance(request, Message) or not asks_gzip:
        return request
    added = (b"accept-encoding", b"gzip")
    return evolve(request, fields=tuple(pair for pair in request.fields if pair != added))


# --- the replay -----------------------------------------------------------------------------------


class Replay:
    """A relay with the sites of a scenario, whose page for what nobody serves is in the file ``page``."""

    def __init__(self, scenario: Scenario, page: Path) -> None:
        self.relay = MemoryRelay()
        self.services: list[Service] = []
        self._server = scenario.server
        self._page = page

    def _port(self, key: str) -> int:
        """The port that a key names, which may be the one that clients dial."""
        port = int(self._server.get(key, 0))
        return self.relay.server.port if port == self._server["bindPort"] else port

    def publish(self, proxy: Mapping[str, Any]) -> None:
        """Registers a proxy of a scenario.

        :raises ProxyRefusedError: it cannot be.
        """
        balancer = convert(proxy.get("loadBalancer", {}), LoadBalancer)
        if proxy["type"] == "https":
            port = self._port("vhostHTTPSPort")
            keys: HttpsKeys | HttpKeys = HttpsKeys(vhost_https_port=port)
            own: HttpsOptions | HttpOptions = HttpsOptions(custom_domains=tuple(proxy["customDomains"]))
        else:
            keys = HttpKeys(
                vhost_http_port=self._port("vhostHTTPPort"),
                vhost_http_timeout=self._server.get("vhostHTTPTimeout", 60),
                sub_domain_host=self._server.get("subDomainHost", ""),
                custom_404_page=str(self._page) if "custom404Page" in self._server else "",
            )
            not_own = {"name", "type", "localPort", "loadBalancer", "transport"}
            table = {key: value for key, value in proxy.items() if key not in not_own}
            own = convert(table, HttpOptions)
        self.relay.publish(
            https.proxy_type if proxy["type"] == "https" else http.proxy_type,
            own,
            name=proxy["name"],
            local=self._service_of(proxy),
            transport=convert(proxy.get("transport", {}), ProxyTransport),
            load_balancer=balancer,
            ingress_options=keys,
        )

    def _service_of(self, proxy: Mapping[str, Any]) -> LocalService | None:
        port = int(proxy["localPort"])
        if port in _CLOSED:
            return None
        name = proxy["name"]
        # Of what is recorded these say who they are.
        letter = (
            f"[{name}]" if len(name) == 1 and name.isupper() else f"[{name[1:]}]" if name[:1] == "h" else "ok"
        )

        def serve(leg: MemoryLeg) -> None:
            service = Service(self.relay, leg, port, letter.encode(), proxy["type"] == "https")
            self.services.append(service)
            leg.attach(service)

        return serve

    def play(self, case: Case) -> Played:
        """What comes of a case."""
        before = [(service, len(service.got)) for service in self.services]
        port = self._port("vhostHTTPSPort" if case.name == "https" else "vhostHTTPPort")
        leg = self.relay.dial(port, Address(case.source, 40_000))
        heard = RecordingReceiver(leg)
        parts = [b""]
        for kind, data in case.events:
            if kind == "send":
                parts.append(b"")
                leg.write(data)
                self.relay.settle()
            elif kind == "fin":
                leg.finish_writing()
                self.relay.settle()
            else:
                self.relay.advance(LONG_S)
            parts[-1] += heard.data
            heard.data = b""
        is_ended = heard.ended or heard.lost is not None
        known = dict(before)
        got = [(service.port, service.got[known.get(service, 0) :]) for service in self.services]
        leg.close()
        self.relay.settle()
        return Played.of(case, parts, is_ended, [pair for pair in got if pair[1]])
