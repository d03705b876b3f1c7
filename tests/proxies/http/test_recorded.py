"""What users and services of frp's ``http`` saw, and what they see of ours: the same but for what we mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ProxyRefusedError
from tests.proxies.http.exchanges import Case, Replay, Scenario, load

PAGE = b"custom not found\n"
"""The page that was configured."""


ANYTHING = (0,)
"""Stands for statuses of answers that are not HTTP/1."""


@frozen
class Differs:
    """What is not as recorded, and why we want it so; all else is."""

    why: str
    statuses: tuple[int, ...] | None = None
    """What our user gets, if that is something else."""
    asked: int | None = None
    """How many requests reach a service, if those are other ones."""


NOT_FOUND = "Whose service does not answer, or not in HTTP, is there all the same: 502, not 404."
TIMEOUT = "A 504 has a page that says what happened."
VERSION = (
    "An answer has the server's own version (RFC 9110 section 2.5); who speaks 1.0 is told of the close."
)
LENIENT = "Two readers may take it for two different requests, so it is refused."
HOST = "A target whose Host is another one is refused: two readers may route it differently."
METHOD = "Methods are upper-case (RFC 9110 section 9.1 has all so), and others nobody knows are refused."
PATH = "Paths are looked up as a server would resolve them, so that no location is passed by."
AGENT = "Nothing is added to CONNECT, and what is about the connection ends here."
NO_LENGTH = "Nor has the answer a length, which nobody may heed (RFC 9110 section 9.3.6)."
EXPECT = "The service decides whether it wants the body; 100 is passed on, and not made up."
REASON = "The reason phrase is passed on."
RULE = "No rule sets Connection."
TE = "TE is named by Connection, which RFC 9110 section 10.1.4 demands."
HALF = "What has come of an answer that breaks off is delivered, as it comes."
EARLY = "An early answer is delivered at once; then the connection ends, with what was left of the request."
HEARD = "Bytes right behind the request are the service's. Keep-Alive is about one connection."
GROUP = "The first member comes first, as with the other types, and each has the rules that it asked for."
DEAD = "A member without a service is passed over."
FRESH = "What must not be sent twice goes over a fresh work connection."
AT_ONCE = "What is no HTTP is answered at once."
SETTINGS = "Settings and windows of HTTP/2 are each server's own."
WEBDAV = "On a shared port the methods of WebDAV are known, too."

DIFFERENCES: Mapping[str, Differs] = {
    "10-short": Differs(VERSION, (404,)),
    "304": Differs("A 304 may say the length that a 200 would have (RFC 9110 section 8.6).", (304,)),
    "504": Differs(TIMEOUT, (504,)),
    "auth-proxymode": Differs(HOST, (400,), 0),
    "auth-proxymode-authorization": Differs(HOST, (400,)),
    "auth-proxymode-none": Differs(HOST, (400,)),
    "chunked-response-10": Differs(VERSION, (200,)),
    "connect": Differs(AGENT, None, 1),
    "connect-404": Differs("No route is answered alike for all methods, and the server has no name.", (404,)),
    "connect-407": Differs(AGENT, None, 1),
    "connect-early": Differs(f"{AGENT} {HEARD}", (200,), 1),
    "connect-hostdiff": Differs(AGENT, None, 1),
    "connect-reject": Differs(f"{AGENT} After a refusal the user may ask on.", (403,), 1),
    "drop": Differs(NOT_FOUND, (502,)),
    "drop-post": Differs(NOT_FOUND, (502,)),
    "early-200": Differs(EARLY, (200,), 1),
    "early-413": Differs(EARLY, (413,)),
    "expect": Differs(EXPECT, (100, 200)),
    "expect-417": Differs(EXPECT, (417,)),
    "expect-other": Differs("The answer says what is wrong.", (417,)),
    "expect-silent": Differs(EXPECT, (200,)),
    "forward-headers": Differs(TE, None, 1),
    "garbage": Differs(AT_ONCE, (400,)),
    "garbage2": Differs(AT_ONCE, (400,)),
    **{f"group-http: request {number}": Differs(GROUP, (200,), 1) for number in range(6)},
    "group-http: keep-alive user, four requests": Differs(GROUP, 4 * (200,), 4),
    **{f"group-http-dead-member: request {number}": Differs(DEAD, (200,), 1) for number in (0, 2, 4)},
    "gzip-added": Differs("Nothing is compressed that the user did not ask for, nor unpacked.", (200,)),
    "half": Differs(HALF, (200,)),
    "half-large": Differs(HALF, (200,)),
    "half-small": Differs(HALF, (200,)),
    "halfclose": Differs("Who has asked, and sends no more, gets its answer.", (200,), 1),
    "headers-incomplete": Differs(TIMEOUT, (504,)),
    "malformed": Differs(NOT_FOUND, (502,)),
    "min-short": Differs(VERSION, (404,)),
    "no-date": Differs("Nobody guesses what a body is.", (200,)),
    **{
        f"ports-{shared}-shared: {name}": differs
        for shared in ("all", "http", "https")
        for name, differs in (
            ("CONNECT", Differs(f"{AGENT} {NO_LENGTH}", (200,), 1)),
            ("HTTP/2 preface", Differs(SETTINGS, ANYTHING)),
        )
    },
    "ports-all-shared: PROPFIND": Differs(WEBDAV, (200,), 1),
    "ports-http-shared: PROPFIND": Differs(WEBDAV, (200,), 1),
    "ports-http-shared: unknown SNI": Differs("TLS on the bind port is each server's own.", ()),
    "ports-https-shared: lower get": Differs(METHOD, (501,), 0),
    "post-chunked": Differs("Trailers of requests are passed on.", None, 1),
    "provider-2cl": Differs(NOT_FOUND, (502,)),
    "provider-404": Differs(REASON, (404, 502)),
    "redirect": Differs(RULE, None, 1),
    "refused": Differs(NOT_FOUND, (502,)),
    "response-hop": Differs(REASON, (299,)),
    "retry-delete-without-body": Differs(f"{NOT_FOUND} DELETE may be sent again.", (200, 502), 3),
    "retry-get-on-a-pooled-connection": Differs(NOT_FOUND, (200, 502)),
    "retry-get-with-body": Differs(f"{NOT_FOUND} {FRESH}", (200, 502), 2),
    "retry-post-with-body": Differs(f"{NOT_FOUND} {FRESH}", (200, 502), 2),
    "retry-post-with-idempotency-key": Differs(f"{NOT_FOUND} {FRESH}", (200, 502), 2),
    "retry-post-without-body": Differs(f"{NOT_FOUND} {FRESH}", (200, 502), 2),
    "routing:  /pub user=None": Differs("An empty Host is passed on as such, and nowhere else.", None, 1),
    "routing: *.example.com / user=None": Differs("A star is in no name of a host.", (400,), 0),
    "routing: CONNECT web.example.com:80": Differs(f"{AGENT} {NO_LENGTH}", (200,), 1),
    "routing: HTTP/1.0 host": Differs(VERSION, (200,)),
    "routing: HTTP/1.0 keep-alive": Differs(VERSION, (200,)),
    "routing: HTTP/1.0 no host": Differs(f"{VERSION} No Host is passed on as an empty one.", (200,), 1),
    "routing: LF only": Differs(LENIENT, (400,), 0),
    "routing: Upgrade h2c": Differs("HTTP/2 within a request would be read by nobody here.", None, 1),
    "routing: absolute URI": Differs(HOST, (400,), 0),
    "routing: absolute URI https": Differs(HOST, (400,), 0),
    "routing: absolute URI, Authorization bob": Differs(HOST, (400,), 0),
    "routing: absolute URI, Proxy-Authorization bob": Differs(HOST, (400,), 0),
    "routing: both CL and TE": Differs(LENIENT, (400,), 0),
    "routing: fragment": Differs(LENIENT, (400,), 0),
    "routing: garbage": Differs(AT_ONCE, (400,)),
    "routing: lower method": Differs(METHOD, (501,), 0),
    "routing: obs-fold": Differs(LENIENT, (400,), 0),
    "routing: query ; and bad escape": Differs("A query is passed on as it is.", None, 1),
    "routing: two CL same": Differs(LENIENT, (400,), 0),
    "routing: unescaped chars in path": Differs("ASCII in a path is passed on as it is.", None, 1),
    "routing: unknown route HEAD": Differs("The page has another length.", (404,)),
    "routing: web.example.com * user=None": Differs(LENIENT, (400,), 0),
    "routing: web.example.com /./api user=None": Differs(PATH, (200,), 1),
    "routing: web.example.com //api user=None": Differs(PATH, (200,), 1),
    "routing: web.example.com /x/../api user=None": Differs(PATH, (400,), 0),
    "routing: web.example.com:80:90 /pub user=None": Differs(LENIENT, (400,), 0),
    "rules": Differs(f"{REASON} {RULE}", (299,), 1),
    "rules-absolute": Differs(HOST, (400,), 0),
    "tls": Differs(AT_ONCE, (400,)),
    "trailer-response": Differs(TE, None, 1),
    "upgrade": Differs("Keep-Alive is about one connection.", (101,)),
    "upgrade-early": Differs(HEARD, (101,), 1),
    "upgrade-mismatch": Differs(NOT_FOUND, (502,)),
    "upgrade-not-asked": Differs(NOT_FOUND, (502,)),
}
"""By scenario, and by case where a scenario has several."""

GROUPABLE = frozenset({"newloc", "newtwo"})
"""Proxies with several domains or locations, which frp takes into no group and we do."""


class RecordedTests(SynchronousTestCase):
    """The same requests, answered by the same services."""

    def setUp(self) -> None:
        self.page = Path(self.mktemp())
        self.page.write_bytes(PAGE)

    def replay(self, scenario: Scenario) -> Replay:
        """A relay with the sites of a scenario."""
        replay = Replay(scenario, self.page)
        for proxy in scenario.proxies:
            if proxy["type"] == "http" or scenario.name.startswith("ports-"):
                replay.publish(proxy)
        return replay

    def cases(self) -> Iterator[tuple[str, Replay, Case]]:
        """All cases, with their keys in the table."""
        for scenario in load():
            if scenario.cases:
                replay = self.replay(scenario)
                is_only = len(scenario.cases) == 1
                for case in scenario.cases:
                    yield scenario.name if is_only else f"{scenario.name}: {case.name}", replay, case

    def test_all(self) -> None:
        """Users and services see what they saw of frp, or what stands in the table, with its reason."""
        seen: set[str] = set()
        for key, replay, case in self.cases():
            self.assertNotIn(key, seen)
            seen.add(key)
            theirs, ours = case.played, replay.play(case)
            differs = DIFFERENCES.get(key, Differs(""))
            if differs.statuses is None:
                self.assertEqual((ours.answers, ours.is_ended), (theirs.answers, theirs.is_ended), key)
            else:
                self.assertNotEqual((ours.answers, ours.is_ended), (theirs.answers, theirs.is_ended), key)
                if differs.statuses != ANYTHING:
                    self.assertEqual(ours.statuses, differs.statuses, key)
            if differs.asked is None:
                self.assertEqual(ours.requests, theirs.requests, key)
            else:
                self.assertNotEqual(ours.requests, theirs.requests, key)
                self.assertEqual(ours.asked, differs.asked, key)
        self.assertEqual(len(seen), 207)
        self.assertEqual(set(DIFFERENCES) - seen, set())

    def test_absolute(self) -> None:
        """What is refused for its Host is served as frp does if Host and target say the same."""
        corrected = 0
        for key, replay, case in self.cases():
            differs = DIFFERENCES.get(key)
            if differs is None or differs.why != HOST:
                continue
            sent = re.sub(rb"(?m)^(\S+ \w+://([^/ ]+)[^\r]*\r\nHost: ).*?\r\n", rb"\1\2\r\n", case.sent)
            events = [(kind, sent if kind == "send" else data) for kind, data in case.events]
            theirs, ours = case.played, replay.play(evolve(case, events=events))
            self.assertEqual(ours.statuses, theirs.statuses, key)
            if "https" in key or key == "rules-absolute":
                # The scheme of the user is passed on, and so is a reason phrase; there is no Connection.
                continue
            self.assertEqual(ours, theirs, key)
            corrected += 1
        self.assertEqual(corrected, 6)

    def test_refused(self) -> None:
        """Who does not fit into a group, or wants what another one has, is refused in frp's words."""
        for scenario in load():
            replay = Replay(scenario, self.page)
            proxies = {proxy["name"]: proxy for proxy in scenario.proxies if proxy["type"] == "http"}
            refused = {name: text for name, text in scenario.refused.items() if name in proxies}
            for name, proxy in proxies.items() if refused else ():
                if name not in refused or name in GROUPABLE:
                    replay.publish(proxy)
                    continue
                error = self.assertRaises(ProxyRefusedError, replay.publish, proxy)
                self.assertEqual(error.text, refused[name], name)
