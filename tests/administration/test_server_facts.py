"""Tests for :mod:`relaykit.administration.server_facts`; the recordings have the rest."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.server_facts import client_object, shown_options, without_empty
from relaykit.options import Options
from relaykit.plugins import ProxyTypes
from relaykit.proxies.http.options import HttpOptions
from relaykit.proxies.stcp import StcpOptions
from relaykit.proxies.tcp import TcpOptions
from relaykit.server.status import ProxyStatus
from relaykit.values import Secret
from tests.administration.served import client, facts_of
from tests.config.tables import ConfigurationTestCase


def proxy(options: Options | None, address: str = "") -> ProxyStatus:
    """A proxy with these options."""
    return ProxyStatus(
        name="p",
        type="x",
        user="",
        client_id="",
        is_open=options is not None,
        address=address,
        current=0,
        connections=0,
        traffic_in=0,
        traffic_out=0,
        last_start_at=None,
        last_close_at=None,
        common=None,
        options=options,
    )


class ShownTests(SynchronousTestCase):
    """Tests for what is shown of options."""

    def test_port(self) -> None:
        """A port that the server picked is the one that it has."""
        self.assertEqual(list(shown_options(proxy(TcpOptions(), ":6001"))), [("remotePort", 6001, True)])
        self.assertEqual(
            list(shown_options(proxy(TcpOptions(remote_port=6000), ":6000"))), [("remotePort", 6000, True)]
        )

    def test_lists(self) -> None:
        """A list that is empty is none."""
        shown = {
            key: value for key, value, _ in shown_options(proxy(HttpOptions(custom_domains=("a.example",))))
        }
        self.assertEqual(
            shown,
            {"customDomains": ["a.example"], "subdomain": "", "locations": None, "hostHeaderRewrite": ""},
        )

    def test_secrets(self) -> None:
        """Of what is not declared to be shown nothing is; of a closed proxy neither."""
        self.assertEqual(list(shown_options(proxy(StcpOptions(secret_key=Secret("s"))))), [])
        self.assertEqual(list(shown_options(proxy(None))), [])

    def test_no_secret_is_declared(self) -> None:
        """No type that is installed shows a secret, or a key that it does not have."""
        for reference in ProxyTypes.installed():
            if not reference.module.startswith("relaykit."):
                continue
            options = reference.load().proxy_options()
            keys = dict(options.shown)
            for key, value, _ in shown_options(proxy(options)):
                self.assertNotIsInstance(value, Secret)
                del keys[key]
            self.assertEqual(keys, {})


class ClientTests(SynchronousTestCase):
    """Tests for what is told of a client."""

    def test_unknown(self) -> None:
        """What is not known of a client is left out."""
        told = client_object(evolve(client("", "a", "a", 1.5), version="", address=None))
        self.assertEqual(set(told) & {"version", "clientIP", "disconnectedAt"}, set())
        self.assertEqual((told["firstConnectedAt"], told["online"]), (1, True))

    def test_without_empty(self) -> None:
        """Only what is named is left out."""
        self.assertEqual(without_empty({"a": "", "b": 0, "c": 1}, "a", "c"), {"b": 0, "c": 1})


class ConfiguredTests(ConfigurationTestCase):
    """Tests for what is told of a configuration."""

    types = ProxyTypes.installed()

    def test_defaults(self) -> None:
        """Ports that are not given are 0, and lists are empty."""
        facts = facts_of(None, self.server(""))
        self.assertEqual(
            facts.configured(),
            {
                "bindPort": 7000,
                "vhostHTTPPort": 0,
                "vhostHTTPSPort": 0,
                "tcpmuxHTTPConnectPort": 0,
                "kcpBindPort": 0,
                "quicBindPort": 0,
                "subdomainHost": "",
                "maxPoolCount": 5,
                "maxPortsPerClient": 0,
                "heartbeatTimeout": -1,
                "allowPortsStr": "",
                "tlsForce": False,
            },
        )
