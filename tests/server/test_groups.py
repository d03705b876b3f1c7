"""Tests of groups: who may join, who serves, and what becomes of users whom a member cannot serve."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.errors import (
    ConnectionFailed,
    NoWorkConnection,
    ProxyRefusedError,
    RefusalCode,
    RefusedError,
    SessionLost,
)
from relaykit.interfaces import IExposure, IFlow, IRegisteredProxy, IWorkLeg
from relaykit.options import LoadBalancer, ProxyCommon
from relaykit.proxies import stcp, tcp
from relaykit.sansio.control.balancing import REST_S
from relaykit.sansio.wire.messages import Ping
from relaykit.server.groups import MEMBER_WAIT_S, MOVES_FOR_S, Groups, ProxyGroup
from relaykit.server.liveness import PROBE_TIMEOUT_S
from relaykit.server.status import GroupStatus
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published
from relaykit.values import Address, Balance, Ended, Origin, Secret


class GroupTestCase(SynchronousTestCase):
    """Has a relay whose services say their names."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.legs: dict[RecordingReceiver, MemoryLeg] = {}

    def join(
        self,
        name: str,
        port: int = 6000,
        *,
        group: str = "web",
        key: str = "k",
        balance: str = "",
        local: Callable[[MemoryLeg], None] | None = None,
    ) -> Published:
        """A client of its own publishes a member of a group."""
        options = tcp.TcpOptions(remote_port=port)
        load_balancer = LoadBalancer(group=group, group_key=Secret(key), balance=balance)
        said = name.encode()
        return self.relay.publish(
            tcp.proxy_type,
            options,
            name=name,
            local=local or (lambda leg: leg.write(said)),
            load_balancer=load_balancer,
        )

    def dial(self, port: int = 6000, host: str = "192.0.2.1") -> RecordingReceiver:
        """A user."""
        leg = self.relay.dial(port, Address(host, 1))
        user = RecordingReceiver(leg)
        self.legs[user] = leg
        self.relay.settle()
        return user

    def heard(self, count: int, port: int = 6000) -> list[str]:
        """Whom so many users get, one after the other."""
        return [self.dial(port).data.decode() for _ in range(count)]

    def group(self) -> GroupStatus:
        """The only group."""
        (group,) = self.relay.server.status().groups
        return group

    def stall(self, published: Published, stalled: bool = True) -> None:
        """Freezes a client's machine, as far as the server can see."""
        for connection in published.connections:
            connection.stall(stalled)

    def cut(self, published: Published) -> None:
        """Ends a client's connections as a crash does."""
        self.stall(published, False)
        for connection in published.connections:
            connection.cut()


class JoiningTests(GroupTestCase):
    """Who may join, and what there is from the first member to the last."""

    def refused(self, name: str, port: int = 6000, *, key: str = "k", balance: str = "") -> ProxyRefusedError:
        """The refusal of a member."""
        refused: ProxyRefusedError = self.assertRaises(
            ProxyRefusedError, self.join, name, port, key=key, balance=balance
        )
        return refused

    def test_turns(self) -> None:
        """Members of three clients share a port and take turns, the first member first."""
        members = [self.join(name) for name in ("a", "b", "c")]
        self.assertEqual({each.address for each in members}, {":6000"})
        self.assertEqual(self.heard(7), list("abcabca"))
        self.assertEqual(
            self.group(),
            GroupStatus(
                name="web", type="tcp", address=":6000", balance=Balance.ROUND_ROBIN, members=("a", "b", "c")
            ),
        )

    def test_refused(self) -> None:
        """A member of another port or another key is refused in frp's words, and changes nothing."""
        self.join("a")
        port = self.refused("b", 6001, key="other")
        self.assertEqual(
            (port.code, port.text), (RefusalCode.GROUP_MISMATCH, "group should have same remote port")
        )
        key = self.refused("b", key="other")
        self.assertEqual((key.code, key.text), (RefusalCode.BAD_CREDENTIALS, "group auth failed"))
        self.assertEqual((self.relay.open_ports, self.group().members), ([6000], ("a",)))

    def test_balance(self) -> None:
        """One member's word on the balance holds for all; another word is refused while it is there."""
        self.join("a")
        second = self.join("b", balance="leastConnections")
        self.assertIs(self.group().balance, Balance.LEAST_CONNECTIONS)
        refused = self.refused("c", balance="roundRobin")
        self.assertEqual(refused.code, RefusalCode.GROUP_MISMATCH)
        self.assertEqual(refused.text, "group [web] is balanced by leastConnections, as [b] has it")
        second.withdraw()
        self.join("c", balance="roundRobin")
        self.assertIs(self.group().balance, Balance.ROUND_ROBIN)

    def test_unknown_balance(self) -> None:
        """A word that this server does not know is refused by its key."""
        refused = self.refused("a", balance="best")
        self.assertEqual(refused.code, RefusalCode.BAD_OPTIONS)
        self.assertIn("loadBalancer.balance", refused.text)

    def test_ungrouped(self) -> None:
        """A proxy without a group, or of another one, cannot have the group's port."""
        self.join("a")
        for group in ("", "other"):
            refused: ProxyRefusedError = self.assertRaises(ProxyRefusedError, self.join, "b", group=group)
            self.assertEqual((refused.code, refused.text), (RefusalCode.PORT_IN_USE, "port already used"))
        self.assertEqual(self.heard(2), ["a", "a"])

    def test_port_lives_on(self) -> None:
        """The port is open while there are members, also without the first, and given back with the last."""
        first, second = self.join("a"), self.join("b")
        first.withdraw()
        self.assertEqual((self.heard(2), self.group().members), (["b", "b"], ("b",)))
        third = self.join("c")
        second.withdraw()
        self.assertEqual(self.heard(1), ["c"])
        third.withdraw()
        self.assertEqual((self.relay.open_ports, self.relay.server.status().groups), ([], ()))
        self.assertRaises(ConnectionFailed, self.relay.dial, 6000)
        self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), name="alone")

    def test_another_key_later(self) -> None:
        """A group that is gone leaves nothing behind: its name may be opened with another key."""
        self.join("a").withdraw()
        self.join("a", key="other")
        self.refused("b")

    def test_dead_members(self) -> None:
        """A group is in nobody's way once all its members are dead; one that lives is enough to keep it."""
        members = [self.join("a"), self.join("b")]
        self.stall(members[0])
        self.assertRaises(AssertionError, self.join, "c", key="other")
        self.relay.advance(PROBE_TIMEOUT_S)
        self.assertEqual(self.group().members, ("b",))
        self.stall(members[1])
        self.assertRaises(AssertionError, self.join, "d", key="other")
        self.relay.advance(PROBE_TIMEOUT_S)
        self.assertEqual(self.group().members, ("d",))

    def test_picked_port(self) -> None:
        """Where the server picks the port all members share it, and the group gets it back later."""
        members = [self.join(name, 0) for name in ("a", "b")]
        (port,) = self.relay.open_ports
        self.assertEqual({each.address for each in members}, {f":{port}"})
        self.assertEqual(self.heard(2, port), ["a", "b"])
        self.assertEqual(self.refused("c", port).text, "group should have same remote port")
        for each in members:
            each.withdraw()
        self.join("c", 0)
        self.assertEqual(self.relay.open_ports, [port])

    def test_cannot_be_opened(self) -> None:
        """A group whose port cannot be had is none, and its name is free."""
        self.join("a", group="other")
        self.refused("b")
        self.assertEqual(self.join("b", 6001).address, ":6001")

    def test_quota(self) -> None:
        """The port counts for one client: that of the member that has been in the group for longest."""
        self.relay = MemoryRelay(max_ports_per_client=1)
        first, second = self.join("a"), self.join("b")
        options = tcp.TcpOptions(remote_port=6001)
        self.assertEqual(self.relay.open_ports, [6000])
        first.withdraw()
        self.assertEqual(self.group().members, ("b",))
        self.relay.publish(tcp.proxy_type, options, name="c")
        second.withdraw()
        self.assertEqual(self.relay.open_ports, [6001])

    def test_type_without_groups(self) -> None:
        """A proxy of a type that cannot be grouped is exposed by itself, whatever it asks for."""
        options = stcp.StcpOptions(secret_key=Secret("k"))
        self.relay.publish(stcp.proxy_type, options, load_balancer=LoadBalancer(group="web"))
        self.assertEqual(self.relay.server.status().groups, ())


class TurnTests(SynchronousTestCase):
    """Groups are opened by one at a time."""

    def test_after_refusals(self) -> None:
        """So is one that somebody opens while two others are told that they could not."""
        common = ProxyCommon(load_balancer=LoadBalancer(group="web"))
        member: Any = SimpleNamespace(
            type="tcp", common=common, options=None, clock=Clock(), data_plane=None, name="a", flows=()
        )
        groups = Groups(lambda run_id: succeed(False))
        opening: list[Deferred[IExposure]] = []
        refused = ProxyRefusedError(RefusalCode.OTHER, "no")

        async def expose(group: IRegisteredProxy) -> IExposure:
            """Opens when the test says so; the second one cannot at once."""
            opening.append(fail(refused) if len(opening) == 1 else Deferred())
            return await opening[-1]

        def begin(_: object = None) -> Deferred[IExposure]:
            """Another member comes."""
            return Deferred.fromCoroutine(groups.expose(member, {}, expose))

        first, second = begin(), begin()
        second.addErrback(begin)
        opening[0].errback(refused)
        self.failureResultOf(first, ProxyRefusedError)
        self.assertEqual(len(opening), 3)
        begin()
        self.assertEqual(len(opening), 3)


class BalanceTests(GroupTestCase):
    """Whom a user gets."""

    def test_least_connections(self) -> None:
        """The member with the fewest users gets the next one, users who have left not counted."""
        for name in ("a", "b"):
            self.join(name, balance="leastConnections")
        users = [self.dial() for _ in range(4)]
        self.assertEqual([user.data for user in users], [b"a", b"b", b"a", b"b"])
        for user in users[1::2]:
            self.legs[user].abort()
        self.relay.settle()
        self.assertEqual(self.heard(2), ["b", "b"])

    def test_source(self) -> None:
        """Users of one address get one member; one that leaves moves its own users only."""
        members = {name: self.join(name, balance="sourceAddress") for name in ("a", "b", "c")}
        hosts = [f"192.0.2.{number}" for number in range(1, 31)]
        before = {host: self.dial(host=host).data.decode() for host in hosts}
        self.assertEqual(before, {host: self.dial(host=host).data.decode() for host in hosts})
        self.assertEqual(set(before.values()), {"a", "b", "c"})
        members["b"].withdraw()
        after = {host: self.dial(host=host).data.decode() for host in hosts}
        self.assertEqual(
            {host for host in hosts if before[host] != after[host]}, {h for h in hosts if before[h] == "b"}
        )

    def test_source_networks(self) -> None:
        """Users of one IPv6 network are one customer's, who may change the rest of the address."""
        for name in ("a", "b", "c"):
            self.join(name, balance="sourceAddress")
        heard = {self.dial(host=f"2001:db8::{number:x}").data for number in range(1, 20)}
        self.assertEqual(len(heard), 1)


class ServingTests(GroupTestCase):
    """What becomes of users whom a member cannot serve."""

    def setUp(self) -> None:
        super().setUp()
        self.first, self.second = self.join("a"), self.join("b")

    def totals(self) -> dict[str, tuple[int, int]]:
        """Users at the moment and so far, by member."""
        return {each.name: (each.current, each.connections) for each in self.relay.server.status().proxies}

    def test_totals(self) -> None:
        """Each member has the users that it served, and their flows."""
        users = [self.dial() for _ in range(3)]
        self.assertEqual(self.totals(), {"a": (2, 2), "b": (1, 1)})
        self.assertEqual(sorted(flow.proxy.name for flow in self.relay.server.flows()), ["a", "a", "b"])
        for user in users:
            self.legs[user].abort()
        self.relay.advance(1.0)
        self.assertEqual(self.totals(), {"a": (0, 2), "b": (0, 1)})
        self.assertEqual(len(self.first.flows), 2)

    def test_machine_silent(self) -> None:
        """A member whose machine is silent gets nothing of a user, who is soon served by another one."""
        self.stall(self.first)
        user = self.dial()
        self.legs[user].write(b"for one of them")
        self.assertEqual(user.data, b"")
        with capturedLogs() as logged:
            self.relay.advance(MEMBER_WAIT_S)
        self.assertEqual(user.data, b"b")
        (warning,) = [event for event in logged if "serves nobody" in event["log_format"]]
        self.assertEqual((warning["proxy"], warning["problem"]), ("a", "no-work-connection"))
        self.assertEqual(self.heard(3), ["b", "b", "b"])
        self.assertEqual([flow.ended for flow in self.first.flows], [Ended.TIMEOUT])

    def test_rests(self) -> None:
        """After a rest a single user tries a member again, and once it serves it has its turns again."""
        self.stall(self.first)
        self.dial()
        self.relay.advance(REST_S + MEMBER_WAIT_S)
        users = [self.dial() for _ in range(4)]
        self.assertEqual(sorted(user.data for user in users), [b"", b"b", b"b", b"b"])
        self.stall(self.first, False)
        self.relay.advance(0.5)
        self.assertEqual(sorted(user.data for user in users), [b"a", b"b", b"b", b"b"])
        self.assertEqual(sorted(self.heard(4)), ["a", "a", "b", "b"])

    def test_slow_and_alone(self) -> None:
        """A member that is slow keeps its users where no other could serve them."""
        self.second.withdraw()
        self.stall(self.first)
        user = self.dial()
        self.relay.advance(MEMBER_WAIT_S + 1.0)
        self.stall(self.first, False)
        self.relay.advance(0.5)
        self.assertEqual(user.data, b"a")

    def test_last_of_many(self) -> None:
        """Who was at member after member keeps the last one for as long as a user of any proxy waits."""
        others = [self.join(f"m{number}") for number in range(round(MOVES_FOR_S / MEMBER_WAIT_S))]
        for member in (self.first, self.second, *others):
            self.stall(member)
        user = self.dial()
        self.relay.advance(MOVES_FOR_S + MEMBER_WAIT_S + 1.0)
        self.assertFalse(user.ended)
        for member in (self.first, self.second, *others):
            self.stall(member, False)
        self.relay.advance(0.5)
        self.assertEqual(len(user.data), 2)

    def test_both_in_trouble(self) -> None:
        """Users whom nobody can serve are let go, and the log says so once for each."""
        self.stall(self.first)
        user = self.dial()
        with capturedLogs() as logged:
            for member in (self.second, self.first):
                self.cut(member)
                self.relay.settle()
        self.assertTrue(user.ended)
        unserved = [event for event in logged if "no work connection for" in event["log_format"]]
        self.assertEqual(len(unserved), 1)

    def test_killed_while_users_wait(self) -> None:
        """Users who wait for a member whose session ends are served by another one, at once."""
        self.stall(self.first)
        users = [self.dial() for _ in range(4)]
        self.cut(self.first)
        self.relay.settle()
        self.assertEqual([user.data for user in users], [b"b"] * 4)

    def test_withdrawn_while_users_wait(self) -> None:
        """So are those who wait for one that is taken back."""
        for connection in self.first.connections:
            connection.other.stalled = True
        user = self.dial()
        self.assertEqual(user.data, b"")
        self.first.withdraw()
        self.assertEqual((user.data, self.group().members), (b"b", ("b",)))

    def test_service_refuses(self) -> None:
        """A member that ends its work connection at once, for lack of a service, costs no user either."""
        self.relay = MemoryRelay()
        self.relay.wire_protocol = "v1"
        self.join("a", local=lambda leg: leg.write(b"a"))
        self.join("b")
        self.assertEqual(sorted(self.heard(4)), ["a", "a", "b", "b"])

    def test_ended_by_the_operator(self) -> None:
        """A user who waits and is ended by whoever runs the server goes to nobody else."""
        self.stall(self.first)
        user = self.dial()
        (flow,) = self.relay.server.flows()
        verifyObject(IFlow, flow)
        done = flow.when_ended()
        flow.end(Ended.OPERATOR)
        self.relay.advance(MEMBER_WAIT_S)
        self.assertTrue(user.lost)
        self.assertIs(self.successResultOf(done).ended, Ended.OPERATOR)
        self.assertEqual(self.totals()["b"], (0, 0))

    def test_flow_of_a_moved_user(self) -> None:
        """The flow of a user who goes from one member to the next is one, and ends once."""
        self.stall(self.first)
        user = self.dial()
        (flow,) = self.relay.server.flows()
        done = flow.when_ended()
        self.relay.advance(MEMBER_WAIT_S)
        self.assertEqual(self.relay.server.flows(), [flow])
        self.assertNoResult(done)
        self.legs[user].abort()
        self.relay.advance(1.0)
        self.assertEqual(self.successResultOf(done).far_to_near, 1)
        self.assertEqual(self.totals(), {"a": (0, 1), "b": (0, 1)})


class AsAProxyTests(GroupTestCase):
    """What a type may ask of a group."""

    def setUp(self) -> None:
        super().setUp()
        self.members = [self.join("a"), self.join("b")]
        (self.as_proxy,) = self.groups()

    def groups(self) -> list[ProxyGroup]:
        """The groups of the relay."""
        parts = self.relay.server._parts
        assert parts is not None
        return list(parts.registry.groups)

    def test_is_a_proxy(self) -> None:
        """It is one, with the options and the client of its first member."""
        verifyObject(IRegisteredProxy, self.as_proxy)
        self.assertEqual(self.as_proxy.options, self.members[0].proxy.options)
        self.assertEqual(self.as_proxy.identity, self.members[0].proxy.identity)
        self.assertEqual((self.as_proxy.name, self.as_proxy.type), ("group web", "tcp"))

    def test_flows(self) -> None:
        """Its flows are those of all members."""
        self.heard(3)
        self.assertEqual(len(self.as_proxy.flows), 3)

    def test_signals(self) -> None:
        """It takes no signals and no messages: nobody could say which client should get one."""
        self.assertRaises(RefusedError, self.as_proxy.signal, {})
        self.assertRaises(RefusedError, self.as_proxy.send_message, Ping())
        self.failureResultOf(self.as_proxy.hand(Ping()), RefusedError)

    def open(self) -> Deferred[IWorkLeg]:
        """A work connection of some member."""
        opened = self.as_proxy.open_work_leg(Origin())
        self.relay.settle()
        return opened

    def test_work_legs(self) -> None:
        """Work connections that a type speaks over come from the members in turn."""
        legs = [self.successResultOf(self.open()) for _ in range(2)]
        received = [RecordingReceiver(leg) for leg in legs]
        self.relay.settle()
        self.assertEqual([each.data for each in received], [b"a", b"b"])

    def reuse(self) -> IWorkLeg:
        """What serves the next request that may go over a work connection that was kept."""
        found = self.as_proxy.work_leg_for(Origin())
        self.relay.settle()
        return self.successResultOf(found) if isinstance(found, Deferred) else found

    def test_kept_work_legs(self) -> None:
        """Each member has its turn, over a work connection of its own that was kept if there is one."""
        legs = []
        for turn in range(6):
            leg = self.reuse()
            self.assertEqual((leg.proxy.name, leg.is_reused), ("ab"[turn % 2], turn >= 2))
            leg.attach(RecordingReceiver())
            self.relay.settle()
            leg.keep()
            legs.append(leg)
        self.assertEqual(legs[:2] * 2, legs[2:])

    def test_kept_work_legs_of_the_lost(self) -> None:
        """Those of a member that is gone serve nobody."""
        for _ in range(2):
            leg = self.reuse()
            leg.attach(RecordingReceiver())
            self.relay.settle()
            leg.keep()
        self.cut(self.members[0])
        self.relay.settle()
        for turn in range(3):
            leg = self.reuse()
            self.assertEqual((leg.proxy.name, leg.is_reused), ("b", turn == 0))

    def test_load_without_kept(self) -> None:
        """Who has least to do is who serves the fewest users: work connections that wait are none."""
        self.join("c", group="least", port=6001, balance="leastConnections")
        self.join("d", group="least", port=6001)
        (self.as_proxy,) = (group for group in self.groups() if group.group == "least")
        legs = [self.reuse() for _ in range(3)]
        self.assertEqual([leg.proxy.name for leg in legs], ["c", "d", "c"])
        for leg in (legs[0], legs[2]):
            leg.attach(RecordingReceiver())
            self.relay.settle()
            leg.keep()
        self.assertIs(self.reuse(), legs[2])

    def test_failed(self) -> None:
        """A member whose work connection ended unanswered is left out while another one is well."""
        first, second = (self.successResultOf(self.open()) for _ in range(2))
        self.assertTrue(first.failed("it says nothing"))
        legs = [self.successResultOf(self.open()) for _ in range(2)]
        self.assertEqual([leg.proxy.name for leg in legs], ["b", "b"])
        self.assertFalse(second.failed("it says nothing"))
        first.close()
        self.relay.settle()
        self.assertFalse(first.failed("it says nothing"))

    def test_work_leg_of_another_member(self) -> None:
        """So does one that the first member does not open in time, and none if all are in trouble."""
        self.stall(self.members[0])
        opened = self.open()
        self.assertNoResult(opened)
        self.relay.advance(MEMBER_WAIT_S)
        received = RecordingReceiver(self.successResultOf(opened))
        self.relay.settle()
        self.assertEqual(received.data, b"b")
        self.stall(self.members[1])
        opened = self.open()
        self.relay.advance(MOVES_FOR_S + 10.0)
        self.failureResultOf(opened, NoWorkConnection, SessionLost)

    def test_cancelled(self) -> None:
        """Who does not want one any more gets none from nobody."""
        self.stall(self.members[0])
        opened = self.open()
        opened.cancel()
        self.failureResultOf(opened, NoWorkConnection)
        self.relay.advance(MEMBER_WAIT_S)
        self.assertEqual(self.relay.server.flows(), [])
