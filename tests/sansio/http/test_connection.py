"""One user's connection, and what of it reaches providers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.http.answers import UNAUTHORIZED, not_found
from relaykit.sansio.http.connection import (
    DEFAULT_TIMEOUTS,
    MOST_HELD_BYTES,
    MOST_REPEATS,
    Finished,
    RequestedAgain,
)
from relaykit.sansio.http.rewriting import HeaderRules, Rules
from relaykit.sansio.late_wakeup import LATE_WAKEUP_S
from relaykit.testing.cuts import every_cut
from tests.sansio.http.between import DATE, OK, Between
from tests.sansio.http.hostile import BODIES, HEADS

GET = b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: web.example\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: web.example\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: web.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nDate: x\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n"
CONNECT = b"CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n"
STATUS_LINE = b"HTTP/1.1 200 OK\r\n"


def answer(*lines: bytes, status: bytes = b"200 OK", body: bytes = b"") -> bytes:
    """What a provider answers."""
    return b"\r\n".join((b"HTTP/1.1 " + status, b"Date: x", *lines, b"", body))


class ExchangeTests(SynchronousTestCase):
    """Requests and their answers."""

    def test_keep_alive(self) -> None:
        """Requests go on one after another, and so do the answers; both connections stay."""
        between = Between()
        for _ in range(3):
            between.user(GET)
            between.provider(OK)
        to_user, to_provider = between.take()
        self.assertEqual(to_user, OK * 3)
        self.assertEqual(
            to_provider.count(b"GET / HTTP/1.1\r\nHost: web.example\r\nX-Forwarded-For: 192.0.2.9\r\n"), 3
        )
        self.assertEqual(between.answers, [(200, True)] * 3)
        self.assertIsNone(between.finished)

    def test_every_cut(self) -> None:
        """However user and provider are cut, the same reaches the other side."""
        request = CHUNKED + b"3\r\nabc\r\n2;q=1\r\nde\r\n0\r\nX-T: 7\r\n\r\n" + GET
        response = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(
            b"Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\n\r\n"
        )
        outcomes = set()
        for portions in (*every_cut(request),):
            between = Between()
            between.user(*portions)
            between.provider(response)
            between.provider(OK)
            outcomes.add((*between.take(), tuple(between.answers)))
        for portions in every_cut(response):
            between = Between()
            between.user(request)
            between.provider(*portions)
            between.provider(OK)
            outcomes.add((*between.take(), tuple(between.answers)))
        [(to_user, to_provider, answers)] = outcomes
        self.assertEqual(to_user, response + OK)
        self.assertIn(b"\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 7\r\n\r\nGET / ", to_provider)
        self.assertEqual(answers, ((200, True), (200, True)))

    def test_pipelined(self) -> None:
        """What is sent behind a request waits until its answer is through, up to a bound."""
        between = Between()
        between.user(GET + GET)
        self.assertEqual((len(between.heads), between.core.wants_bytes), (1, True))
        between.user(GET * (MOST_HELD_BYTES // len(GET) + 1))
        self.assertFalse(between.core.wants_bytes)
        between.provider(OK[:-1])
        self.assertEqual(len(between.heads), 1)
        between.provider(OK[-1:])
        self.assertEqual(len(between.heads), 2)

    def test_closing_users(self) -> None:
        """A user that wants the connection closed gets it closed, and is told so."""
        for request, line in (
            (GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"Connection: close\r\n"),
            (b"GET / HTTP/1.0\r\n\r\n", b"Connection: close\r\n"),
        ):
            between = Between()
            between.user(request + GET)
            between.provider(OK)
            self.assertIn(line, between.take()[0])
            self.assertEqual((between.answers, between.finished), ([(200, True)], Finished(is_sending=True)))
            between.user(GET)
            self.assertEqual((between.take(), len(between.heads)), ((b"", b""), 1))

    def test_old_user_that_stays(self) -> None:
        """HTTP/1.0 keeps its connection if it asks for it, and the body has a length."""
        request = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        between = Between()
        between.user(request)
        between.provider(OK)
        self.assertIn(b"Connection: keep-alive\r\n", between.take()[0])
        self.assertIsNone(between.finished)
        between.user(request)
        between.provider(answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"))
        self.assertEqual(between.take()[0], answer(b"Connection: close", body=b"ok"))
        self.assertIsNotNone(between.finished)

    def test_half_closing_user(self) -> None:
        """A user that sends no more gets the answer to what it has asked, and then the end."""
        between = Between()
        between.user(GET)
        between.end_user()
        between.provider(OK)
        self.assertTrue(between.take()[0].endswith(b"Connection: close\r\n\r\nok"))
        self.assertEqual(between.finished, Finished())

    def test_half_closing_behind_more(self) -> None:
        """So does one that has asked more than one thing, and one that ends within an answer."""
        for more in (b"", GET[:9]):
            between = Between()
            between.user(GET + GET + more)
            between.end_user()
            between.provider(OK)
            self.assertEqual(between.take()[0], OK)
            between.provider(OK[:-1])
            self.assertIsNone(between.finished)
            between.provider(OK[-1:])
            self.assertEqual(between.finished, Finished())
        between = Between()
        between.user(GET)
        between.provider(OK[:-1])
        between.end_user()
        between.provider(OK[-1:])
        self.assertEqual((between.take()[0], between.finished), (OK, Finished()))

    def test_half_closing_before_a_decision(self) -> None:
        """A body that is here goes on whole when its user has ended; one that is not goes to nobody."""
        for body, answers in ((b"hello", []), (b"hel", [(499, False)])):
            between = Between(forwards=False)
            between.user(POST + body)
            between.end_user()
            self.assertIsNone(between.finished)
            between.core.forward(between.rules, 0.0)
            between.step()
            self.assertTrue(between.to_provider.endswith(b"\r\n\r\n" + body))
            self.assertEqual((between.answers, between.finished is None), (answers, not answers))

    def test_large_heads(self) -> None:
        """Heads that are too large to be remembered go on like others."""
        between = Between()
        field = b"X-A: " + b"a" * 10_000
        for _ in range(2):
            between.user(GET.replace(b"\r\n\r\n", b"\r\n%b\r\n\r\n" % field))
            between.provider(answer(field, b"Content-Length: 0"))
        self.assertEqual([taken.count(field) for taken in between.take()], [2, 2])

    def test_user_leaves(self) -> None:
        """A user that ends within its request gets nothing; between two requests it just ends."""
        for data, answers in ((b"", []), (GET[:9], []), (POST + b"he", [(499, False)])):
            between = Between()
            between.user(data)
            between.end_user()
            self.assertEqual((between.answers, between.take()[0]), (answers, b""))
            self.assertIsNotNone(between.finished)

    def test_bodies(self) -> None:
        """Bodies of each kind reach the user framed as it can read them."""
        for request, response, sent, reusable, finished in (
            (
                GET,
                answer(b"Content-Length: 2", body=b"ok"),
                answer(b"Content-Length: 2", body=b"ok"),
                True,
                False,
            ),
            (
                GET,
                answer(body=b"ok"),
                answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
                False,
                False,
            ),
            (
                b"GET / HTTP/1.0\r\n\r\n",
                answer(body=b"ok"),
                answer(b"Connection: close", body=b"ok"),
                False,
                True,
            ),
            (b"HEAD" + GET[3:], answer(b"Content-Length: 2"), answer(b"Content-Length: 2"), True, False),
            (b"HEAD" + GET[3:], answer(b"Transfer-Encoding: chunked"), answer(), True, False),
            (
                GET,
                answer(b"Content-Length: 2", status=b"304 x"),
                answer(b"Content-Length: 2", status=b"304 x"),
                True,
                False,
            ),
            (GET, answer(b"Content-Length: 2", status=b"204 x"), answer(status=b"204 x"), True, False),
            (GET, answer(b"Content-Length: 0"), answer(b"Content-Length: 0"), True, False),
            (
                GET,
                answer(b"Content-Length: 2", b"Connection: close", body=b"ok"),
                OK.replace(DATE, b"x"),
                False,
                False,
            ),
        ):
            between = Between()
            between.user(request)
            between.provider(response)
            between.end_provider()
            to_user = between.take()[0]
            self.assertEqual(sorted(to_user.split(b"\r\n")), sorted(sent.split(b"\r\n")), response)
            self.assertEqual(
                (between.answers[0][1], between.finished is not None), (reusable, finished), response
            )

    def test_surplus(self) -> None:
        """Bytes behind an answer are for nobody, and nobody is asked on that connection again."""
        between = Between()
        between.user(GET)
        between.provider(OK + b"more")
        self.assertEqual((between.take()[0], between.answers), (OK, [(200, False)]))

    def test_rules(self) -> None:
        """The rules of the proxy that was chosen apply to both heads."""
        between = Between()
        between.rules = Rules(b"inner", HeaderRules.of({"X-A": "1"}), HeaderRules.of({"X-B": "2"}))
        between.user(GET)
        between.provider(OK)
        to_user, to_provider = between.take()
        self.assertIn(b"Host: inner\r\n", to_provider)
        self.assertIn(b"X-A: 1\r\n", to_provider)
        self.assertIn(b"X-B: 2\r\n", to_user)

    def test_unasked(self) -> None:
        """A driver that forwards or answers what is not there is told of its defect."""
        between = Between(forwards=False)
        self.assertRaises(LocalProtocolError, between.core.forward, between.rules, 0.0)
        self.assertRaises(LocalProtocolError, between.core.answer, not_found(), 0.0)
        between.forwards = True
        between.user(GET)
        between.provider(OK[:-1])
        self.assertRaises(LocalProtocolError, between.core.answer, not_found(), 0.0)


class OwnAnswerTests(SynchronousTestCase):
    """Answers without a provider."""

    def test_kept(self) -> None:
        """After one the user may ask again; the body of its request is skipped if it is there."""
        for request in (GET, POST + b"hello", CHUNKED + b"1\r\na\r\n0\r\n\r\n"):
            between = Between(forwards=False)
            between.user(request + GET)
            for _ in range(2):
                between.core.answer(UNAUTHORIZED, 0.0)
                between.step()
            self.assertEqual(between.to_user.count(b"HTTP/1.1 401 Unauthorized\r\n"), 2)
            self.assertEqual((between.answers, between.finished), ([(401, False)] * 2, None))

    def test_unread_body(self) -> None:
        """A body that is not there yet costs the connection."""
        between = Between(forwards=False)
        between.user(POST + b"hel")
        between.core.answer(not_found(), 0.0)
        between.step()
        self.assertIn(b"Connection: close\r\n", between.to_user)
        self.assertEqual(between.finished, Finished(is_sending=True))

    def test_skipped_nonsense(self) -> None:
        """A body that is none is not skipped: nobody knows where the next request begins."""
        between = Between(forwards=False)
        between.user(CHUNKED + b"x\r\n" + GET)
        between.core.answer(not_found(), 0.0)
        between.step()
        self.assertEqual((len(between.answers), between.finished), (1, Finished(is_sending=True)))

    def test_options(self) -> None:
        """``OPTIONS *`` is answered at once, any number of times."""
        between = Between()
        between.user(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" * 2000 + GET)
        self.assertEqual((len(between.answers), len(between.heads)), (2000, 1))

    def test_hostile_heads(self) -> None:
        """Each is answered with its status and the end, and nothing of it reaches a provider."""
        for hostile in HEADS:
            between = Between()
            between.user(hostile.data + GET)
            to_user, to_provider = between.take()
            self.assertTrue(to_user.startswith(b"HTTP/1.1 %d " % hostile.status), str(hostile))
            self.assertIn(b"Connection: close\r\n", to_user)
            self.assertEqual((to_provider, list(between.heads)), (b"", []))
            self.assertEqual(between.finished, Finished(is_sending=True))

    def test_hostile_bodies(self) -> None:
        """A body that is none never comes to an end at the provider; the user is told, and left."""
        for body in BODIES:
            between = Between()
            between.user(CHUNKED + body + GET)
            to_user, to_provider = between.take()
            self.assertTrue(to_user.startswith(b"HTTP/1.1 400 "), body[:60])
            self.assertNotIn(b"0\r\n\r\n", to_provider)
            self.assertNotIn(b"GET", to_provider)
            self.assertEqual((between.answers, len(between.heads)), ([(400, False)], 1))
            self.assertIsNotNone(between.finished)


class BlockedTests(SynchronousTestCase):
    """Users who take nothing for a while."""

    def test_asks_on(self) -> None:
        """What a user asks for that takes no answers waits until it does, also if it sends no more then."""
        for ends in (False, True):
            between = Between()
            between.core.user_blocks(True, 0.0)
            between.user(GET * 2)
            if ends:
                between.end_user()
            self.assertEqual((between.to_provider, between.finished), (b"", None))
            between.core.user_blocks(False, 0.0)
            between.step()
            for _ in range(2):
                self.assertEqual(between.take()[1].count(b"GET "), 1)
                between.provider(OK)
            self.assertEqual(between.finished, Finished() if ends else None)
            self.assertEqual(between.answers, [(200, True)] * 2)

    def test_ends_in_a_head(self) -> None:
        """Who has sent half a request when it ends is not waited for."""
        between = Between()
        between.core.user_blocks(True, 0.0)
        between.user(GET[:-1])
        between.end_user()
        between.core.user_blocks(False, 0.0)
        between.step()
        self.assertEqual(between.finished, Finished())


class EarlyTests(SynchronousTestCase):
    """Answers that come before the request has ended, and what is asked for before it goes on."""

    def test_expect(self) -> None:
        """The provider is asked whether to go on, and it is the provider who says so."""
        between = Between()
        between.user(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        self.assertIn(b"Expect: 100-continue\r\n", between.take()[1])
        between.provider(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(between.take()[0], b"HTTP/1.1 100 Continue\r\n\r\n")
        between.user(b"hello")
        between.provider(OK)
        self.assertEqual(between.take(), (OK, b"hello"))
        self.assertEqual((between.answers, between.finished), ([(200, True)], None))

    def test_interim_for_old_users(self) -> None:
        """HTTP/1.0 has no interim responses."""
        between = Between()
        between.user(b"GET / HTTP/1.0\r\n\r\n")
        between.provider(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\n")
        self.assertEqual(between.take()[0], b"")

    def test_refused(self) -> None:
        """An error before the body has ended goes on at once, and ends both connections."""
        between = Between()
        between.user(POST + b"hel")
        between.provider(answer(b"Content-Length: 0", status=b"413 Too Large"))
        self.assertIn(b"Connection: close\r\n", between.take()[0])
        self.assertEqual((between.answers, between.finished), ([(413, False)], Finished(is_sending=True)))

    def test_both_at_once(self) -> None:
        """An answer may begin, and go on, while the request goes on; if the request ends first, all stays."""
        between = Between()
        between.user(POST)
        between.provider(answer(b"Content-Length: 2"), b"o")
        between.user(b"hello")
        between.provider(b"k")
        self.assertEqual(between.to_user, answer(b"Content-Length: 2", body=b"ok"))
        self.assertEqual((between.answers, between.finished), ([(200, True)], None))

    def test_nonsense_after_an_answer(self) -> None:
        """A body that turns out to be none while its answer goes on cuts the answer off."""
        between = Between()
        between.user(CHUNKED)
        between.provider(answer(b"Content-Length: 2"))
        between.user(b"x\r\n")
        self.assertEqual((between.answers, between.finished), ([(200, False)], Finished(is_cut=True)))

    def test_answer_ends_first(self) -> None:
        """If the answer ends before the request, neither connection can be used again."""
        between = Between()
        between.user(POST)
        between.provider(OK)
        self.assertEqual((between.answers, between.finished), ([(200, False)], Finished(is_sending=True)))


class TunnelTests(SynchronousTestCase):
    """Upgrades and CONNECT."""

    def test_upgrade(self) -> None:
        """What was sent behind the request and behind the answer is for the other side, unread."""
        between = Between()
        between.user(UPGRADE + b"EARLY")
        handshake = between.take()[1]
        self.assertIn(b"Upgrade: websocket\r\nConnection: Upgrade\r\n", handshake)
        self.assertNotIn(b"EARLY", handshake)
        between.provider(SWITCHED + b"late")
        to_user, to_provider = between.take()
        self.assertEqual(to_provider, b"EARLY")
        self.assertTrue(to_user.endswith(b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nlate"))
        between.user(b"\x00GET")
        between.provider(b"\xff")
        self.assertEqual((between.take(), between.tunneled), ((b"\xff", b"\x00GET"), True))
        self.assertIsNone(between.core.next_wakeup())

    def test_refused_upgrade(self) -> None:
        """A provider that does not switch answers as usual, and what was sent behind is the next request."""
        between = Between()
        between.user(UPGRADE + GET)
        between.provider(OK)
        self.assertEqual((len(between.heads), between.tunneled), (2, False))

    def test_wrong_upgrade(self) -> None:
        """A switch that nobody asked for, or to something else, is no answer."""
        for request, response in (
            (GET, SWITCHED),
            (UPGRADE, SWITCHED.replace(b"WebSocket", b"h2c")),
            (UPGRADE, SWITCHED.replace(b"Upgrade: WebSocket\r\n", b"")),
        ):
            between = Between()
            between.user(request)
            between.provider(response)
            self.assertEqual((between.answers, between.tunneled), ([(502, False)], False))

    def test_connect(self) -> None:
        """CONNECT becomes a tunnel by the provider's word; what was sent behind it is kept."""
        between = Between()
        between.user(CONNECT + b"EARLY")
        self.assertEqual(between.take()[1], CONNECT)
        between.provider(answer(b"Content-Length: 9", b"X-P: 1", status=b"200 Established") + b"late")
        expected = answer(b"X-P: 1", status=b"200 Established", body=b"late")
        self.assertEqual((between.take(), between.tunneled), ((expected, b"EARLY"), True))

    def test_heads(self) -> None:
        """No tunnel has a date that its provider did not say, and only an upgrade has rules applied."""
        rules = Rules(response=HeaderRules.of({"X-New": "1"}))
        for request, response, expected in (
            (UPGRADE, SWITCHED.replace(b"Date: x\r\n", b""), [b"X-New", b"Connection", b"Upgrade"]),
            (CONNECT, b"HTTP/1.1 200 Yes\r\nX-P: 1\r\n\r\n", [b"X-P"]),
            (CONNECT, b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", [b"Date", b"Content-Length"]),
        ):
            between = Between()
            between.rules = rules
            between.user(request)
            between.provider(response)
            _, *lines = between.take()[0].removesuffix(b"\r\n\r\n").split(b"\r\n")
            self.assertEqual([line.partition(b":")[0] for line in lines], expected)

    def test_refused_connect(self) -> None:
        """After a refusal another try is taken, but not what was meant for the tunnel."""
        refused = answer(b"Content-Length: 0", status=b"407 No")
        for early, kept in ((b"", True), (GET, False)):
            between = Between()
            between.user(CONNECT + early)
            between.provider(refused)
            self.assertEqual((between.finished is None, len(between.heads)), (kept, 1))


class FailureTests(SynchronousTestCase):
    """Providers that fail."""

    def test_no_answer(self) -> None:
        """A provider that ends without an answer, or answers with something else, is a bad gateway."""
        for response in (
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            SWITCHED,
        ):
            between = Between()
            between.user(GET)
            between.provider(response)
            between.end_provider()
            self.assertIn(b"HTTP/1.1 502 Bad Gateway\r\n", between.to_user)
            self.assertEqual((between.answers, between.finished), ([(502, False)], None))

    def test_head_of_bad_gateway(self) -> None:
        """The answer to HEAD has no body then either."""
        between = Between()
        between.user(b"HEAD" + GET[3:])
        between.end_provider()
        self.assertTrue(between.to_user.endswith(b"\r\n\r\n"))

    def test_lost_without_length(self) -> None:
        """A body that only the end of its stream completes is not complete if the provider is lost."""
        for version, is_unframed in ((b"1.1", False), (b"1.0", True)):
            between = Between()
            between.user(GET.replace(b"1.1", version))
            between.provider(answer(body=b"he"))
            between.end_provider(in_order=False)
            cut = Finished(is_cut=True, is_unframed=is_unframed)
            self.assertEqual((between.answers, between.finished), ([(200, False)], cut))
            self.assertNotIn(b"\r\n0\r\n", between.to_user)

    def test_cut_off(self) -> None:
        """A body that breaks off is never made to look complete."""
        for response in (
            answer(b"Content-Length: 5", body=b"he"),
            answer(b"Transfer-Encoding: chunked", body=b"5\r\nhe"),
            answer(b"Transfer-Encoding: chunked", body=b"2\r\nhe\r\n"),
            answer(b"Transfer-Encoding: chunked", body=b"2\r\nhe\r\nxyz\r\n0\r\n\r\n"),
        ):
            between = Between()
            between.user(GET)
            between.provider(response)
            between.end_provider()
            self.assertEqual((between.answers, between.finished), ([(200, False)], Finished(is_cut=True)))
            self.assertNotIn(b"\r\n0\r\n", between.to_user)

    def test_stale(self) -> None:
        """A connection that had ended before it was asked is replaced, once."""
        between = Between(reused=True)
        between.user(GET)
        once = between.take()[1]
        between.end_provider()
        self.assertEqual(between.take(), (b"", once))
        self.assertTrue(any(isinstance(event, RequestedAgain) for event in between.events))
        between.provider(OK)
        self.assertEqual((between.take()[0], between.answers), (OK, [(200, True)]))

    def test_stale_before_it_was_asked(self) -> None:
        """What was meant for the connection that has ended does not reach the fresh one."""
        between = Between(forwards=False)
        between.user(GET)
        between.core.forward(between.rules, 0.0, reused=True)
        between.core.provider_ended(0.0)
        between.core.forward(between.rules, 0.0)
        self.assertEqual(b"".join(between.core.to_provider()).count(b"GET "), 1)

    def test_not_repeated(self) -> None:
        """What may have had an effect, or has been answered in part, is not sent again, nor a body."""
        for request, response, reused in (
            (GET, b"", False),
            (GET, b"HTTP", True),
            (POST + b"hello", b"", True),
            (POST.replace(b" 5", b" 0"), b"", True),
            (b"PUT" + POST[4:] + b"hello", b"", True),
        ):
            between = Between(reused=reused)
            between.user(request)
            between.provider(response)
            between.end_provider()
            self.assertEqual(between.answers, [(502, False)], request)

    def test_other_provider(self) -> None:
        """Where another one may serve, a fresh connection that ends unanswered costs a request nothing."""
        for request, again in ((GET, True), (POST + b"hello", False)):
            between = Between()
            between.user(request)
            self.assertTrue(between.core.awaits_answer)
            between.core.provider_ended(between.now, has_other=True)
            between.step()
            self.assertEqual(between.answers, [] if again else [(502, False)])
        between = Between()
        self.assertFalse(between.core.awaits_answer)
        between.user(GET)
        between.provider(b"HTTP")
        self.assertFalse(between.core.awaits_answer)

    def test_repeated_without_end(self) -> None:
        """A request that whoever gets it ends unanswered is answered in the end; so is the next one."""
        between = Between()
        for _ in range(2):
            between.user(GET)
            for _ in range(MOST_REPEATS):
                between.core.provider_ended(between.now, has_other=True)
                between.step()
            self.assertEqual(between.take()[0], b"")
            between.core.provider_ended(between.now, has_other=True)
            between.step()
            self.assertTrue(between.take()[0].startswith(b"HTTP/1.1 502 "))
        self.assertEqual(between.answers, [(502, False)] * 2)

    def test_repeated_without_a_body(self) -> None:
        """PUT and DELETE without a body have the same effect twice."""
        for method in (b"PUT", b"DELETE", b"HEAD", b"OPTIONS"):
            between = Between(reused=True)
            between.user(method + GET[3:])
            between.end_provider()
            self.assertEqual(between.answers, [])


class DeadlineTests(SynchronousTestCase):
    """Steps that take too long."""

    def test_silent_user(self) -> None:
        """A user that sends nothing is left without a word, before a request and between two."""
        between = Between()
        between.core.wake(0.0)
        between.wait(DEFAULT_TIMEOUTS.head_s - 1)
        self.assertIsNone(between.finished)
        between.wait(1)
        self.assertEqual((between.finished, between.to_user), (Finished(), b""))
        between = Between()
        between.user(GET)
        between.provider(OK)
        between.wait(DEFAULT_TIMEOUTS.idle_s - 1)
        self.assertIsNone(between.finished)
        between.wait(1)
        self.assertEqual((between.finished, between.to_user), (Finished(), OK))

    def test_slow_head(self) -> None:
        """A head has its time from its first byte on, however busily it comes."""
        between = Between()
        between.user(GET)
        between.provider(OK)
        between.take()
        between.wait(100)
        for place in range(30):
            between.user(GET[place : place + 1])
            between.wait(2)
        self.assertTrue(between.to_user.startswith(b"HTTP/1.1 408 "))
        self.assertEqual(between.finished, Finished(is_sending=True))

    def test_slow_body(self) -> None:
        """A body has its time from piece to piece; whose fault a delay is, the answer tells."""
        for blocks, status in ((False, 408), (True, 504)):
            between = Between()
            between.user(POST)
            for _ in range(3):
                between.wait(DEFAULT_TIMEOUTS.body_s - 1)
                between.user(b"h")
            between.core.provider_blocks(blocks)
            between.wait(DEFAULT_TIMEOUTS.body_s)
            self.assertTrue(between.to_user.startswith(b"HTTP/1.1 %d " % status))
            self.assertEqual(between.answers, [(status, False)])
            self.assertIsNotNone(between.finished)

    def test_slow_provider(self) -> None:
        """A provider has its time for the head of its answer, from the end of the request on."""
        between = Between()
        between.user(GET)
        between.provider(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        between.wait(DEFAULT_TIMEOUTS.response_s)
        self.assertIn(b"HTTP/1.1 504 Gateway Timeout\r\n", between.to_user)
        self.assertEqual((between.answers, between.finished), ([(504, False)], None))

    def test_no_limit(self) -> None:
        """A decision, and an answer that has begun, may take for ever: others watch those."""
        between = Between(forwards=False)
        between.user(GET)
        self.assertIsNone(between.core.next_wakeup())
        between.core.forward(between.rules, 0.0)
        between.provider(OK[:-1])
        self.assertIsNone(between.core.next_wakeup())

    def test_silence_for_who_may_be_gone(self) -> None:
        """An answer that has begun may be silent for so long only where its user sends no more."""
        for ends_first in (False, True):
            between = Between()
            between.user(GET)
            if ends_first:
                between.end_user()
            between.provider(OK[:-2])
            if not ends_first:
                self.assertIsNone(between.core.next_wakeup())
                between.end_user()
            between.wait(DEFAULT_TIMEOUTS.idle_s - 1)
            between.provider(b"o")
            between.wait(DEFAULT_TIMEOUTS.idle_s - 1)
            self.assertIsNone(between.finished)
            between.wait(1)
            self.assertEqual((between.answers, between.finished), ([(200, False)], Finished(is_cut=True)))

    def test_stalled_user(self) -> None:
        """A user that takes nothing of an answer for so long gets no more; one that takes some does."""
        between = Between()
        between.user(GET)
        between.provider(OK[:-1])
        for _ in range(3):
            between.core.user_blocks(True, between.now)
            between.wait(DEFAULT_TIMEOUTS.stalled_s - 1)
            between.core.user_blocks(False, between.now)
        self.assertIsNone(between.core.next_wakeup())
        between.core.user_blocks(True, between.now)
        between.core.wake(between.now + DEFAULT_TIMEOUTS.stalled_s + LATE_WAKEUP_S + 1)
        self.assertEqual(between.core.events(), [])
        between.wait(DEFAULT_TIMEOUTS.stalled_s * 2)
        self.assertEqual(between.answers, [(200, False)])
        self.assertEqual(between.finished, Finished(is_cut=True))
        self.assertIsNone(between.core.next_wakeup())

    def test_late_wakeup(self) -> None:
        """A wake-up that comes late says nothing of the user: what it sent may wait to be read."""
        between = Between()
        between.core.wake(DEFAULT_TIMEOUTS.head_s + LATE_WAKEUP_S + 1)
        between.step()
        self.assertIsNone(between.finished)
        between.wait(DEFAULT_TIMEOUTS.head_s * 2)
        self.assertIsNotNone(between.finished)


_words = st.sampled_from(
    (
        *(
            GET,
            POST,
            CHUNKED,
            UPGRADE,
            CONNECT,
            OK,
            SWITCHED,
            b"hello",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"\r\n",
        ),
        *(
            answer(b"Transfer-Encoding: chunked"),
            answer(),
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"x",
            b"\n",
            b"GET ",
        ),
    )
)


class JunkTests(SynchronousTestCase):
    """Anything, in any order."""

    @given(
        st.booleans(),
        st.lists(
            st.tuples(st.sampled_from(["user", "provider", "end_user", "end_provider", "wait"]), _words),
            max_size=20,
        ),
    )
    def test_junk(self, reused: bool, steps: list[tuple[str, bytes]]) -> None:
        """Nothing raises, and each request that is told comes to one end."""
        between = Between(reused=reused)
        for step, data in steps:
            if step == "wait":
                between.wait(50)
            elif step.startswith("end"):
                getattr(between, step)()
            else:
                getattr(between, step)(data)
        self.assertIn(len(between.heads) - len(between.answers), (0, 1))
        self.assertLessEqual(sum(isinstance(event, Finished) for event in between.events), 1)
        if between.finished is not None:
            self.assertIsNone(between.core.next_wakeup())
