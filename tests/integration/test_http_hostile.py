"""Hostile streams of bytes through a server and a client to web servers of several makes.

What a stream means is told by our answers; each of them must have seen just that, and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from attrs import field, frozen

from tests.integration.programs import free_port
from tests.integration.relays import RelayTestCase
from tests.integration.scenarios import test_each
from tests.integration.traffic import dial, end_of
from tests.integration.web_servers import WEB_SERVERS, Make
from tests.sansio.http.hostile import BODIES, HEADS

HOST = b"web.example"
"""Whom all streams are for."""

GET = b"GET /%b HTTP/1.1\r\nHost: web.example\r\n\r\n"
BETWEEN = b"GET /between HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n"
SMUGGLED = GET % b"smuggled"
CHUNKED = b"POST /chunked HTTP/1.1\r\nHost: web.example\r\nTransfer-Encoding: chunked\r\n\r\n"

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ")
"""The status of an answer, and not of what comes before it."""


@frozen
class Stream:
    """What a user sends, the statuses of the answers, and the requests that reach whom they are for."""

    data: bytes = field(repr=False)
    statuses: Sequence[int]
    seen: Sequence[str]


def refused(data: bytes, status: int) -> Iterator[Stream]:
    """Nothing of it is taken, nor of what follows, at the beginning of a connection or later."""
    yield Stream(data + SMUGGLED, [status], [])
    yield Stream(GET % b"first" + data + SMUGGLED, [200, status], ["GET /first 0"])


def taken(*lines: bytes, body: bytes = b"", method: str = "POST", size: int = 0, target: str = "/") -> Stream:
    """It is one request whose body has this size, and what follows is the next."""
    head = b"\r\n".join((b"%b %b HTTP/1.1" % (method.encode(), target.encode()), *lines, b"", b""))
    seen = [f"{method} {target} {size}", "GET /last 0"]
    return Stream(head + body + LAST, [200, 200], seen)


def streams() -> Iterator[Stream]:
    """All of them."""
    for hostile in HEADS:
        yield from refused(hostile.data, hostile.status)
    for body in BODIES:
        yield from refused(CHUNKED + body, 400)
    post = partial(taken, b"Host: web.example")
    chunked = partial(post, b"Transfer-Encoding: chunked")
    for lines in (
        (b"Content-Length: %d",),
        (b"Content-Length: 00%d",),
        (b"content-length:\t%d \t",),
        # Fields of a hop are dropped, but for what tells where the body ends.
        (b"Content-Length: %d", b"Connection: Content-Length, Host, Transfer-Encoding"),
        (b"Content-Length: %d", b"Connection: keep-alive, X-A", b"X-A: 1"),
        (b"Content-Length: %d", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
        (b"Content-Length: %d", b"Connection: Upgrade", b"Upgrade: websocket"),
        (b"Content-Length: %d", b"X_Content_Length: 0", b"Content-Lengt: 0", b"X-Transfer-Encoding: chunked"),
        (b"Content-Length: %d", b"TE: chunked, trailers", b"Connection: TE"),
        (b"Content-Length: %d", b"Keep-Alive: timeout=1", b"Proxy-Connection: close"),
    ):
        size = len(SMUGGLED)
        yield post(*(line.replace(b"%d", b"%d" % size) for line in lines), body=SMUGGLED, size=size)
    for body, size in (
        (b"5\r\nhello\r\n0\r\n\r\n", 5),
        (b"00005\r\nhello\r\n000\r\n\r\n", 5),
        (b'5;a="b;c"\r\nhello\r\n0;x\r\n\r\n', 5),
        (b"5 ; a\r\nhello\r\n0\r\n\r\n", 5),
        (b"A\r\n0\r\n\r\nGET /\r\n0\r\n\r\n", 10),
        (b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), len(SMUGGLED)),
        (b"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", 2),
        (b"0\r\n\r\n", 0),
        # Trailers are no fields of the head, whoever merges them.
        (b"5\r\nhello\r\n0\r\nContent-Length: 50\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 5),
        (b"5\r\nhello\r\n0\r\nContent_Length: 50\r\nX-Forwarded-For: 1\r\nX-A: 1\r\n\r\n", 5),
    ):
        yield chunked(body=body, size=size)
        yield chunked(b"Expect: 100-continue", body=body, size=size)
    yield post(b"transfer-encoding:\tCHUNKED ", body=b"0\r\n\r\n")
    yield post()
    yield post(method="GET")
    yield post(b"Content-Length: 5", body=b"hello", method="GET", size=5)
    yield post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n", method="DELETE", size=5)
    yield post(b"X-A: \xff\x80", b"X-B:", b"x!#$%&'*+-.^_`|~: 1", method="GET")
    yield taken(b"Host: WEB.example.:80", method="GET")
    yield Stream(b"\r\n" + LAST, [200], ["GET /last 0"])
    absolute = b"GET http://web.example/a HTTP/1.1\r\nHost: web.example\r\n\r\n"
    yield Stream(absolute + LAST, [200, 200], ["GET /a 0", "GET /last 0"])
    yield Stream(b"OPTIONS * HTTP/1.1\r\nHost: web.example\r\n\r\n" + LAST, [200, 200], ["GET /last 0"])
    yield Stream(b"GET / HTTP/1.0\r\nHost: web.example\r\n\r\n" + SMUGGLED, [200], ["GET / 0"])
    yield Stream(b"GET / HTTP/1.0\r\n\r\n" + SMUGGLED, [404], [])
    yield Stream(LAST + SMUGGLED, [200], ["GET /last 0"])


@test_each("check_requests", WEB_SERVERS)
@test_each("check_tunnel", WEB_SERVERS)
class DifferentialTests(RelayTestCase):
    """Each of them sees the requests that our answers are to, and all see the same."""

    def see(self, make: Make, hostile: Sequence[Stream]) -> tuple[Sequence[bytes], Sequence[Sequence[str]]]:
        """The answers to each stream, and what a web server has seen of each."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        served = make.start(folder)
        self.addCleanup(served.program.stop)
        port, self.bind_port = free_port(), free_port()
        server = self.start_server({"vhostHTTPPort": port})
        client = self.start_client(
            {},
            [{"name": make.name, "type": "http", "localPort": served.port, "customDomains": [HOST.decode()]}],
        )
        client.wait_for("start proxy success")
        answers: list[bytes] = []
        for stream in hostile:
            for data in (stream.data, BETWEEN):
                with dial(port) as user:
                    user.sendall(data)
                    answers.append(end_of(user))
            self.assertEqual(_STATUS.findall(answers[-1]), [b"200"])
        # Once nothing is on its way any more, all has been seen that ever will be.
        client.stop()
        server.stop()
        *seen, rest = "\n".join(served.stop_and_tell()).split("GET /between 0")
        self.assertEqual(rest, "")
        return answers[::2], [requests.split("\n") for requests in seen]

    def check_requests(self, make: Make) -> None:
        """A web server sees what it should."""
        hostile = list(streams())
        answers, seen = self.see(make, hostile)
        for stream, answer, requests in zip(hostile, answers, seen, strict=True):
            statuses = [int(status) for status in _STATUS.findall(answer)]
            self.assertEqual(
                (statuses, list(filter(None, requests))), (stream.statuses, stream.seen), stream.data
            )

    def check_tunnel(self, make: Make) -> None:
        """A web server that makes no tunnel sees nothing of what was meant for it."""
        asked = Stream(b"CONNECT web.example:80 HTTP/1.1\r\nHost: web.example\r\n\r\n" + SMUGGLED, [], [])
        [answer], [seen] = self.see(make, [asked])
        [status] = _STATUS.findall(answer)
        self.assertGreaterEqual(int(status), 400)
        self.assertEqual(list(filter(None, seen)), [])
