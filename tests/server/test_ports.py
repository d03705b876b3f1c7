"""Tests of the ports that proxies may open."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.dataplane.listening import ListenFailed, PortForbidden, PortInUse
from relaykit.errors import ProxyRefusedError, RefusalCode
from relaykit.interfaces import IListeningPort
from relaykit.server.ports import REMEMBERED_S, PortProtocol, ServerPorts
from relaykit.values import Address, ClientIdentity

ACCEPTOR: Any = None
"""Nobody dials in these tests."""


@frozen
class Holder:
    """As much of a registered proxy as ports look at."""

    name: str
    identity: ClientIdentity


@define
class Shared:
    """Who has a port, for one client after the other."""

    name: str
    identity: ClientIdentity


@implementer(IListeningPort)
@define(eq=False)
class Listening:
    """A port of the fake network."""

    network: Network
    address: Address

    def close(self) -> None:
        self.network.open.remove(self.address.port)


@define
class Network:
    """Ports of a machine: some taken by others, some by us."""

    taken: set[int] = field(factory=set)
    open: set[int] = field(factory=set)

    def listen(self, port: int, acceptor: Any) -> Listening:
        if port in self.taken or port in self.open:
            raise PortInUse(f"port {port} is taken", "another program listens there")
        self.open.add(port)
        return Listening(self, Address("127.0.0.1", port))


def holder(name: str, run_id: str = "r1") -> Any:
    """A proxy of this name, of the client with this run id."""
    return Holder(name, ClientIdentity(run_id))


class ServerPortsTests(SynchronousTestCase):
    """Which proxy gets which port."""

    def setUp(self) -> None:
        self.network = Network()
        self.datagrams = Network()
        self.shared: list[Any] = []
        self.clock = Clock()
        self.picks: list[int] = []

    def test_changing_hands(self) -> None:
        """A port counts for the client that its holder belongs to at the moment."""
        ports = self.ports(most_per_client=1)
        shared: Any = Shared("group", ClientIdentity("r1"))
        held = self.successResultOf(ports.listen_stream(6000, ACCEPTOR, shared))
        self.failureResultOf(ports.listen_stream(6001, ACCEPTOR, holder("a")), ProxyRefusedError)
        shared.identity = ClientIdentity("r2")
        self.successResultOf(ports.listen_stream(6001, ACCEPTOR, holder("a")))
        self.failureResultOf(ports.listen_stream(6002, ACCEPTOR, holder("b", "r2")), ProxyRefusedError)
        held.close()
        self.successResultOf(ports.listen_stream(6002, ACCEPTOR, holder("b", "r2")))

    def test_taken_from_all(self) -> None:
        """A port that changes hands among silent clients is taken from one after the other."""
        shared: Any = Shared("group", ClientIdentity("r1"))
        released = []

        def release(run_id: str) -> Deferred[bool]:
            released.append(run_id)
            if run_id == "r1":
                shared.identity = ClientIdentity("r2")
            else:
                held.close()
            return succeed(True)

        listen = {PortProtocol.TCP: self.network.listen}
        ports = ServerPorts(listen, self.clock, lambda below: 0, release=release)
        held = self.successResultOf(ports.listen_stream(6000, ACCEPTOR, shared))
        self.successResultOf(ports.listen_stream(6000, ACCEPTOR, holder("a", "r3")))
        self.assertEqual(released, ["r1", "r2"])

    def ports(self, *allowed: range, most_per_client: int = 0) -> ServerPorts:
        """Ports under test; what is picked at random comes from ``picks``, then from the beginning."""

        def pick(below: int) -> int:
            return self.picks.pop(0) if self.picks else 0

        listen = {PortProtocol.TCP: self.network.listen, PortProtocol.UDP: self.datagrams.listen}
        return ServerPorts(listen, self.clock, pick, allowed, most_per_client, share=self.share)

    def share(self, port: int, acceptor: Any, key: str, recognizer: Any, *more: Any) -> IListeningPort:
        """Opens a port that belongs to no proxy."""
        self.shared.append((port, key, recognizer))
        return self.network.listen(port, acceptor)

    def open(self, ports: ServerPorts, number: int, name: str = "a", run_id: str = "r1") -> IListeningPort:
        """Opens a port that can be opened."""
        return self.successResultOf(ports.listen_stream(number, ACCEPTOR, holder(name, run_id)))

    def refusal(
        self, ports: ServerPorts, number: int, name: str = "b", run_id: str = "r1"
    ) -> ProxyRefusedError:
        """Why a port cannot be opened."""
        failure = self.failureResultOf(
            ports.listen_stream(number, ACCEPTOR, holder(name, run_id)),
            ProxyRefusedError,
        )
        assert isinstance(failure.value, ProxyRefusedError)
        return failure.value

    def test_given_port(self) -> None:
        """A proxy gets the port that it asks for."""
        self.assertEqual(self.open(self.ports(), 6000).address, Address("127.0.0.1", 6000))

    def test_already_used(self) -> None:
        """A port that another proxy holds is refused, and free again after that was closed."""
        ports = self.ports()
        first = self.open(ports, 6000)
        refusal = self.refusal(ports, 6000)
        self.assertEqual((refusal.code, refusal.text), (RefusalCode.PORT_IN_USE, "port already used"))
        first.close()
        self.open(ports, 6000, "b")

    def open_datagrams(self, ports: ServerPorts, number: int, name: str = "a") -> IListeningPort:
        """Opens a datagram port that can be opened."""
        return self.successResultOf(ports.listen_datagrams(number, ACCEPTOR, holder(name)))

    def test_protocols(self) -> None:
        """A number of TCP and the same of UDP are two ports."""
        ports = self.ports()
        self.open(ports, 6000)
        self.open_datagrams(ports, 6000, "b").close()
        self.assertEqual((self.network.open, self.datagrams.open), ({6000}, set()))
        self.assertIs(self.refusal(ports, 6000, "c").code, RefusalCode.PORT_IN_USE)

    def test_remembered_by_protocol(self) -> None:
        """A name gets back the port that it had of this protocol, whatever it had of the other."""
        ports = self.ports(range(6000, 6100))
        self.picks = [10, 20]
        stream, datagrams = self.open(ports, 0), self.open_datagrams(ports, 0)
        stream.close()
        datagrams.close()
        self.assertEqual(self.open_datagrams(ports, 0).address.port, 6020)
        self.assertEqual(self.open(ports, 0).address.port, 6010)

    def test_quota_of_both(self) -> None:
        """The quota of a client counts its ports of both protocols."""
        ports = self.ports(most_per_client=2)
        self.open(ports, 6000)
        self.open_datagrams(ports, 6000)
        self.assertIs(self.refusal(ports, 6001).code, RefusalCode.TOO_MANY_PORTS)

    def test_shared(self) -> None:
        """A port that belongs to no proxy is opened or shared without a look at ranges and quotas."""
        ports = self.ports(range(6000, 6001), most_per_client=1)
        shared = ports.share_stream(80, ACCEPTOR, "vhostHTTPPort")
        self.assertEqual((shared.address.port, self.shared), (80, [(80, "vhostHTTPPort", None)]))
        alone = ServerPorts({}, self.clock, lambda below: 0)
        self.assertRaises(ListenFailed, alone.share_stream, 80, ACCEPTOR, "vhostHTTPPort")

    def test_not_allowed(self) -> None:
        """A port outside every allowed range is refused."""
        refusal = self.refusal(self.ports(range(6000, 6002), range(7000, 7001)), 6002)
        self.assertEqual((refusal.code, refusal.text), (RefusalCode.PORT_NOT_ALLOWED, "port not allowed"))

    def test_unavailable(self) -> None:
        """A port that another program has is refused in frp's words, and the reason comes after them."""
        self.network.taken.add(6000)
        refusal = self.refusal(self.ports(), 6000)
        self.assertIs(refusal.code, RefusalCode.PORT_UNAVAILABLE)
        self.assertEqual(refusal.text, "port unavailable (at the server: another program listens there)")
        self.assertEqual(refusal.problem, "port-unavailable")

    def test_privileged(self) -> None:
        """Who asks for a port that the server has no right to is told what that takes."""

        def forbidden(port: int, acceptor: Any) -> Listening:
            raise PortForbidden(f"cannot listen on :{port}", "ports below 1024 need CAP_NET_BIND_SERVICE")

        ports = ServerPorts({PortProtocol.TCP: forbidden}, self.clock, lambda below: 0, [range(80, 90)])
        told = "(at the server: ports below 1024 need CAP_NET_BIND_SERVICE)"
        for number, words in ((80, "port unavailable"), (0, "no available port")):
            refusal = self.refusal(ports, number)
            self.assertEqual((refusal.text, refusal.problem), (f"{words} {told}", "privileged-port"))

    def test_unexplained(self) -> None:
        """Without a reason that a client may know, frp's words stand alone."""

        def impossible(port: int, acceptor: Any) -> Listening:
            raise ListenFailed("cannot listen on 192.0.2.1")

        ports = ServerPorts({PortProtocol.TCP: impossible}, self.clock, lambda below: 0)
        self.assertEqual(self.refusal(ports, 6000).text, "port unavailable")

    def test_datagrams_refused(self) -> None:
        """Refusals of UDP ports begin as frp's do, with the port that was asked for; a quota is no port's."""
        self.datagrams.taken.update({6000, 6001})
        ports = self.ports(range(6000, 6003), most_per_client=1)
        self.open_datagrams(ports, 6002).close()

        def refusal(number: int) -> str:
            opening = ports.listen_datagrams(number, ACCEPTOR, holder("b", "r2"))
            return str(self.failureResultOf(opening, ProxyRefusedError).value)

        taken = "(at the server: another program listens there)"
        self.assertEqual(refusal(6000), f"acquire port 6000 error: port unavailable {taken}")
        self.assertEqual(refusal(7000), "acquire port 7000 error: port not allowed")
        self.open_datagrams(ports, 6002)
        self.assertEqual(refusal(6002), "acquire port 6002 error: port already used")
        self.assertEqual(refusal(0), f"acquire port 0 error: no available port {taken}")
        with_quota = ports.listen_datagrams(0, ACCEPTOR, holder("c"))
        quota = self.failureResultOf(with_quota, ProxyRefusedError).value
        self.assertEqual(str(quota), "exceed the max_ports_per_client")

    def test_quota(self) -> None:
        """A client cannot have more ports than its quota; another client has a quota of its own."""
        ports = self.ports(most_per_client=1)
        first = self.open(ports, 6000)
        refusal = self.refusal(ports, 6001)
        self.assertEqual(refusal.code, RefusalCode.TOO_MANY_PORTS)
        self.assertEqual(refusal.text, "exceed the max_ports_per_client")
        self.open(ports, 6001, "c", "r2")
        first.close()
        self.open(ports, 6002, "b")

    def test_most_of_all(self) -> None:
        """All clients together have so many ports and no more; one that is given back makes room."""
        ports = ServerPorts({PortProtocol.TCP: self.network.listen}, self.clock, lambda below: 0, most=2)
        first = self.open(ports, 6000)
        self.open(ports, 6001, "b", "r2")
        refusal = self.refusal(ports, 6002)
        self.assertEqual(refusal.code, RefusalCode.TOO_MANY_PORTS)
        self.assertIn("2 ports are open for proxies, half of the files", refusal.text)
        first.close()
        self.open(ports, 6002)

    def test_closing_twice(self) -> None:
        """Closing a port twice gives it back once."""
        ports = self.ports(most_per_client=2)
        first = self.open(ports, 6000)
        self.open(ports, 6001, "b")
        first.close()
        first.close()
        self.open(ports, 6002, "c")
        self.assertEqual(self.refusal(ports, 6003).code, RefusalCode.TOO_MANY_PORTS)

    def test_picked_port(self) -> None:
        """Port 0 means any free port within the ranges."""
        self.picks = [2]
        opened = self.open(self.ports(range(6000, 6002), range(7000, 7002)), 0)
        self.assertEqual(opened.address.port, 7000)

    def test_every_small_range_is_searched(self) -> None:
        """In a small range, the last free port is found whatever was picked."""
        self.network.taken.update({6000, 6001})
        self.assertEqual(self.open(self.ports(range(6000, 6003)), 0).address.port, 6002)

    def test_none_available(self) -> None:
        """When no port can be opened, the proxy is refused."""
        ports = self.ports(range(6000, 6001))
        self.open(ports, 6000)
        refusal = self.refusal(ports, 0)
        self.assertEqual((refusal.code, refusal.text), (RefusalCode.PORT_UNAVAILABLE, "no available port"))

    def test_reversed_range_allows_nothing(self) -> None:
        """A range whose end is before its start has no ports."""
        self.assertEqual(self.refusal(self.ports(range(9, 6)), 0).text, "no available port")

    def test_name_gets_its_port_back(self) -> None:
        """A name that asks for any port gets the one it had, for a day."""
        ports = self.ports()
        self.picks = [41999]
        self.open(ports, 0).close()
        self.assertEqual(self.open(ports, 0).address.port, 42000)

    def test_claim_outlives_a_refusal(self) -> None:
        """A name that cannot have its port for a moment has not lost it."""
        ports = self.ports(range(6000, 6100))
        self.picks = [50]
        self.open(ports, 0).close()
        self.network.taken.update(range(6000, 6100))
        self.refusal(ports, 0, "a")
        self.network.taken.clear()
        self.assertEqual(self.open(ports, 0).address.port, 6050)

    def test_claim_ends(self) -> None:
        """After a day a name has no claim on the port it had."""
        ports = self.ports()
        self.picks = [41999, 5999]
        self.open(ports, 0).close()
        self.clock.advance(REMEMBERED_S + 1)
        self.assertEqual(self.open(ports, 0).address.port, 6000)

    def test_claim_yields_to_a_holder(self) -> None:
        """A claimed port that somebody holds is passed over."""
        ports = self.ports()
        self.open(ports, 6000).close()
        self.open(ports, 6000, "b")
        self.picks = [6999]
        self.assertEqual(self.open(ports, 0, "a").address.port, 7000)
