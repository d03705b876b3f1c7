"""Tests for :mod:`relaykit.administration.own.forms`."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.forms import form_routes, forms
from relaykit.administration.own.shapes import Form, FormField
from relaykit.config.definitions import Definitions
from relaykit.config.load import client_from_table
from relaykit.plugins import ProxyTypes
from tests.administration.own.asking import OwnApi


def definitions() -> Definitions:
    """What a client with all installed types reads definitions by."""
    loaded = client_from_table({"auth": {"token": "s"}}, types=ProxyTypes.installed(), environ={})
    assert loaded.definitions is not None
    return loaded.definitions


def fields_of(form: Form) -> Iterator[FormField]:
    """All fields of a form."""
    for section in form.sections:
        yield from section.fields


class FormsTests(SynchronousTestCase):
    """Tests for what a form needs to know."""

    def setUp(self) -> None:
        self.definitions = definitions()
        told = forms(self.definitions)
        self.lists = {"proxies": told.proxies, "visitors": told.visitors}
        self.by_type = {
            name: {form.type: {each.key: each for each in fields_of(form)} for form in found}
            for name, found in self.lists.items()
        }

    def test_types(self) -> None:
        """Each installed type has a form, those of other packages too; visitors only where there are any."""
        proxies, visitors = (set(self.by_type[each]) for each in ("proxies", "visitors"))
        self.assertEqual(proxies, {each.name for each in ProxyTypes.installed()})
        self.assertTrue({"stcp", "sudp", "xtcp", "knock"} <= visitors)
        self.assertNotIn("tcp", visitors)

    def test_kinds(self) -> None:
        """The kind of a field follows from its declaration."""
        http, tcp = self.by_type["proxies"]["http"], self.by_type["proxies"]["tcp"]
        for field, kind in (
            (tcp["name"], "text"),
            (tcp["enabled"], "boolean"),
            (tcp["remotePort"], "port"),
            (tcp["metadatas"], "map"),
            (tcp["transport.bandwidthLimit"], "bandwidth"),
            (tcp["transport.bandwidthLimitMode"], "choice"),
            (tcp["healthCheck.intervalSeconds"], "duration"),
            (tcp["healthCheck.maxFailed"], "number"),
            (tcp["healthCheck.httpHeaders"], "tables"),
            (http["customDomains"], "texts"),
            (http["httpPassword"], "secret"),
            (http["requestHeaders.set"], "map"),
        ):
            self.assertEqual(field.kind, kind, field.key)

    def test_foreign(self) -> None:
        """The keys of a type of another package are told like those of the built-in ones."""
        knock = self.by_type["proxies"]["knock"]
        seconds = knock["openSeconds"]
        self.assertEqual((seconds.default, seconds.least, seconds.greatest), (60, 1, 86400))
        self.assertEqual((knock["secretKey"].kind, knock["secretKey"].default), ("secret", None))
        self.assertTrue(knock["secretKey"].required)

    def test_required(self) -> None:
        """What must be given whatever else is, is required; one of two keys is not."""
        for list_name, type_name, keys in (
            ("proxies", "tcp", {"name"}),
            ("proxies", "http", {"name"}),
            ("proxies", "tcpmux", {"name", "multiplexer"}),
            ("proxies", "stcp", {"name", "secretKey"}),
            ("visitors", "stcp", {"name", "serverName", "bindPort", "secretKey"}),
        ):
            found = {each.key for each in self.by_type[list_name][type_name].values() if each.required}
            self.assertEqual(found, keys, type_name)

    def test_choices(self) -> None:
        """Each value of a choice can be given, and no other."""
        for list_name, by_type in self.by_type.items():
            for type_name, fields in by_type.items():
                for field in fields.values():
                    for value in (*field.choices, *(["nonsense"] if field.choices else [])):
                        table: dict[str, object] = {"type": type_name}
                        *tables, key = field.key.split(".")
                        inner = table
                        for each in tables:
                            inner[each] = inner = {}
                        inner[key] = value
                        checked = self.definitions.check(list_name, table)
                        blamed = field.key in {each.key for each in (*checked.unread, *checked.problems)}
                        self.assertEqual(blamed, value == "nonsense", (type_name, field.key, value))

    def test_sections(self) -> None:
        """The keys that all have come first, then those of the type, then tables, which few people need."""
        (tcp,) = [each for each in self.lists["proxies"] if each.type == "tcp"]
        self.assertEqual(
            [(each.name, each.advanced) for each in tcp.sections],
            [("", False), ("tcp", False), ("transport", True), ("loadBalancer", True), ("healthCheck", True)],
        )
        self.assertEqual([each.label for each in tcp.sections[0].fields][-2:], ["Local IP", "Local port"])

    def test_documented(self) -> None:
        """Each field and each section says what it is for."""
        for form in (*self.lists["proxies"], *self.lists["visitors"]):
            self.assertTrue(form.doc)
            self.assertTrue(all(each.doc and each.label for each in fields_of(form)), form.type)
            self.assertTrue(all(each.doc for each in form.sections), form.type)

    def test_keys_of_the_file(self) -> None:
        """Keys that are at the top of the file are not asked for, nor is the type."""
        self.assertNotIn("udpPacketSize", self.by_type["proxies"]["udp"])
        self.assertNotIn("type", self.by_type["proxies"]["udp"])

    def test_plugins(self) -> None:
        """What may stand for a local service is told, as far as it is there."""
        (tcp,) = [each for each in self.lists["proxies"] if each.type == "tcp"]
        plugins = {each.type: [field.key for field in each.fields] for each in tcp.plugins}
        self.assertEqual(plugins["unix_domain_socket"], ["plugin.unixPath"])

    def test_asked(self) -> None:
        """The API has them; a client that was made of no configuration has none."""
        api = OwnApi(tuple(form_routes(lambda: self.definitions)))
        self.assertEqual(
            [each["type"] for each in api.ask("GET", "/forms").json["visitors"]],
            [each.type for each in self.lists["visitors"]],
        )
        api = OwnApi(tuple(form_routes(lambda: None)))
        self.assertEqual(api.ask("GET", "/forms").json, {"proxies": [], "visitors": []})
