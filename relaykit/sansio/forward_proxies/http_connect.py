"""CONNECT, from the side of who asks.  Source: RFC 9110 section 9.3.6; NTLM over HTTP: [MS-NTHT]."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Generator
from typing import Any, Final

from attrs import frozen

from relaykit.escaping import told
from relaykit.sansio.forward_proxies.conversation import (
    Conversation,
    NtlmMaker,
    Step,
    login_refused,
    refused,
    unreachable,
)
from relaykit.sansio.forward_proxies.urls import ForwardProxy
from relaykit.sansio.hostnames import encode_host_name
from relaykit.sansio.http.bodies import BodyReader, ChunkedBody, LengthBody
from relaykit.sansio.http.grammar import values_of
from relaykit.sansio.http.responses import ResponseHead, ResponseHeads
from relaykit.values import Address

__all__ = ["MOST_BODY_BYTES", "MOST_INTERIM", "connect_by_http"]

MOST_BODY_BYTES: Final = 64 * 1024
"""Most bytes of the page that a proxy sends with its question who asks, where the connection goes on after
it: such pages have some thousand."""

MOST_INTERIM: Final = 4
"""Most answers before the real one (100, 103): a proxy has no reason to send one."""

_PROXY_LOGIN = 407
_ASKED = b"proxy-authenticate"
_EXPLAINED = b"x-squid-error"
_ANSWERED = frozenset({_ASKED, _EXPLAINED})
_NTLM_NAMES: Final = (b"NTLM", b"Negotiate")
"""What NTLM is called by those who ask for it; the second one means more, and takes it, too."""


@frozen
class Answer:
    """What a proxy answers.

    :ivar is_kept: whether the connection goes on behind it, so that the question may be put again.
    """

    head: ResponseHead
    is_kept: bool = False


class AnswerParser:
    """Reads one answer, with its body where it asks who asks and the connection goes on behind it.

    A tunnel begins right behind the head of an answer that says yes.
    """

    limit = ResponseHeads.limit + MOST_BODY_BYTES

    def feed(self, data: bytes) -> tuple[Answer, int] | None:
        """Answers it once it is complete.

        :raises ResponseRefused: there can be none.
        """
        found = ResponseHeads().feed(data)
        if found is None:
            return None
        head, end = found
        if head.status != _PROXY_LOGIN or not head.keep_alive:
            return Answer(head), end
        body: BodyReader
        if head.chunked:
            body = ChunkedBody(True, lambda _: False)
        elif head.length is not None and head.length <= MOST_BODY_BYTES:
            body = LengthBody(head.length)
        else:
            return Answer(head), end
        end += body.read(memoryview(data)[end:], [])
        return (Answer(head, True), end) if body.is_complete else None


def connect_by_http(proxy: ForwardProxy, target: Address, make_ntlm: NtlmMaker | None = None) -> Conversation:
    """Asks for a tunnel to ``target``, whose name the proxy resolves.

    Credentials of the proxy are shown at once, by Basic (RFC 7617), or proved by NTLM with ``make_ntlm``.
    """
    if make_ntlm is not None:
        answer = yield from _ask_by_ntlm(proxy, target, make_ntlm)
    elif proxy.credentials is not None:
        shown = b64encode(proxy.credentials.user + b":" + proxy.credentials.password)
        answer = yield from _ask(target, b"Basic " + shown)
    else:
        answer = yield from _ask(target, b"")
    if not 200 <= answer.head.status < 300:
        raise _refusal(proxy, target, answer.head)


def _ask(target: Address, authorization: bytes) -> Generator[Step, Any, Answer]:
    where = _authority(target)
    lines = [
        b"CONNECT %b HTTP/1.1" % where,
        b"Host: " + where,
        b"User-Agent: relaykit",
    ]
    if authorization:
        lines.append(b"Proxy-Authorization: " + authorization)
    answer: Answer = yield Step(b"\r\n".join([*lines, b"", b""]), AnswerParser())
    for _ in range(MOST_INTERIM):
        if not answer.head.is_interim:
            break
        answer = yield Step(b"", AnswerParser())
    return answer


def _authority(target: Address) -> bytes:
    """The target as HTTP has it; a name that is not ASCII in the form that resolvers want."""
    text = str(target)
    return text.encode() if text.isascii() else b"%b:%d" % (encode_host_name(target.host), target.port)


def _ask_by_ntlm(proxy: ForwardProxy, target: Address, make_ntlm: NtlmMaker) -> Generator[Step, Any, Answer]:
    for name in _NTLM_NAMES:
        ntlm = make_ntlm()
        answer = yield from _ask(target, name + b" " + b64encode(ntlm.step(None)))
        if answer.head.status != _PROXY_LOGIN:
            break
        challenge = _challenge(answer.head, name)
        if not answer.is_kept:
            if challenge is not None:
                raise login_refused(proxy, "ends the connection amid NTLM, which needs it to stay")
            break
        if challenge is not None:
            answer = yield from _ask(target, name + b" " + b64encode(ntlm.step(challenge)))
            break
    return answer


def _challenge(head: ResponseHead, name: bytes) -> bytes | None:
    """What the proxy wants an answer to under this name."""
    for value in values_of(head.keys, head.lines, _ANSWERED).get(_ASKED, ()):
        scheme, _, encoded = value.partition(b" ")
        if scheme.lower() == name.lower() and encoded:
            try:
                return b64decode(encoded.strip(b" "), validate=True)
            except binascii.Error:
                return None
    return None


def _refusal(proxy: ForwardProxy, target: Address, head: ResponseHead) -> Exception:
    said = _said(head)
    if head.status == _PROXY_LOGIN:
        offered = _offered(head)
        if proxy.credentials is None:
            return login_refused(
                proxy,
                f"wants to know who asks ({said}), by {offered}: put user and password into "
                f"{proxy.named_by}, as http://user:password@host:port",
            )
        return login_refused(
            proxy,
            f"does not accept the user and the password in {proxy.named_by} ({said}); it takes {offered}: "
            "correct them, or write ntlm:// before them where it takes NTLM only",
        )
    if head.status in (403, 451):
        return refused(
            proxy,
            target,
            f"{said}; many proxies allow the port 443 only: ask who runs it, or have the server listen there",
        )
    if head.status in (400, 405, 501):
        return refused(proxy, target, f"{said}; it may be no proxy for tunnels (CONNECT), or the wrong port")
    if head.status >= 500:
        return unreachable(proxy, target, f"{said}; look at serverAddr and serverPort")
    return refused(proxy, target, said)


def _offered(head: ResponseHead) -> str:
    asked = values_of(head.keys, head.lines, _ANSWERED).get(_ASKED, ())
    names = dict.fromkeys(each.partition(b" ")[0].decode("latin-1") for each in asked)
    return told(", ".join(names)) or "a way that it does not name"


def _said(head: ResponseHead) -> str:
    """The answer in the proxy's own words."""
    explained = values_of(head.keys, head.lines, _ANSWERED).get(_EXPLAINED, ())
    words = b", ".join([b"%d %b" % (head.status, head.reason), *explained[:1]])
    return told(words.decode("utf-8", "replace").strip())
