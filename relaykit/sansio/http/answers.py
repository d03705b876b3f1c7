"""Answers of our own: what a user reads where no provider answers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from attrs import field, frozen

__all__ = [
    "BAD_GATEWAY",
    "GATEWAY_TIMEOUT",
    "OPTIONS_OF_SERVER",
    "PROXY_UNAUTHORIZED",
    "REQUEST_TIMEOUT",
    "UNAUTHORIZED",
    "Answer",
    "not_found",
    "refusal",
]

_PLAIN = b"text/plain; charset=utf-8"
_HTML = b"text/html; charset=utf-8"
_REASONS: Mapping[int, bytes] = {status.value: status.phrase.encode() for status in HTTPStatus}


@frozen
class Answer:
    """A complete response.

    ``content_type`` is empty without a body; ``lines`` are more fields, each with its CR LF.  A user of
    HTTP/1 waits ``after_s`` seconds for it.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: bytes = b""
    lines: bytes = b""
    after_s: float = 0.0

    def write(self, connection: bytes, date: bytes, *, to_head: bool = False) -> bytes:
        """Its bytes.  ``connection`` is a line or empty; one ``to_head`` tells of the body and has none."""
        return b"".join(
            (
                b"HTTP/1.1 %d %b\r\n" % (self.status, _REASONS[self.status]),
                b"Date: %b\r\n" % date,
                b"Content-Type: %b\r\n" % self.content_type if self.content_type else b"",
                b"Content-Length: %d\r\n" % len(self.body),
                self.lines,
                connection,
                b"\r\n",
                b"" if to_head else self.body,
            )
        )


def refusal(status: int, reason: str) -> Answer:
    """The answer to a request that is not taken: the status, and why, as text."""
    return Answer(status, b"%d %b: %b\n" % (status, _REASONS[status], reason.encode()), _PLAIN)


def not_found(page: bytes | None = None) -> Answer:
    """The answer where nobody serves what is asked for: somebody's page, or ours.

    ``page`` is taken for HTML if it looks like it, else for text.
    """
    page = _page("Not found", "There is no site at this address.") if page is None else page
    return Answer(404, page, _HTML if page.lstrip()[:1] == b"<" else _PLAIN)


def _page(title: str, text: str) -> bytes:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
    ).encode()


_NOT_SNIFFED = b"X-Content-Type-Options: nosniff\r\n"

UNAUTHORIZED: Final = Answer(
    401, b"Unauthorized\n", _PLAIN, b'WWW-Authenticate: Basic realm="Restricted"\r\n' + _NOT_SNIFFED
)
"""The user has to name itself.  Source: RFC 9110 section 11.6.1; the realm is frp's."""

PROXY_UNAUTHORIZED: Final = Answer(
    407,
    b"Proxy Authentication Required\n",
    _PLAIN,
    b'Proxy-Authenticate: Basic realm="Restricted"\r\n' + _NOT_SNIFFED,
)
"""The same where the user takes this for a forward proxy.  Source: RFC 9110 section 11.7.1."""

BAD_GATEWAY: Final = Answer(
    502, _page("Bad gateway", "The site at this address cannot be reached, or does not answer."), _HTML
)
"""Whoever serves this is not there, or answered with something else than HTTP."""

GATEWAY_TIMEOUT: Final = Answer(
    504, _page("Gateway timeout", "The site at this address did not answer in time."), _HTML
)
"""Whoever serves this did not answer in time."""

REQUEST_TIMEOUT: Final = refusal(408, "the request did not arrive in time")
"""The user did not send the rest of its request in time."""

OPTIONS_OF_SERVER: Final = Answer(200)
"""The answer to ``OPTIONS *``, which asks whether anybody is there.  Source: RFC 9110 section 9.3.7."""
