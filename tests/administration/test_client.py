"""Tests for :mod:`relaykit.administration.client`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.client import MOST_FILE_BYTES, client_routes
from relaykit.client.status import ClientStatus, Health, HealthState, ProxyStatus, RegistrationState
from relaykit.config.definitions import ConfiguredProxy, ConfiguredVisitor, Definitions, Source
from relaykit.config.schema import ClientConfig
from relaykit.config.store import Store, stored
from relaykit.options import Options, ProxyCommon
from relaykit.proxies.stcp import StcpOptions
from relaykit.proxies.tcp import TcpOptions
from tests.administration.exchanges import KNOWN, OPEN, SECURED, Connection, Told, whole
from tests.config.test_canonical import definitions


@define
class FakeClient:
    """A client that stands as a test says."""

    proxies: list[ConfiguredProxy]
    now: ClientStatus
    config: ClientConfig = field(default=ClientConfig(server_addr="relay.example"))
    visitors: list[ConfiguredVisitor] = field(factory=list)
    definitions: Definitions | None = None
    store: Store | None = None

    def status(self) -> ClientStatus:
        """How it stands."""
        return self.now


def configured(name: str, options: Options, port: int = 22, plugin: str = "") -> ConfiguredProxy:
    """A proxy of a file."""
    type_name = "tcp" if isinstance(options, TcpOptions) else "stcp"
    return ConfiguredProxy(
        ProxyCommon(name=name, type=type_name, local_port=port), options, type_name, plugin
    )


def health(state: HealthState) -> Health:
    """What is known of a local service."""
    return Health(state, 0.0)


class ClientTests(SynchronousTestCase):
    """Tests for what a client can be asked."""

    def asked(self, client: Any, target: str, path: str = "") -> Told:
        """What it answers."""
        site, _ = whole(client_routes(client, path), SECURED)
        connection = Connection(site)
        connection.ask("GET", target, Authorization=KNOWN)
        (answer,) = connection.answers()
        return answer

    def status(self, proxy: ConfiguredProxy, **values: Any) -> dict[str, str]:
        """What is told of a proxy that stands so."""
        status = ProxyStatus(name=proxy.common.name, type=proxy.type_name, **values)
        client = FakeClient([proxy], ClientStatus(connected=True, proxies=(status,)))
        (found,) = self.asked(client, "/api/status").json[proxy.type_name]
        assert isinstance(found, dict)
        return found

    def test_not_connected(self) -> None:
        """Without a session nothing is told."""
        proxy = configured("ssh", TcpOptions(remote_port=6000))
        status = ProxyStatus(name="ssh", type="tcp", state=RegistrationState.OFFLINE)
        self.assertEqual(
            self.asked(FakeClient([proxy], ClientStatus(proxies=(status,))), "/api/status").body, b"{}\n"
        )

    def test_running(self) -> None:
        """A proxy that runs has the address that users dial, with the server before a port of it."""
        ssh = configured("ssh", TcpOptions(remote_port=6000))
        self.assertEqual(
            self.status(ssh, state=RegistrationState.RUNNING, address=":6000"),
            {
                "name": "ssh",
                "type": "tcp",
                "status": "running",
                "err": "",
                "local_addr": "127.0.0.1:22",
                "plugin": "",
                "remote_addr": "relay.example:6000",
            },
        )
        secret = configured("s", StcpOptions(), 0, "unix_domain_socket")
        told = self.status(secret, state=RegistrationState.RUNNING)
        self.assertEqual(
            (told["local_addr"], told["plugin"], told["remote_addr"]), ("", "unix_domain_socket", "")
        )
        told = self.status(secret, state=RegistrationState.RUNNING, address="a.example:80,b.example:80")
        self.assertEqual(told["remote_addr"], "a.example:80,b.example:80")

    def test_states(self) -> None:
        """States have frp's names; without an answer only the server is told, of what has a port there."""
        ssh = configured("ssh", TcpOptions(remote_port=6000))
        for values, status, error, remote in (
            ({"state": RegistrationState.WAITING}, "wait start", "", "relay.example"),
            ({"state": RegistrationState.OFFLINE}, "new", "", "relay.example"),
            (
                {"state": RegistrationState.REFUSED, "reason": "port already used"},
                "start error",
                "port already used",
                "",
            ),
            (
                {"state": RegistrationState.OFFLINE, "health": health(HealthState.UNKNOWN)},
                "new",
                "",
                "relay.example",
            ),
            (
                {
                    "state": RegistrationState.OFFLINE,
                    "health": health(HealthState.UNHEALTHY),
                    "reason": "refused",
                    "address": ":6000",
                },
                "check failed",
                "",
                "relay.example:6000",
            ),
        ):
            told = self.status(ssh, **values)
            self.assertEqual((told["status"], told["err"], told["remote_addr"]), (status, error, remote))

    def test_order(self) -> None:
        """Types and names are sorted, whatever the order of the file."""
        proxies = [configured(name, options) for name in "ba" for options in (TcpOptions(), StcpOptions())]
        states = tuple(
            ProxyStatus(name=each.common.name, type=each.type_name, state=RegistrationState.WAITING)
            for each in proxies
        )
        told = self.asked(
            FakeClient(proxies, ClientStatus(connected=True, proxies=states)), "/api/status"
        ).json
        self.assertEqual(list(told), ["stcp", "tcp"])
        self.assertEqual([each["name"] for each in told["tcp"]], ["a", "b"])

    def test_source(self) -> None:
        """What is kept beside the files is told to be so."""
        ssh = evolve(configured("ssh", TcpOptions()), source=Source.STORE)
        self.assertEqual(self.status(ssh, state=RegistrationState.WAITING)["source"], "store")

    def test_effective(self) -> None:
        """What the client works with is told with what was left open; what is switched off as it is kept."""
        read = definitions()
        table = {"name": "a", "type": "tcp", "localPort": 22}
        entry = read.check("proxies", table).entry
        assert isinstance(entry, ConfiguredProxy)
        off = {"name": "b", "type": "tcp", "enabled": False}
        kept = read.check("proxies", off).entry
        assert kept is not None
        store = Store("/s").having("proxies", stored(read, off, kept))
        client = FakeClient([entry], ClientStatus(), definitions=read, store=store)
        told = self.asked(client, "/api/proxy/a/config").json
        self.assertEqual((told["name"], told["type"], told["tcp"]["localIP"]), ("a", "tcp", "127.0.0.1"))
        self.assertFalse(self.asked(client, "/api/proxy/b/config").json["tcp"]["enabled"])
        for target, text in (("proxy/c", 'proxy "c" not found'), ("visitor/a", 'visitor "a" not found')):
            answer = self.asked(client, f"/api/{target}/config")
            self.assertEqual((answer.status, answer.json["Msg"]), (404, text))

    def test_private(self) -> None:
        """Definitions have secrets: without a password nobody gets them."""
        client: Any = FakeClient([], ClientStatus())
        site, _ = whole(client_routes(client, ""), OPEN)
        connection = Connection(site)
        connection.ask("GET", "/api/proxy/a/config")
        connection.ask("GET", "/api/visitor/a/config")
        self.assertEqual([each.status for each in connection.answers()], [403, 403])

    def test_config(self) -> None:
        """The file is told as it is, and why it cannot be."""
        client = FakeClient([], ClientStatus())
        path = Path(self.mktemp())
        told = self.asked(client, "/api/config", str(path))
        self.assertEqual(
            (told.status, told.json["Msg"]),
            (400, f"invalid argument: open {path}: no such file or directory"),
        )
        path.write_bytes(b"{{ .Envs.A }} \xff")
        told = self.asked(client, "/api/config", str(path))
        self.assertEqual((told.status, told.body), (200, b"{{ .Envs.A }} \xff"))
        self.assertEqual(told.headers["Content-Type"], "text/plain; charset=utf-8")
        path.write_bytes(bytes(MOST_FILE_BYTES + 1))
        self.assertEqual(self.asked(client, "/api/config", str(path)).status, 400)
        told = self.asked(client, "/api/config")
        self.assertEqual(told.json["Msg"], "invalid argument: frpc has no config file path")
