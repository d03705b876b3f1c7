"""Signals between the halves of a proxy type, through both roles, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.client.service import RelayClient
from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor
from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError
from relaykit.interfaces import (
    IBackend,
    IExposure,
    IIngress,
    IProxyTypeReference,
    IRegisteredProxy,
    ISignalPeer,
    ISignalReceiver,
    IStreamLeg,
    IVisitableProxyType,
    IVisitor,
)
from relaykit.options import Options, ProxyCommon, VisitorCommon
from relaykit.plugins import ProxyTypes
from relaykit.values import Origin
from tests.client import scene as client_scene
from tests.client.scene import Machine, started
from tests.server import scene as server_scene
from tests.server.scene import Scene


class NoOptions(Options, frozen=True, kw_only=True):
    """A table without keys."""


@implementer(ISignalReceiver)
class _Half:
    """Notes what it is told and by whom; does not understand ``gibberish``, and breaks at ``bang``."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Mapping[str, Any]]] = []

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if "gibberish" in body:
            raise RemoteProtocolError("what does that mean?")
        if "bang" in body:
            raise ZeroDivisionError
        self.heard.append((sender.identity.user, body))
        if "answer me" in body:
            sender.signal({"answer": body["answer me"]})


@implementer(IExposure)
class _Exposure(_Half):
    address = ""

    def __init__(self, proxy: IRegisteredProxy) -> None:
        super().__init__()
        self.proxy = proxy

    async def withdraw(self) -> None:
        """Nothing is open."""


@implementer(IIngress)
class _Ingress(Service):
    def __init__(self) -> None:
        self.exposures: dict[str, _Exposure] = {}

    async def expose(self, proxy: IRegisteredProxy) -> _Exposure:
        exposure = self.exposures[proxy.name] = _Exposure(proxy)
        return exposure


@implementer(IBackend, IVisitor)
class _ClientHalf(_Half, Service):
    def __init__(self, host: Any) -> None:
        super().__init__()
        self.host = host

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.close()


@implementer(IVisitableProxyType, IProxyTypeReference)
@define
class _Talking:
    """A proxy type that does nothing but talk; its halves are kept for the test."""

    name = "talking"
    module = __name__
    commands = ()
    has_messages = False
    summary = "talks"
    proxy_options = visitor_options = ingress_options = NoOptions
    ingress: _Ingress = field(factory=_Ingress)
    halves: dict[str, _ClientHalf] = field(factory=dict)

    def load(self) -> Any:
        return self

    def make_ingress(self, options: Any, host: Any) -> Any:
        return self.ingress

    def make_backend(self, options: Any, host: Any) -> Any:
        return self.halves.setdefault(host.name, _ClientHalf(host))

    def make_visitor(self, options: Any, host: Any) -> Any:
        return self.halves.setdefault(host.name, _ClientHalf(host))


class SignalTests(SynchronousTestCase):
    """Tests with alice, who has a proxy, and bob, who visits it."""

    def setUp(self) -> None:
        self.talking = _Talking()
        types = ProxyTypes.from_references([self.talking])
        self.patch(server_scene, "TYPES", types)
        self.patch(client_scene, "TYPES", types)
        self.scene = Scene()
        proxy = ConfiguredProxy(ProxyCommon(name="door", type="talking"), NoOptions(), "talking")
        self.alice = self.client("alice", proxy)
        self.bob = self.client("bob", self.visitor("window"), self.visitor("other window"))
        self.exposure = self.talking.ingress.exposures["alice.door"]
        self.backend = self.talking.halves["door"]
        self.window = self.talking.halves["window"]

    def visitor(self, name: str) -> ConfiguredVisitor:
        """A visitor of alice's door."""
        common = VisitorCommon(
            name=name, type="talking", server_user="alice", server_name="door", bind_port=-1
        )
        return ConfiguredVisitor(common, NoOptions(), "talking")

    def client(self, user: str, *configured: Any) -> RelayClient:
        """A client that is logged in; version 1 of the wire has no signals, and is not tried."""
        return started(Machine(self.scene), *configured, user=user)

    def say(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        """Signals, and lets it arrive."""
        sender.signal(body)
        self.scene.flush()

    def test_visitor_and_server(self) -> None:
        """A visitor reaches the exposure, which knows who it is; the answer reaches this visitor alone."""
        self.say(self.window.host, {"answer me": [1, "two", None]})
        self.assertEqual(self.exposure.heard, [("bob", {"answer me": [1, "two", None]})])
        self.assertEqual(self.window.heard, [("bob", {"answer": [1, "two", None]})])
        self.assertEqual(self.talking.halves["other window"].heard, [])
        self.assertEqual(self.backend.heard, [])

    def test_backend_and_server(self) -> None:
        """A backend reaches the exposure of its proxy, and is answered; so is the exposure."""
        self.say(self.backend.host, {"answer me": 1})
        self.assertEqual(self.exposure.heard, [("alice", {"answer me": 1})])
        self.assertEqual(self.backend.heard, [("alice", {"answer": 1})])
        self.say(self.exposure.proxy, {"answer me": 2})
        self.assertEqual(self.exposure.heard[1:], [("alice", {"answer": 2})])

    def test_order(self) -> None:
        """Signals arrive in the order in which they were sent."""
        for number in range(50):
            self.window.host.signal({"number": number})
        self.scene.flush()
        self.assertEqual([body["number"] for _, body in self.exposure.heard], list(range(50)))

    def test_senseless(self) -> None:
        """A signal that its receiver does not understand is told in the log, and nothing else happens."""
        with capturedLogs() as events:
            self.say(self.window.host, {"gibberish": True})
            self.say(self.exposure.proxy, {"gibberish": True})
        reasons = [event["reason"] for event in events if "makes no sense" in event["log_format"]]
        self.assertEqual(reasons, ["what does that mean?"] * 2)
        self.say(self.window.host, {"answer me": 1})
        self.assertEqual(len(self.window.heard), 1)

    def test_defect(self) -> None:
        """A receiver that breaks is told in the log; the session goes on."""
        self.say(self.window.host, {"bang": True})
        self.say(self.exposure.proxy, {"bang": True})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.say(self.window.host, {"answer me": 1})
        self.assertEqual(len(self.window.heard), 1)

    def test_nobody_there(self) -> None:
        """A signal to a proxy that is gone goes nowhere."""
        self.alice.stopService()
        self.scene.flush()
        self.say(self.window.host, {"answer me": 1})
        self.assertEqual((self.exposure.heard, self.window.heard), ([], []))

    def test_no_session(self) -> None:
        """Without a session nothing can be signaled, and the sender is told so."""
        self.alice.stopService()
        self.scene.flush()
        refused = self.assertRaises(RefusedError, self.backend.host.signal, {})
        self.assertIs(refused.code, RefusalCode.NOT_AVAILABLE)
        self.assertFalse(self.backend.host.takes_signals)
