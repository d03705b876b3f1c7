"""What frp's reverse proxies made of requests and answers, and what ours make of them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.local_plugins import PROXY_PLUGINS
from relaykit.dataplane.transports import parse_endpoint
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ILocalService, IStreamLeg
from relaykit.options import convert
from relaykit.testing.memory import RecordingReceiver
from tests.local_services.hosts import ALICE, LocalScene

DIRECTORY = Path(__file__).parents[2] / "captures" / "reverse_proxies"

PROXIES: Mapping[str, str] = {
    "http2http": "h2h",
    "http2http-absolute": "h2h",
    "http2http-dead": "h2hdead",
    "http2http-rewrite": "h2hrw",
    "http2http-upgrade": "h2h",
    "http2https": "h2s",
    "https2http": "s2h",
    "https2http-421": "s2h",
    "https2http-nosni": "s2h",
    "https2http-plain": "s2h",
    "https2http-upgrade": "s2h",
    "https2http-vhost": "vs2h",
    "https2https": "s2s",
}
"""The proxy that was asked, by recording."""

DIFFERENCES: Mapping[str, str] = {
    "http2http-absolute": "A request whose target and Host name two hosts is refused.",
}
"""What is meant to be otherwise, by recording."""

ONE_SIDED = {b"accept-encoding: gzip", b"connection: TE"}
"""What frp asks for in the user's name, to decompress it again, and what it forgets beside ``TE``."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"

ANSWERS: Mapping[bytes, bytes] = {
    b"/chunked": b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nab\r\n0\r\n\r\n",
    b"/ws": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}
"""What the recorded service answered, where that was not :data:`OK`; to ``/drop`` it hung up."""


@frozen
class Request:
    """A request as a service gets it, whatever the order of its fields and the case of their names."""

    line: bytes
    fields: frozenset[bytes]

    @classmethod
    def all_in(cls, data: bytes) -> list[Request | bytes]:
        """Those that a connection brought, and what came behind them."""
        *heads, rest = data.split(b"\r\n\r\n")
        found = [cls._of(*head.split(b"\r\n")) for head in heads]
        return [*found, rest] if rest else [*found]

    @classmethod
    def _of(cls, line: bytes, *lines: bytes) -> Request:
        named = (each.partition(b":") for each in lines)
        fields = frozenset(name.lower() + colon + value for name, colon, value in named)
        return cls(line, fields - ONE_SIDED)


@frozen
class Service:
    """One connection of the service, and what it gets."""

    leg: IStreamLeg
    got: RecordingReceiver = field()

    @got.default
    def _receives(self) -> RecordingReceiver:
        return RecordingReceiver(self.leg)

    def serve(self, seen: int) -> int:
        """Answers what has come since; answers how much has come."""
        said = bytes(self.got.data[seen:])
        if said.endswith(b"\r\n\r\n"):
            path = said.split(b" ", 2)[1].partition(b"?")[0]
            if path == b"/drop":
                self.leg.close()
            else:
                self.leg.write(ANSWERS.get(path, OK))
        elif said:
            self.leg.write(b">" + said)
        return len(self.got.data)


class RecordedTests(SynchronousTestCase):
    """Each recording with our service, named as its file names it."""

    def test_recorded(self) -> None:
        """The service gets what it got, and the user what it got, but for the words of errors."""
        differ = set()
        for path in sorted(DIRECTORY.glob("*.jsonl")):
            header, line = map(json.loads, path.read_text("utf-8").splitlines())
            try:
                self._play(path.stem, header, line)
            except AssertionError:
                if path.stem not in DIFFERENCES:
                    raise
                differ.add(path.stem)
        self.assertEqual(differ, set(DIFFERENCES))

    def _play(self, name: str, header: Any, line: Any) -> None:
        [plugin] = [
            each["plugin"]
            for each in tomllib.loads(header["clients"][0])["proxies"]
            if each["name"] == PROXIES[name]
        ]
        kind = PROXY_PLUGINS[plugin.pop("type")]
        options = convert(plugin, kind)
        service = parse_endpoint(None, options.endpoint)
        assert ILocalService.providedBy(service)
        scene = LocalScene(service)
        if not line["provider"]:
            scene.failure = ConnectionFailed("refused")
        user, got = self._user(scene, header.get("userTLS"))
        services: list[Service] = []
        seen: list[int] = []
        for kind, *text in line["user"]:
            data = "".join(text).encode("latin-1")
            if kind == "send":
                before = len(got.data)
                user.write(data)
                self._serve(scene, services, seen, options.endpoint.split(":")[0].endswith("https"))
            elif kind == "recv":
                self._compare(name, bytes(got.data[before:]), data)
        brought = [Request.all_in(self._told(bytes(each.got.data))) for each in services]
        expected = [Request.all_in(each["rx"].encode("latin-1")) for each in line["provider"]]
        self.assertEqual(brought, expected, name)

    def _user(self, scene: LocalScene, tls: str | None) -> tuple[IStreamLeg, RecordingReceiver]:
        """A user, who spoke TLS if the recording says how, and what it gets."""
        if tls is None:
            return scene.connect()
        name = tls.rpartition("SNI ")[2]
        _, user = scene.secure("" if name == "None" else name)
        return user, RecordingReceiver(user)

    def _serve(self, scene: LocalScene, services: list[Service], seen: list[int], is_secure: bool) -> None:
        """Answers until nothing more comes."""
        while True:
            scene.network.flush()
            for _, leg in scene.dialed[len(services) :]:
                services.append(Service(scene.reached_by_tls() if is_secure else leg))
                seen.append(0)
            scene.network.flush()
            came = [each.serve(at) for each, at in zip(services, seen, strict=True)]
            if came == seen:
                return
            seen[:] = came

    def _told(self, data: bytes) -> bytes:
        """What was told, as if the user had come from where the recorded one did."""
        assert ALICE.source is not None
        return data.replace(ALICE.source.host.encode(), b"127.0.0.1")

    def _compare(self, name: str, ours: bytes, theirs: bytes) -> None:
        if not theirs.startswith(b"HTTP/"):
            self.assertEqual(ours, theirs, name)
            return
        status, fields, body = _parts(ours)
        their_status, their_fields, their_body = _parts(theirs)
        self.assertEqual((status, fields), (their_status, their_fields), name)
        if status < 400:
            self.assertEqual(body, their_body, name)
        else:
            self.assertTrue(body, name)


_COMPARED = {b"content-type", b"set-cookie", b"transfer-encoding", b"upgrade", b"connection"}


def _parts(answer: bytes) -> tuple[int, Iterable[bytes], bytes]:
    """The status, the fields that are compared, and the body; of errors, which have words, none but that."""
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    match = re.match(rb"HTTP/1\.[01] (\d+)", line)
    assert match is not None, answer
    status = int(match[1])
    compared = sorted(each for each in fields if each.partition(b":")[0].lower() in _COMPARED)
    return status, compared if status < 400 else [], body
