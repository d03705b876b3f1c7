"""Tests for :mod:`relaykit.administration.server_v1`; the recordings have the rest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.administration.exchanges import Connection, whole
from tests.administration.served import FakeServer, client, proxies_of, routes_of
from tests.config.tables import ConfigurationTestCase

_PATHS = (
    "/api/serverinfo",
    "/api/clients",
    "/api/clients/{}",
    "/api/proxy/{}",
    "/api/proxy/{}/{}",
    "/api/proxies/{}",
    "/api/traffic/{}",
    "/api/proxies",
    "/api/v2/system/info",
    "/api/v2/users",
    "/api/v2/clients",
    "/api/v2/clients/{}",
    "/api/v2/proxies",
    "/api/v2/proxies/{}",
    "/api/v2/proxies/{}/traffic",
    "/api/v2/system/prune",
)
_QUERY = st.lists(
    st.tuples(
        st.sampled_from(["page", "pageSize", "status", "type", "user", "clientID", "runId", "q", "x"]),
        st.text(st.characters(max_codepoint=0x7F), max_size=20).filter(lambda text: " " not in text),
    ),
    max_size=4,
)
_TEXT = st.text(st.sampled_from("abz019%2Fu./-~@\x01é"), min_size=1, max_size=12)


class AnyCallTests(ConfigurationTestCase):
    """Tests for whatever is asked of both versions."""

    def setUp(self) -> None:
        super().setUp()
        loaded = self.client(
            'user = "u"\n[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 1\nremotePort = 2\n'
        )
        owner = client("u", "c", "r", 1.0)
        self.running = FakeServer(list(proxies_of(loaded, owner)), [owner])
        self.site, self.clock = whole(routes_of(self.running, self.server("")))

    def ask(self, method: str, target: str) -> list[int]:
        """The statuses that are answered."""
        connection = Connection(self.site)
        connection.ask(method, target)
        return [each.status for each in connection.answers()]

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(["GET", "DELETE", "POST", "PUT"]), st.sampled_from(_PATHS), _TEXT, _TEXT, _QUERY)
    def test_anything(self, method: str, path: str, one: str, two: str, query: list[tuple[str, str]]) -> None:
        """Whatever is asked for is answered, and nothing is a defect."""
        target = path.format(one, two) + "?" + "&".join(f"{key}={value}" for key, value in query)
        for status in self.ask(method, target):
            self.assertIn(status, (200, 301, 400, 404, 405))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_clients_by_run_id(self) -> None:
        """Filters are exact; both versions spell them in their own way."""
        for target, count in (
            ("/api/clients?runId=r&clientId=c", 1),
            ("/api/clients?runId=x", 0),
            ("/api/clients?runID=x", 1),
        ):
            connection = Connection(self.site)
            connection.ask("GET", target)
            self.assertEqual(len(connection.answers()[0].json), count)

    def test_names(self) -> None:
        """Bytes that are no text are answered, too."""
        self.assertEqual(self.ask("GET", "/api/clients/%FF"), [404])
        self.assertEqual(self.ask("GET", "/api/v2/proxies/%ED%A0%80"), [404])

    def test_one_look(self) -> None:
        """A page costs one look at the server's status, or two, however many proxies there are."""
        self.running.asked = 0
        self.assertEqual(self.ask("GET", "/api/v2/proxies"), [200])
        self.assertEqual(self.running.asked, 1)
