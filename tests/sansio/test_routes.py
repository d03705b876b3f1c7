"""Tests for routes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.hostnames import host_key
from relaykit.sansio.routes import Route, RouteTable, location_problem

_ROUTES = {
    "A": Route("web.example.com", "/"),
    "B": Route("web.example.com", "/api"),
    "C": Route("web.example.com", "/api/v2", "bob"),
    "D": Route("*.example.com"),
    "E": Route("*.web.example.com", "/x"),
    "F": Route("*", "/pub"),
    "G": Route("example.com", "", "alice"),
}

_VECTORS = (
    ("web.example.com", "/", "", "A"),
    ("WEB.example.com", "/apifoo", "", "B"),
    ("web.example.com:8080", "/API", "", "A"),
    ("web.example.com", "/api/v2/z", "bob", "C"),
    ("web.example.com", "/api/v2/z", "eve", "B"),
    ("web.example.com", "/api", "bob", "B"),
    ("web.example.com", "", "", "D"),
    ("a.web.example.com", "/x1", "", "E"),
    ("a.web.example.com", "/y", "", "D"),
    ("a.b.c.example.com", "/q", "", "D"),
    ("example.com", "/", "alice", "G"),
    ("example.com.", "/", "alice", "G"),
    ("example.com", "/", "bob", None),
    ("example.com", "/pub/1", "bob", "F"),
    ("other.test", "/pub", "", "F"),
    ("other.test", "/", "", None),
    ("", "/pub", "", "F"),
    ("a." * 5000 + "example.com", "/q", "", None),
)
"""Host, path, user, and whose route it is: what frp does, and the bounds of names."""

_LABELS = st.sampled_from(["a", "b", "com", "*"])
_NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(".".join)
_PATHS = st.lists(st.sampled_from(["/", "a", "b"]), max_size=4).map("".join)
_USERS = st.sampled_from(["", "ann", "bob"])


class LocationTests(SynchronousTestCase):
    """Tests for beginnings of paths."""

    def test_possible(self) -> None:
        """Paths may begin so, in whole segments or in parts of them."""
        for location in ("", "/", "/a", "/a/", "/a.b/..c", "/.well-known/", "/a%20b", "/ä", "/a/..."):
            self.assertEqual(location_problem(location), "", location)

    def test_impossible(self) -> None:
        """No path begins so; the text says why."""
        for location, why in (
            ("a", "paths begin with a slash"),
            ("*", "paths begin with a slash"),
            ("http://a.example/", "paths begin with a slash"),
            ("//", "without several slashes in a row"),
            ("/a//b", "without several slashes in a row"),
            ("/a\\b", "backslashes"),
            ("/a/./b", "segments that are dots"),
            ("/a;b", "parameters behind semicolons"),
            ("/../a", "segments that are dots"),
        ):
            self.assertIn(why, location_problem(location), location)
            self.assertIn(location, location_problem(location))


class RouteTableTests(SynchronousTestCase):
    """Tests for :class:`RouteTable`."""

    def test_found(self) -> None:
        """Every request leads where frp has it lead, whatever the order in which routes come."""
        for order in (1, -1):
            table: RouteTable[str] = RouteTable()
            for name in sorted(_ROUTES)[::order]:
                table.add(_ROUTES[name], name)
            for host, path, user, wanted in _VECTORS:
                self.assertEqual(table.find(host_key(host), path, user), wanted, (host[:30], path, user))

    def test_domains(self) -> None:
        """A wildcard stands for labels in front of at least two more; the asterisk alone for all names."""
        for host, domains in {
            "a.b.example.com": ["a.b.example.com", "*.b.example.com", "*.example.com", "*"],
            "example.com": ["example.com", "*"],
            "localhost": ["localhost", "*"],
            "10.0.0.1": ["10.0.0.1", "*.0.0.1", "*.0.1", "*"],
        }.items():
            for domain in (*domains, "*.com", "*.1", "*.localhost"):
                table: RouteTable[str] = RouteTable()
                table.add(Route(domain), "found")
                self.assertEqual(table.find(host), "found" if domain in domains else None, (host, domain))

    def test_has_locations(self) -> None:
        """It is known whether any path decides, whatever comes and goes."""
        table: RouteTable[str] = RouteTable()
        self.assertFalse(table.has_locations)
        plain, root, deep = Route("a"), Route("a", "/"), Route("b", "/x", "bob")
        table.add(plain, "1")
        self.assertFalse(table.has_locations)
        table.add(root, "2")
        table.add(deep, "3")
        table.remove(plain)
        table.remove(root)
        self.assertTrue(table.has_locations)
        table.remove(deep)
        self.assertFalse(table.has_locations)

    def test_version(self) -> None:
        """Each change makes another version, and nothing else does."""
        table: RouteTable[str] = RouteTable()
        seen = {table.version}
        for change in (table.add, lambda route, _: table.remove(route), table.add):
            change(Route("a", "/x"), "1")
            self.assertNotIn(table.version, seen)
            seen.add(table.version)
        table.find("a", "/x")
        table.get(Route("a"))
        self.assertIn(table.version, seen)

    def test_removed(self) -> None:
        """What was taken back leads nowhere, and nothing is left of it."""
        table: RouteTable[str] = RouteTable()
        for name, route in _ROUTES.items():
            table.add(route, name)
        self.assertEqual((len(table), table.get(_ROUTES["B"])), (7, "B"))
        table.remove(_ROUTES["B"])
        self.assertIsNone(table.get(_ROUTES["B"]))
        self.assertEqual(table.find("web.example.com", "/api"), "A")
        for name in set(_ROUTES) - {"B"}:
            table.remove(_ROUTES[name])
        self.assertEqual((len(table), table._domains), (0, {}))

    @given(
        st.sets(st.builds(Route, _NAMES, _PATHS, _USERS), max_size=12),
        st.lists(st.tuples(_NAMES, _PATHS, _USERS), max_size=12),
    )
    def test_model(self, routes: set[Route], requests: list[tuple[str, str, str]]) -> None:
        """A request leads where looking at every route says."""
        table: RouteTable[Route] = RouteTable()
        for route in routes:
            table.add(route, route)
        for host, path, user in requests:
            labels = host.split(".")
            domains = [
                host,
                *("*." + ".".join(labels[count:]) for count in range(1, len(labels) - 1)),
                "*",
            ]
            fitting = [
                (domains.index(each.domain), each.user != user, -len(each.location), each)
                for each in routes
                if each.domain in domains and each.user in (user, "") and path.startswith(each.location)
            ]
            wanted = min(fitting, key=lambda entry: entry[:3])[3] if fitting else None
            self.assertEqual(table.find(host, path, user), wanted)

    def test_cost(self) -> None:
        """Finding a route looks at no other routes, however many there are."""
        table: RouteTable[int] = RouteTable()
        counted = _Counting()
        table._domains = counted
        looks = []
        for count in (10, 10_000):
            for number in range(len(table), count):
                table.add(Route(f"{number}.example.com"), number)
            counted.looks = 0
            self.assertEqual(table.find("7.example.com"), 7)
            self.assertIsNone(table.find("a.b.example.com"))
            looks.append(counted.looks)
        self.assertEqual(looks, [5, 5])


class _Counting(dict[str, Any]):
    looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)
