"""Answers of our own."""

from __future__ import annotations

import h11
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.answers import (
    BAD_GATEWAY,
    GATEWAY_TIMEOUT,
    OPTIONS_OF_SERVER,
    PROXY_UNAUTHORIZED,
    REQUEST_TIMEOUT,
    UNAUTHORIZED,
    Answer,
    not_found,
    refusal,
)

DATE = b"Mon, 01 Jan 2024 00:00:00 GMT"


def read(answer: Answer, method: str = "GET") -> tuple[h11.Response, bytes]:
    """What another reader makes of it: the head, and the body."""
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(answer.write(b"Connection: close\r\n", DATE, to_head=method == "HEAD"))
    head = peer.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := peer.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert peer.trailing_data == (b"", False)
    return head, body


class AnswerTests(SynchronousTestCase):
    """Each of them, read by another reader."""

    def test_statuses(self) -> None:
        """Each has its status, a date, and a body that says what is the matter."""
        for answer, status, words in (
            (BAD_GATEWAY, 502, b"cannot be reached"),
            (GATEWAY_TIMEOUT, 504, b"in time"),
            (REQUEST_TIMEOUT, 408, b"in time"),
            (UNAUTHORIZED, 401, b"Unauthorized"),
            (PROXY_UNAUTHORIZED, 407, b"Proxy Authentication Required"),
            (OPTIONS_OF_SERVER, 200, b""),
            (not_found(), 404, b"no site at this address"),
            *(
                (refusal(status, "it is so"), status, b": it is so\n")
                for status in (400, 414, 417, 431, 501, 505)
            ),
        ):
            head, body = read(answer)
            self.assertEqual(head.status_code, status)
            self.assertIn(words, body)
            self.assertIn((b"date", DATE), list(head.headers))

    def test_asks_for_credentials(self) -> None:
        """The user is told how to prove who it is."""
        for answer, name in (
            (UNAUTHORIZED, b"www-authenticate"),
            (PROXY_UNAUTHORIZED, b"proxy-authenticate"),
        ):
            self.assertIn((name, b'Basic realm="Restricted"'), list(read(answer)[0].headers))

    def test_head(self) -> None:
        """The answer to HEAD tells of the body that another one would have."""
        head, body = read(not_found(b"page"), "HEAD")
        self.assertEqual((body, dict(list(head.headers))[b"content-length"]), (b"", b"4"))

    def test_page(self) -> None:
        """Somebody's page is HTML if it looks like it, and text otherwise."""
        for page, kind in ((b" <p>x", b"text/html; charset=utf-8"), (b"no\n", b"text/plain; charset=utf-8")):
            head, body = read(not_found(page))
            self.assertEqual((body, dict(list(head.headers))[b"content-type"]), (page, kind))
