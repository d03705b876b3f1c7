"""Tests for :mod:`relaykit.administration.routes`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Answer, Call, text_answer
from relaykit.administration.routes import MOST_QUERY_KEYS, Found, Route, Routes


def answered(call: Call) -> Answer:
    """Answers nothing."""
    return Answer()


ROUTES = Routes(
    (
        Route(method="GET", path="/api/things/{name}", handler=answered),
        Route(method="DELETE", path="/api/things", handler=answered),
        Route(method="GET", path="/api/things", handler=answered),
        Route(method="GET", path="/v2/{name}/x", handler=answered, is_escaped=True),
        Route(method="", path="/any", handler=answered),
    )
)
NOT_FOUND = text_answer(404, "404 page not found")


class RoutesTests(SynchronousTestCase):
    """Tests for where calls go."""

    def found(self, method: str, target: str) -> Found:
        """Where a call goes that goes somewhere."""
        found = ROUTES.find(method, target)
        assert isinstance(found, Found), found
        return found

    def test_found(self) -> None:
        """A path and a method lead to a route, with names and query."""
        found = self.found("GET", "/api/things/a%20b%3F?x=1&y=&x=%41")
        self.assertEqual(found.call.names, {"name": "a b?"})
        self.assertEqual(found.call.query, {"x": ["1", "A"], "y": [""]})
        self.assertIs(self.found("DELETE", "/api/things").route, ROUTES.routes[1])
        for method in ("GET", "POST", "HEAD"):
            self.assertIs(self.found(method, "/any").route, ROUTES.routes[4])

    def test_not_found(self) -> None:
        """A path that is none is told as frp does, and so is a slash too many or an empty name."""
        for target in ("/", "/nope", "/api/things/", "/api/things/a/b", "/api/things/a%2Fb", "/any/"):
            self.assertEqual(ROUTES.find("GET", target), NOT_FOUND, target)

    def test_escaped(self) -> None:
        """Where paths are compared as they were sent, a name may have a slash, and is unescaped once."""
        self.assertEqual(self.found("GET", "/v2/a%2Fb/x").call.names, {"name": "a/b"})
        self.assertEqual(self.found("GET", "/v2/a%252Fb/x").call.names, {"name": "a%2Fb"})

    def test_method(self) -> None:
        """Another method of a path that is one is told, HEAD and OPTIONS too."""
        for method in ("POST", "HEAD", "OPTIONS", "PUT", "get"):
            self.assertEqual(ROUTES.find(method, "/api/things/a"), Answer(status=405))

    def test_cleaned(self) -> None:
        """A path with empty parts or dots is another one, to which the caller is led."""
        for target, location in (
            ("//any", "/any"),
            ("/x/../any?a=1", "/any?a=1"),
            ("/./any/", "/any/"),
            ("/x/%2e%2e/a%20b", "/a%20b"),
            ("/./%ff", "/%EF%BF%BD"),
        ):
            self.assertEqual(
                ROUTES.find("GET", target), Answer(status=301, headers={"Location": location}), target
            )

    def test_malformed(self) -> None:
        """What is no path is refused."""
        for target in ("", "*", "http://a/any", "/%zz", "/a%4", "/%"):
            found = ROUTES.find("GET", target)
            self.assertEqual(isinstance(found, Answer) and found.status, 400, target)

    def test_safe(self) -> None:
        """A GET is safe, unless its route says that it changes something."""
        get, delete, *_, any_method = ROUTES.routes
        self.assertEqual([each.is_safe for each in (get, delete, any_method)], [True, False, False])
        self.assertFalse(Route(method="GET", path="/r", handler=answered, changes=True).is_safe)

    def test_long_query(self) -> None:
        """Of a query with far too many keys none is read."""
        self.assertEqual(self.found("GET", "/any?" + "a=1&" * (MOST_QUERY_KEYS + 1)).call.query, {})

    @given(st.text(st.characters(max_codepoint=255)), st.text(max_size=8))
    def test_anything(self, target: str, method: str) -> None:
        """Whatever is sent leads somewhere or is answered; no location has a line end."""
        for found in (ROUTES.find(method, target), ROUTES.find(method, "/" + target)):
            if isinstance(found, Answer):
                self.assertIn(found.status, (301, 400, 404, 405))
                self.assertNotRegex(found.headers.get("Location", ""), r"[\r\n]")
