"""Whatever is asked of any call of either role is answered, and nothing is a defect."""

from __future__ import annotations

import string
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.routes import Route
from relaykit.administration.site import ANSWER_S, AdministrationSite
from tests.administration.exchanges import Connection
from tests.administration.roles import ROLES, control_site

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

ENDING = frozenset({"/control/stop", "/api/stop"})
"""These end the program, which there is none of."""

_PARTS = st.one_of(
    st.sampled_from(["%00", "%2F", "..", "%2e%2e", "%ff", "a" * 3000, "*", "{name}", "0", "-1", "%zz"]),
    st.text(st.sampled_from(string.ascii_letters + string.digits + "%.-_~!$&'()*+,;=:@"), max_size=20),
)
_WORDS = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "1e9", "NaN", "99999999999999999999", "true", "%00", "%ff", "minute", "a" * 3000]
    ),
    st.text(st.sampled_from(string.ascii_letters + string.digits + "%.-_:[]"), max_size=20),
)
_KEYS = (
    *("q", "client", "order", "page", "pageSize", "proxy", "address", "grain", "from", "to", "users"),
    *("list", "type", "name", "status", "strictConfig", "level"),
)
_BODIES = st.one_of(
    st.sampled_from(
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"{",
            b'{"text": 7}',
            b'{"text": "[["}',
            b'{"name": "a", "type": "tcp"}',
            b'{"name": "\\u0000", "type": "tcp", "tcp": {"localPort": "x"}}',
            b'{"name": "a", "type": "no such"}',
            b"[" * 5000,
            b'{"a":' * 3000,
            b"\xff\xfe",
        ]
    ),
    st.binary(max_size=60),
)


def _place(route: Route, parts: list[str]) -> str:
    """A path of a route, with these parts for what is open."""
    left = iter(parts)
    return "/".join(next(left, "x") if each.startswith("{") else each for each in route.path.split("/"))


class EveryCallTests(SynchronousTestCase):
    """Tests for all routes of a role at once."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.sites = {role: control_site(role, folder, self.reactor) for role in ROLES}

    def calls(self, site: AdministrationSite) -> list[Route]:
        """Those that can be asked for here."""
        return [each for each in site.routes.routes if each.path not in ENDING]

    def answer(self, site: AdministrationSite, method: str, target: str, body: bytes) -> int:
        """The status of the answer; 0 for a stream, which has begun."""
        connection = Connection(site)
        connection.ask(method, target, body)
        self.reactor.pump([0.5] * 4)
        told = connection.received
        if not told:
            self.reactor.advance(ANSWER_S)
            told = connection.received
        connection.transport.abortConnection()
        return int(told.split(b" ", 2)[1]) if told else 0

    def test_all_there(self) -> None:
        """There are the calls of frp, of the control socket, and our own; each is asked in its plain form."""
        for role, prefixes in (
            ("server", ("/control/", "/api/v2/", "/api/relaykit/v1/", "/api/serverinfo")),
            ("client", ("/control/", "/api/store", "/api/relaykit/v1/", "/api/status")),
        ):
            calls = self.calls(self.sites[role])
            for prefix in prefixes:
                self.assertTrue(any(each.path.startswith(prefix) for each in calls), (role, prefix))
            for each in calls:
                status = self.answer(self.sites[role], each.method or "GET", _place(each, []), b"{}")
                self.assertLess(status, 500, each.path)
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_anything(self, data: st.DataObject) -> None:
        """Hostile parts, keys, values and bodies, by any method."""
        site = self.sites[data.draw(st.sampled_from(sorted(ROLES)))]
        route = data.draw(st.sampled_from(self.calls(site)))
        method = data.draw(st.one_of(st.just(route.method or "GET"), st.sampled_from(METHODS)))
        query = data.draw(st.lists(st.tuples(st.sampled_from(_KEYS), _WORDS), max_size=5))
        target = _place(route, data.draw(st.lists(_PARTS, max_size=3)))
        if query:
            target += "?" + "&".join(f"{key}={value}" for key, value in query)
        status = self.answer(site, method, target, data.draw(_BODIES))
        self.assertLess(status, 500, f"{method} {target}")
        self.assertEqual(self.flushLoggedErrors(), [])
