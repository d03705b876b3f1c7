"""What services behind a server and a client are asked, as another reader of HTTP reads it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxies.http.scene import OK, HttpTestCase
from tests.sansio.http.hostile import BODIES, HEADS
from tests.sansio.http.test_oracle import read_by_h11, requests

CHUNKED = b"POST / HTTP/1.1\r\nHost: web.example\r\nTransfer-Encoding: chunked\r\n\r\n"

MOST_BYTES = 500
"""What is longer shows how much is taken, and not where one request ends."""

EXAMPLES = 60
"""Streams, each of which goes through the whole relay; tests/sansio has more."""


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Some requests one after the other, and among them what is none."""
    hostile = [*(each.data for each in HEADS), *(CHUNKED + body for body in BODIES)]
    one = requests().map(lambda request: request[0])
    none = st.sampled_from([data for data in hostile if len(data) < MOST_BYTES])
    return b"".join(draw(st.lists(one | one | none, max_size=6)))


class OracleTests(HttpTestCase):
    """Users send what they like."""

    def setUp(self) -> None:
        super().setUp()
        self.publish("web.example")

    def answer_all(self) -> int:
        """Has the services answer what they have been asked as a whole; how many requests that were."""
        answered = 0
        for _, end in self.served:
            asked = read_by_h11(end.heard.data)
            if asked:
                [request] = asked
                end.take()
                end.leg.write(OK[:-2] if request.method == b"HEAD" else OK)
                answered += 1
        self.relay.settle()
        return answered

    @settings(max_examples=EXAMPLES)
    @given(streams(), st.integers(1, 200))
    def test_streams(self, data: bytes, step: int) -> None:
        """As many requests reach services as users have answers of services to, however they are cut.

        None is begun there before the one before it has its answer.
        """
        user = self.user()
        answered = 0
        for at in range(0, len(data), step):
            self.say(user, data[at : at + step])
            while more := self.answer_all():
                answered += more
        self.assertEqual(user.take().count(OK[:-2]), answered)
        user.leg.abort()
        self.relay.settle()
        for _, end in self.served:
            end.leg.abort()
        self.served.clear()
        self.relay.settle()
